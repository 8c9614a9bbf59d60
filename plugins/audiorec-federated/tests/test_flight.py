"""Messages over TLS: the right certificate on both sides, or no connection."""

import datetime
import os
import re
import socket
import stat
import threading
import time
from contextlib import suppress

import pytest

from audiorec.errors import InputError, LostPeerError, MissingFileError, PeerError
from audiorec_federated.keys import (
    HOST,
    Keys,
    fingerprint_of,
    make_keys,
    read_certificate,
    read_keys,
    readable_fingerprint,
)
from audiorec_federated.link import (
    NOTED,
    Caller,
    FlightDesk,
    FlightTransport,
    PartyRun,
)
from audiorec_federated.protocol import MAX_MESSAGE, Message, MessageKind, decode, encode


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_keys(folder / name) for name in ("music", "partner", "stranger")}


class Noting:
    """A host that notes every question, and is never done."""

    is_done = False

    def greet(self, hello, nonces):
        pass

    def answer(self, _message):
        return NOTED


@pytest.fixture
def listening(keys):
    """A desk behind TLS that notes every question; the address, and the desk."""
    stop = threading.Event()
    with FlightDesk("127.0.0.1:0", keys["music"], keys["partner"].certificate) as server:

        def run():
            with suppress(LostPeerError):
                server.desk.serve(Noting(), PartyRun(wait_s=60, stop=stop))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.port}", server.desk
        stop.set()
        thread.join()


def caller(address, own, other, timeout_s=60.0):
    return Caller(FlightTransport(address, own, other), timeout_s=timeout_s)


def test_two_parties_that_know_each_other_talk(keys, listening):
    here = caller(listening[0], keys["partner"], keys["music"].certificate)
    here.hello("train")
    for _ in range(3):
        here.ask(MessageKind.COUNT, {"ids": 1, "commitment": "0" * 64})
    assert here.transport.certificates == listening[1].certificates
    here.close()


def test_a_stranger_does_not_get_in(keys, listening):
    with pytest.raises(LostPeerError, match="our certificate is not its peer"):
        caller(listening[0], keys["stranger"], keys["music"].certificate).hello("train")
    here = caller(listening[0], keys["partner"], keys["music"].certificate)
    here.hello("train")  # nobody else was disturbed


def test_another_server_is_not_spoken_to(keys, listening):
    with pytest.raises(PeerError, match="its certificate is not the one in peer") as caught:
        caller(listening[0], keys["partner"], keys["stranger"].certificate).hello("train")
    assert not isinstance(caught.value, LostPeerError)  # waiting would not help


def test_a_certificate_that_the_partner_signed_for_somebody_else_does_not_get_in(keys, listening):
    signed = signed_by(keys["partner"])
    with pytest.raises(LostPeerError, match=r"closed the connection|cannot be reached"):
        caller(listening[0], signed, keys["music"].certificate).hello("train")


def signed_by(issuer):
    """Return keys whose certificate the key of another party signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    own = ec.generate_private_key(ec.SECP256R1())
    above = x509.load_pem_x509_certificate(issuer.certificate)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "friend")]))
        .issuer_name(above.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(serialization.load_pem_private_key(issuer.key, None), hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    key = own.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Keys(pem + issuer.certificate, key)


def test_nobody_there_is_said(keys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(LostPeerError, match=re.escape(f"{address}: cannot be reached")):
            caller(address, keys["partner"], keys["music"].certificate).hello("train")


def test_something_else_that_listens_there_is_lost(keys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(LostPeerError):
            caller(address, keys["partner"], keys["music"].certificate, 0.5).hello("train")


def test_a_slow_party_is_lost_after_the_time_limit(keys):
    with FlightDesk("127.0.0.1:0", keys["music"], keys["partner"].certificate) as server:
        here = caller(f"127.0.0.1:{server.port}", keys["partner"], keys["music"].certificate, 0.3)
        started = time.monotonic()
        with pytest.raises(LostPeerError, match=r"no answer within 0.3 s \(timeout_s\)"):
            here.hello("train")
        assert time.monotonic() - started < 30


def test_bodies_beyond_the_limit_are_refused(keys, listening):
    transport = FlightTransport(listening[0], keys["partner"], keys["music"].certificate)
    answer = decode(transport.ask(b"\0" * (MAX_MESSAGE + 1), 20))
    assert answer.kind == MessageKind.REFUSED
    assert decode(transport.ask(b"\0" * 64, 20)).kind == MessageKind.REFUSED
    forged = encode(
        Message(kind=MessageKind.FINISH, session="0" * 32, number=1, fields={"space": "0" * 16})
    )
    assert "send hello first" in decode(transport.ask(forged, 20))["reason"]


@pytest.mark.parametrize("address", ["256.0.0.1:1", "192.0.2.1:1"])
def test_an_address_that_is_not_ours_is_said(address, keys):
    with pytest.raises(InputError, match=f"{address}: cannot listen on this address"):
        FlightDesk(address, keys["music"], keys["partner"].certificate)


def test_keys_are_written_once_and_read_by_their_owner_alone(tmp_path):
    made = make_keys(tmp_path / "k")
    assert stat.S_IMODE((tmp_path / "k" / "key.pem").stat().st_mode) == 0o600
    assert read_keys(tmp_path / "k") == made
    assert made.fingerprint == fingerprint_of(made.certificate)
    assert readable_fingerprint(made.fingerprint).replace(" ", "") == made.fingerprint
    with pytest.raises(InputError, match="has a key already and other parties may trust it"):
        make_keys(tmp_path / "k")
    (tmp_path / "k" / "key.pem").chmod(0o644)
    if os.name == "posix":
        with pytest.raises(InputError, match=r"readable by others; run: chmod 600 .*key\.pem"):
            read_keys(tmp_path / "k")


def test_a_certificate_that_is_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("audiorec_federated.keys.VALID_DAYS", 0)
    make_keys(tmp_path / "old")
    monkeypatch.undo()
    make_keys(tmp_path / "k")
    cases = {
        "expired": (tmp_path / "old" / "certificate.pem", "audiorec federated align"),
        "key": (tmp_path / "k" / "key.pem", "one certificate in PEM format and no key"),
        "text": (tmp_path / "text.pem", "one certificate in PEM format"),
        "damaged": (tmp_path / "damaged.pem", "not a certificate"),
        "large": (tmp_path / "large.pem", "too large for a key or a certificate"),
    }
    (tmp_path / "text.pem").write_text("hello")
    whole = (tmp_path / "k" / "certificate.pem").read_text().splitlines()
    (tmp_path / "damaged.pem").write_text("\n".join([whole[0], "AAAA", *whole[2:]]))
    (tmp_path / "large.pem").write_bytes(b" " * 70_000)
    for path, said in cases.values():
        with pytest.raises(InputError, match=re.escape(said)):
            read_certificate(path)
    with pytest.raises(MissingFileError, match="the other party sends its certificate"):
        read_certificate(tmp_path / "gone.pem")

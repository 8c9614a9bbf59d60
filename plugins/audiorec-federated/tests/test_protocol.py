"""Messages as bytes: whole ones come back, all others are refused by name."""

import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiorec.errors import ProtocolError
from audiorec_federated import protocol
from audiorec_federated.protocol import FIELDS, Message, MessageKind, decode, encode, pack

SESSION = "ab" * 16
PAGE = (Path(__file__).parents[1] / "protocol.md").read_text()


def vectors(rows=2, width=3, dtype="float32", changes=()):
    """A good message of vectors, or one with some fields changed."""
    values = np.arange(rows * width, dtype=np.float32).reshape(rows, width)
    shape, payload = pack(values, dtype)
    fields = {"epoch": 1, "step": 0, **shape, "dtype": dtype}
    return Message(
        kind=MessageKind.VECTORS,
        session=SESSION,
        number=5,
        fields={**fields, **dict(changes)},
        payload=payload,
    )


def raw(header, payload=b"", *, kind=MessageKind.NOTED, magic=b"ARFD", version=2, more=0):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (
        struct.pack("<4sHHIQ", magic, version, kind, len(text), len(payload) + more)
        + text
        + payload
    )


NOTED = {"session": SESSION, "number": 1}
MISFITS = {
    "nothing": (b"", "at least 20 bytes, got 0"),
    "other magic": (raw(NOTED, magic=b"PK\3\4"), "the magic bytes b'ARFD'"),
    "newer version": (raw(NOTED, version=3), "expected version 2, got version 3"),
    "unknown kind": (raw(NOTED, kind=99), "a kind from 1 to 19, got 99"),
    "cut": (raw(NOTED)[:-1], "bytes in all"),
    "longer": (raw(NOTED) + b"x", "bytes in all"),
    "a length that lies": (raw(NOTED, more=1 << 40), "at most 65,536 and 33,554,432 bytes"),
    "large header": (raw(b" " * 70_000), "at most 65,536"),
    "no JSON": (raw(b"{"), "a header in JSON"),
    "deep JSON": (raw(b"[" * 60_000), "a header in JSON"),
    "a list": (raw([]), "a JSON object as header"),
    "no session": (raw({"number": 1}), "a session of 32 hex digits"),
    "short session": (raw({**NOTED, "session": "ab"}), "a session of 32 hex digits"),
    "session of another alphabet": (raw({**NOTED, "session": "Ω" * 32}), "32 hex digits"),
    "negative number": (raw({**NOTED, "number": -1}), "a number from 0"),
    "number that is none": (raw({**NOTED, "number": True}), "a number from 0"),
    "a field too many": (raw({**NOTED, "user_id": "u1"}), "expected the fields none"),
    "a payload too many": (raw(NOTED, b"user-1"), "a payload of 0 bytes, got 6"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_refused_and_says_what_was_expected(name):
    data, said = MISFITS[name]
    with pytest.raises(ProtocolError, match=re.escape(said)):
        decode(data)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rows": 3}, "a payload of 36 bytes, got 24"),
        ({"rows": 1 << 17}, "a valid rows, got 131072"),
        ({"width": 0}, "a valid width"),
        ({"width": True}, "a valid width, got True"),
        ({"dtype": "float64"}, "a valid dtype, got 'float64'"),
        ({"epoch": 1.0}, "a valid epoch"),
        ({"epoch": float("inf")}, "JSON compliant|a valid epoch"),
    ],
)
def test_fields_are_checked_before_a_payload_is_read(changes, said):
    with pytest.raises((ProtocolError, ValueError), match=said):
        encode(vectors(changes=changes))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_vectors_come_back_bit_for_bit(dtype):
    values = np.random.default_rng(0).normal(size=(5, 7)).astype(dtype).astype(np.float32)
    shape, payload = pack(values, dtype)
    sent = vectors(5, 7, dtype)
    message = decode(encode(Message(kind=sent.kind, session=SESSION, number=5,
                                    fields={**sent.fields, **shape}, payload=payload)))  # fmt: skip
    np.testing.assert_array_equal(message.array(), values)
    assert message.array().dtype == np.float32
    assert str(message) == "vectors 5"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(bad):
    values = np.ones((2, 3), np.float32)
    values[1, 2] = bad
    message = Message(kind=MessageKind.VECTORS, session=SESSION, number=5, fields=vectors().fields,
                      payload=values.tobytes())  # fmt: skip
    with pytest.raises(ProtocolError, match="vectors 5: expected finite numbers"):
        decode(encode(message)).array()


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_refused_and_nothing_else(data):
    with pytest.raises(ProtocolError):
        decode(data)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_message_with_a_byte_changed_is_refused_or_reads_as_what_it_says(data):
    whole = bytearray(encode(vectors()))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    try:
        message = decode(bytes(whole))
    except ProtocolError:
        return
    assert encode(message)  # whatever it says is within the bounds


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=6), st.integers(0, 40))
def test_parts_of_a_payload_come_back_and_others_are_refused(blobs, cut):
    payload = protocol.joined(blobs)
    about = {"kind": MessageKind.BUCKET, "session": SESSION, "number": 1}
    fields = {"first": 0, "ids": [1] * len(blobs)}
    message = decode(encode(Message(fields=fields, payload=payload, **about)))
    assert message.blobs(len(blobs)) == blobs
    with pytest.raises(ProtocolError, match="a payload of"):
        message.blobs(len(blobs) + 1)
    if cut < len(payload):
        with pytest.raises(ProtocolError, match="a payload of"):
            Message(fields=fields, payload=payload[:cut], **about).blobs(len(blobs))


def test_a_session_depends_on_everything_that_makes_it():
    whole = ("train", ("a" * 64, "b" * 64), ("0" * 64, "1" * 64))
    others = [
        ("align", *whole[1:]),
        (whole[0], ("a" * 64, "c" * 64), whole[2]),
        (whole[0], whole[1][::-1], whole[2]),
        (*whole[:2], ("0" * 64, "2" * 64)),
    ]
    found = {protocol.session_id(*one) for one in (whole, *others)}
    assert len(found) == 5
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in found)


def test_the_page_has_every_kind_with_its_number_and_its_fields():
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| ([→←]) \| (.*?) \| .* \|$", PAGE, re.MULTILINE)
    assert {word: int(number) for number, word, _, _ in rows} == {
        k.word: int(k) for k in MessageKind
    }
    for number, _, _, said in rows:
        plain = re.sub(r"\(.*?\)", "", said)
        named = set(re.findall(r"`(\w+)`", plain))
        assert named == set(FIELDS[MessageKind(int(number))]), said


def test_the_page_has_the_limits():
    for limit in (protocol.MAX_PAYLOAD, protocol.MAX_HEADER, protocol.MAX_IDS, protocol.MAX_WIDTH,
                  protocol.MAX_ROWS, protocol.MAX_BUCKET_IDS):  # fmt: skip
        assert f"{limit:,}" in PAGE, limit


def test_a_message_that_was_kept_is_still_read():
    folder = Path(__file__).parents[3] / "fixtures" / "formats"
    data = (folder / "federated-vectors-v2.bin").read_bytes()
    message = decode(data)
    assert (message.kind, message.number, message["step"]) == (MessageKind.VECTORS, 5, 0)
    np.testing.assert_array_equal(message.array(), np.arange(6, dtype=np.float32).reshape(2, 3))
    assert encode(vectors()) == data

"""Both parties as processes: the rehearsal, what crossed, kills, serving, and the lists at the end.

Where root may make network namespaces, each party has one of its own, and every packet between
them is kept.
"""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from needs import needs

needs("torch")
needs("cryptography")
needs("private_set_intersection")

import pyarrow.parquet as pq

ROOT = Path(__file__).parents[3]
SPEC = importlib.util.spec_from_file_location("rehearse", ROOT / "examples/federated/rehearse.py")
rehearse = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(rehearse)
SECRETS = {"music": 101, "partner": 202}
ROLES = ("music", "partner")
SNIFF = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind((sys.argv[1], 0))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 26)
print("ready", flush=True)
with open(sys.argv[2], "wb") as file:
    while True:
        packet = s.recv(1 << 17)
        file.write(len(packet).to_bytes(4, "little") + packet)
        file.flush()
"""


class Namespaces:
    """Two network namespaces with a cable between them; `why` says why there are none."""

    def __init__(self):
        self.names = {role: f"ar-{role[:2]}-{os.getpid()}" for role in ROLES}
        self.why = ""
        if os.name != "posix" or os.geteuid() or not shutil.which("ip"):
            self.why = "network namespaces need root and ip"
            return
        music, partner = self.names.values()
        commands = [
            f"netns add {music}", f"netns add {partner}",
            f"-n {music} link add cable type veth peer name cable netns {partner}",
            f"-n {music} addr add 10.199.7.1/24 dev cable",
            f"-n {partner} addr add 10.199.7.2/24 dev cable",
            *(f"-n {one} link set {device} up" for one in (music, partner)
              for device in ("lo", "cable")),
        ]  # fmt: skip
        for command in commands:
            done = subprocess.run(
                ["ip", *command.split()], capture_output=True, text=True, check=False
            )
            if done.returncode:
                self.why = f"no network namespaces here: ip {command}: {done.stderr.strip()}"
                self.close()
                return

    def prefix(self, role):
        return [] if self.why else ["ip", "netns", "exec", self.names[role]]

    def close(self):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@pytest.fixture(scope="module")
def spaces():
    found = Namespaces()
    yield found
    if not found.why:
        found.close()


@pytest.fixture(scope="module")
def rehearsed(spaces, tmp_path_factory):
    """The folder of a whole rehearsal, with its result, and the packets that crossed."""
    folder = tmp_path_factory.mktemp("rehearsal")
    for role in ROLES:
        plant(folder, role)
    address, sniffer = None, None
    if not spaces.why:
        address = "10.199.7.1:7443"
        command = [
            *spaces.prefix("music"),
            sys.executable,
            "-c",
            SNIFF,
            "cable",
            folder / "crossed",
        ]
        sniffer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert sniffer.stdout.readline() == "ready\n"
    prefix = {role: spaces.prefix(role) for role in ROLES}
    result = rehearse.rehearse(folder, address=address, prefix=prefix, epochs=4)
    if sniffer is not None:
        sniffer.kill()
        sniffer.wait()
        sniffer.stdout.close()
    return folder, result


def plant(folder, role):
    """Give a party's draws a known secret, so that two trainings can be compared."""
    work = folder / role / "model.run"
    work.mkdir(parents=True)
    (work / "secret.json").write_text(json.dumps({"secret": SECRETS[role]}))


def start(folder, role, *words):
    command = [*rehearse.AUDIOREC, "federated", *words]
    return subprocess.Popen(
        command, cwd=folder / role, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process, code=0):
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert "Traceback" not in err
    return out, err


def test_it_ends_with_lists_for_users_who_have_played_nothing(rehearsed):
    folder, result = rehearsed
    assert result["ours"] > result["popular"]
    table = pq.read_table(folder / "music" / "cands.parquet").to_pydict()
    assert set(table["channel"]) == {"two-tower"}
    listed = {user for user in table["user_id"] if user in result["held"]}
    assert len(listed) == len(result["held"])
    assert max(table["rank"]) == 10
    left = list((folder / "music").iterdir()) + list((folder / "partner").iterdir())
    assert not [path.name for path in left if path.name.endswith(".run")]


def test_each_party_s_bundle_holds_no_user_and_nothing_of_the_other_party(rehearsed):
    folder, result = rehearsed
    for role, foreign in (("music", b"taste "), ("partner", b"song-")):
        for path in (folder / role / "model").iterdir():
            content = path.read_bytes()
            assert foreign not in content, path
            assert not [user for user in result["held"] if user.encode() in content]


def test_the_cards_state_the_threat_model(rehearsed):
    for role in ROLES:
        card = (rehearsed[0] / role / "model" / "MODEL_CARD.md").read_text()
        assert "## Threats" in card
        assert "no promise of privacy" in card


def test_what_crossed_between_two_namespaces(rehearsed, spaces):
    if spaces.why:
        pytest.skip(spaces.why)
    folder, _ = rehearsed
    data = (folder / "crossed").read_bytes()
    packets, at = [], 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        packets.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    tcp = [p for p in packets if p[12:14] == b"\x08\x00" and p[23] == 6]
    ports = {int.from_bytes(p[36:38], "big") for p in tcp if p[26:30] == bytes([10, 199, 7, 2])}
    assert ports == {7443}  # the partner calls one port and nothing else
    whole = b"".join(tcp)
    assert len(whole) > 1_000_000
    # Of some texts even a piece of one would be seen.
    for text in (b"user-0", b"song-1", b"taste ", b"ARFD", b"batch_size", b"vectors"):
        assert text not in whole, text
    print(f"{len(tcp):,} packets, {len(whole):,} bytes")


def test_a_killed_partner_and_a_killed_music_side_end_with_the_same_weights(rehearsed, tmp_path):
    folder, _ = rehearsed
    address = f"127.0.0.1:{rehearse.free_port()}"
    for role in ROLES:
        names = ("model", "crossed", "*.parquet.run", "model.run")
        shutil.copytree(folder / role, tmp_path / role, ignore=shutil.ignore_patterns(*names))
        plant(tmp_path, role)
        settings = tmp_path / role / f"{role}.toml"
        text = re.sub(r'addresses = \[".*"\]', f'addresses = ["{address}"]', settings.read_text())
        # Checkpoints come more often, so that there is something to go back to.
        settings.write_text(text.replace("checkpoint_steps = 20", "checkpoint_steps = 5"))
    music = start(tmp_path, "music", "train", "-c", "music.toml")
    partner = start(tmp_path, "partner", "train", "-c", "partner.toml")
    killed(partner, tmp_path / "partner" / "model.run" / "choose.safetensors")
    partner = start(tmp_path, "partner", "train", "-c", "partner.toml")
    killed(music, tmp_path / "music" / "model.run" / "refit.safetensors")
    music = start(tmp_path, "music", "train", "-c", "music.toml")
    _, said = ended(partner)
    ended(music)
    assert "trying again" in said
    assert "training goes on from epoch" in said
    for role in ROLES:
        found, expected = (
            (base / role / "model" / "model.safetensors").read_bytes()
            for base in (tmp_path, folder)
        )
        assert found == expected, role


def killed(process, path):
    """Kill a process as soon as a file is there."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_the_music_side_can_ask_a_partner_that_serves(rehearsed):
    folder, _ = rehearsed
    address = f"127.0.0.1:{rehearse.free_port()}"
    serving = start(folder, "partner", "users", "-c", "partner.toml", "--serve", address)
    assert "listening on" in serving.stderr.readline()
    asked = ["users", "-c", "music.toml", "--from", address, "--out", "asked.parquet", "--json"]
    out, _ = ended(start(folder, "music", *asked))
    serving.send_signal(signal.SIGTERM)
    _, said = ended(serving)
    found = json.loads(out)
    assert said.endswith(f"{found['users'] + found['unknown']:,} vectors were sent\n")
    tables = [
        pq.read_table(path)
        for path in (folder / "music" / "asked.parquet", folder / "partner" / "vectors.parquet")
    ]
    first, second = (dict(zip(*t.to_pydict().values(), strict=True)) for t in tables)
    assert set(first) == set(second)
    for user, vector in first.items():  # by ONNX there, by numpy here
        np.testing.assert_allclose(vector, second[user], atol=1e-6)
    metadata = [json.loads(t.schema.metadata[b"audiorec"]) for t in tables]
    assert metadata[0]["space"] == metadata[1]["space"]
    assert metadata[0]["model_id"] == metadata[1]["model_id"]


def test_mistakes_are_one_line_and_no_traceback(rehearsed, tmp_path):
    folder, _ = rehearsed
    shutil.copytree(folder / "partner", tmp_path / "partner")
    settings = tmp_path / "partner" / "partner.toml"
    address = f"127.0.0.1:{rehearse.free_port()}"  # where nobody listens
    text = re.sub(r'addresses = \[".*"\]', f'addresses = ["{address}"]', settings.read_text())
    settings.write_text(f"{text}wait_s = 0.5\n")
    _, err = ended(start(tmp_path, "partner", "train", "-c", "partner.toml", "-q"), code=4)
    assert re.fullmatch(rf"error: {address}: cannot be reached: .*\n", err)
    _, err = ended(start(tmp_path, "partner", "train", "-c", "partner.toml", "--role", "music"), 2)
    assert err == "error: partner.toml: is of the role 'partner', not 'music'\n"

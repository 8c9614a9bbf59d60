"""Both parties as processes: the rehearsal, what crossed, kills, serving, and the lists at the end.

Where root may make network namespaces, each party has one of its own, and every packet between
them is kept.
"""

import json
import os
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
from rehearsal import rehearse
from safetensors.numpy import load_file

from audiorec.recall.federated.alignment import Alignment, write_alignment
from audiorec.recall.federated.keys import make_keys, read_keys
from audiorec.recall.federated.user_model import weights_of

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
            self.why = "needs network namespaces: root, and ip of iproute2"
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
                self.why = f"needs network namespaces: ip {command}: {done.stderr.strip()}"
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
    result = rehearse.rehearse(folder, model="two-tower", address=address, prefix=prefix, epochs=4)
    if sniffer is not None:
        sniffer.kill()
        sniffer.wait()
        sniffer.stdout.close()
    return folder, result


TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
IN_TWO = [*TWO, "-m", "audiorec_cli.main"]


def start(folder, role, *words, program=rehearse.AUDIOREC):
    return subprocess.Popen(
        [*program, "federated", *words],
        cwd=folder / role,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
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
        assert "does not guarantee privacy" in card


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


THREE = """[federated]
role = "{role}"
keys = "keys"
peers = {peers}
addresses = {addresses}
model = "mmoe"
recipe = {{ dimension = 16, width = 16, hidden = [24], negatives = 64, own_negatives = 16, \
batch_size = 32, passes = 2, max_epochs = 3, seed = 1, item_weights = [1.0, 0.5] }}
checkpoint_steps = 5
defence = {{ noise = 0.0 }}
{holds}
"""
SIDES = ("music", "books")


def three(folder):
    """Write a partner and two item sides, each in a folder of its own, that know each other."""
    addresses = [f"127.0.0.1:{rehearse.free_port()}" for _ in SIDES]
    worlds = [rehearse.made_up(users=240, songs=80, tastes=8) for _ in SIDES]
    for number, name in enumerate((*SIDES, "partner")):
        place = folder / name
        make_keys(place / "keys", name)
        holds = 'interactions = "plays.csv"\n' + f"number = {number}"
        about = {"role": "music", "peers": ["../partner/keys/certificate.pem"]}
        about["addresses"] = [addresses[number % 2]]
        if name == "partner":
            holds = 'profiles = "profiles.csv"'
            about = {"role": "partner", "addresses": addresses}
            about["peers"] = [f"../{side}/keys/certificate.pem" for side in SIDES]
        else:
            plays = worlds[number][0]
            rows = [f"{user},{name}-{song},finish,2026-01-01T00:00:00Z"
                    for user in plays for song in plays[user]]  # fmt: skip
            (place / "plays.csv").write_text("\n".join([HEADER, *rows]))
        lists = {n: json.dumps(about[n]) for n in ("peers", "addresses")}
        text = THREE.format(role=about["role"], holds=holds, **lists)
        (place / f"{name}.toml").write_text(text)
    table = [f"{user},{row['interests']},{row['age']}" for user, row in worlds[0][1].items()]
    text = "\n".join(["user_id,interests,age", *table])
    (folder / "partner" / "profiles.csv").write_text(text)
    # As `federated align` leaves it; processes that align are those of the rehearsal.
    names = [digit * 64 for digit in "ab"]
    all_have = tuple(user for n, user in enumerate(sorted(worlds[0][1])) if n % 9 not in (0, 1))
    for name, ids in zip((*SIDES, "partner"), (names[:1], names[1:], names), strict=True):
        write_alignment(folder / name / "aligned.parquet", Alignment(all_have, tuple(ids)))


HEADER = "user_id,song_id,event,timestamp"


def in_one_process(folder):
    """Train what the three of them should: all towers here, with the draws of each."""
    from audiorec.learning.fit import fit_refit
    from audiorec.learning.machine import one_thread
    from audiorec.listening.profiles import read_profiles
    from audiorec.recall.federated.alignment import read_alignment
    from audiorec.recall.federated.learner import CentralLearner
    from audiorec.recall.federated.plan import PartyPlan, music_data
    from audiorec.recall.federated.session import Shared
    from audiorec.recall.federated.sides import ItemSide, UserSide
    from audiorec.recall.federated.towers import draws_of

    names = (*SIDES, "partner")
    plans = [PartyPlan.read(folder / name / f"{name}.toml") for name in names]
    alignments = [read_alignment(plan.alignment) for plan in plans]
    aligned = [alignment.user_ids for alignment in alignments]
    assert aligned[0] == aligned[1] == aligned[2]
    recipe, guard = plans[2].settings(), plans[0].parsed_defence()
    people = read_profiles(plans[2].profiles)
    users = UserSide.of(people, aligned[2], recipe)
    items = [ItemSide.of(music_data(plan), aligned[0]) for plan in plans[:2]]
    agreed = Shared(recipe=recipe, users=len(aligned[0]), checkpoint_steps=5)
    draws = [
        draws_of(read_keys(plan.keys), agreed.run(alignment.ids))
        for plan, alignment in zip(plans, alignments, strict=True)
    ]

    def learner(phase):
        halves = [
            item.half(recipe, phase, number=n, secret=draws[n](phase), defence=guard)
            for n, item in enumerate(items)
        ]
        return CentralLearner(users.half(recipe, phase, secret=draws[2](phase)), halves)

    with one_thread("a test"):
        limits = {"max_epochs": recipe.max_epochs, "patience": recipe.patience}
        return fit_refit(learner, **limits).learner


def test_three_businesses_two_of_which_are_killed_equal_one_process(tmp_path):
    three(tmp_path)
    music, books, partner = (
        start(tmp_path, name, "train", "-c", f"{name}.toml") for name in (*SIDES, "partner")
    )
    killed(partner, tmp_path / "partner" / "model.run" / "choose.safetensors")
    partner = start(tmp_path, "partner", "train", "-c", "partner.toml")
    killed(books, tmp_path / "books" / "model.run" / "refit.safetensors")
    books = start(tmp_path, "books", "train", "-c", "books.toml")
    _, said = ended(partner)
    for process in (music, books):
        ended(process)
    assert "retrying" in said
    assert "training resumes from epoch" in said
    central = in_one_process(tmp_path)
    for name, half in zip(SIDES, central.items, strict=True):
        found = load_file(tmp_path / name / "model" / "model.safetensors")
        np.testing.assert_array_equal(found["songs"], half.song_vectors())
    found = load_file(tmp_path / "partner" / "model" / "model.safetensors")
    expected = weights_of(central.user.model.state_dict())
    assert len(expected) > 4
    for name, array in expected.items():
        np.testing.assert_array_equal(found[f"user.{name}"], array)
    whole = (tmp_path / "partner" / "model" / "model.json").read_text()
    spaces = [
        json.loads((tmp_path / name / "model" / "model.json").read_text())["space"]
        for name in SIDES
    ]
    assert spaces[0] == json.loads(whole)["space"] != spaces[1]


def second_of(launcher):
    """Return the id of the process of rank 1 that ``torchrun`` started."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
    for child in children.read_text().split():
        if b"RANK=1" in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError("no second process")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_two_parties_of_two_processes_one_of_which_is_killed_equal_one_process(tmp_path):
    three(tmp_path)
    words = {name: ("train", "-c", f"{name}.toml", "--json") for name in (*SIDES, "partner")}
    books = start(tmp_path, "books", *words["books"])
    music, partner = (
        start(tmp_path, name, *words[name], program=IN_TWO) for name in ("music", "partner")
    )
    state = tmp_path / "music" / "model.run" / "choose.safetensors"
    deadline = time.monotonic() + 120
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(second_of(music), signal.SIGKILL)
    _, said = music.communicate(timeout=120)
    assert music.returncode == 1  # as torchrun says it
    assert "error: another training process has ended or cannot be reached" in said
    out, said = ended(start(tmp_path, "music", *words["music"], program=IN_TWO))
    assert said.count("training resumes from epoch") == 1
    for line in (out, ended(partner)[0], ended(books)[0]):
        assert json.loads(line)["steps"] > 0  # one document, of the first process
    central = in_one_process(tmp_path)
    pairs = []
    for name, half in zip(SIDES, central.items, strict=True):
        found = load_file(tmp_path / name / "model" / "model.safetensors")
        pairs.append((found["songs"], half.song_vectors()))
    found = load_file(tmp_path / "partner" / "model" / "model.safetensors")
    expected = weights_of(central.user.model.state_dict())
    pairs += [(found[f"user.{name}"], array) for name, array in expected.items()]
    furthest = max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)
    print(f"largest difference of a weight {furthest:.2g}")
    assert furthest < 1e-5
    assert not (tmp_path / "music" / "model.run").exists()


def killed(process, path):
    """Kill a process as soon as a file is there."""
    deadline = time.monotonic() + 240  # a busy machine
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
    assert said.endswith(f"{found['users'] + found['unknown']:,} vectors sent\n")
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

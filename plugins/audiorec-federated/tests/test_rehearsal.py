"""Both parties as processes over TLS: the rehearsal, what crossed, a release, kills on each side.

Where root may make network namespaces, each party has one of its own in the rehearsal, and every
packet between them is kept.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from needs import needs
from rehearsal import rehearse
from safetensors.numpy import load_file

from audiorec_federated.ledger import Ledger

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
        listening = [sys.executable, "-c", SNIFF, "cable", folder / "crossed"]
        command = [*spaces.prefix("music"), *listening]
        sniffer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert sniffer.stdout.readline() == "ready\n"
    prefix = {role: spaces.prefix(role) for role in ROLES}
    result = rehearse.rehearse(folder, address=address, prefix=prefix)
    if sniffer is not None:
        sniffer.kill()
        sniffer.wait()
        sniffer.stdout.close()
    return folder, result


def test_it_ends_with_lists_for_users_who_have_played_nothing(rehearsed):
    folder, result = rehearsed
    assert result["ours"] > 1.5 * result["popular"]
    table = pq.read_table(folder / "music" / "cands.parquet").to_pydict()
    assert set(table["channel"]) == {"one-way"}
    assert set(result["held"]) <= set(table["user_id"])
    assert not list(folder.glob("*/*.run"))
    # Vectors of the aligned users, which crossed, are those that the partner's model gives.
    crossed, made = (
        dict(
            zip(
                *pq.read_table(path).select(["user_id", "embedding"]).to_pydict().values(),
                strict=True,
            )
        )
        for path in (
            folder / "music" / "model.users.parquet",
            folder / "partner" / "vectors.parquet",
        )
    )
    assert set(crossed) <= set(made)
    for user, vector in crossed.items():
        np.testing.assert_allclose(vector, made[user], atol=1e-6)


def test_the_partner_answers_by_itself_from_a_release(rehearsed):
    folder, result = rehearsed
    assert result["ours"] > result["released"] > result["popular"]  # noise costs something
    card = (folder / "partner" / "all" / "MODEL_CARD.md").read_text()
    assert "Released with epsilon 8 and delta 1e-05" in card
    music, partner = (Ledger.read(folder / role / "ledger.json") for role in ROLES)
    assert [entry.what for entry in music.entries] == ["ids", "release"]
    assert [entry.what for entry in partner.entries] == ["ids", "vectors"]
    beyond = r"beyond the budget of 8 .*`budget` of \[federated\] in music.toml"
    with pytest.raises(SystemExit, match=beyond):
        rehearse.run(folder / "music", rehearse.RELEASE)


def test_noise_costs_something_in_every_world(capsys):
    """The model itself finds more than a release once its regularisation fits so few users."""
    rates = rehearse.compare_seeds(4)
    for one in rates:
        assert one["one-way, chosen"] > one["release, epsilon 8"] > one["most played"]
    mean = {name: np.mean([one[name] for one in rates]) for name in rates[0]}
    assert mean["release, no noise"] > mean["release, epsilon 8"] - 0.01
    assert "paired by world" in capsys.readouterr().out


def test_no_bundle_holds_a_user_or_anything_of_the_other_party(rehearsed):
    folder, result = rehearsed
    for role, name, foreign in (
        ("music", "model", b"taste "),
        ("music", "out", b"taste "),
        ("partner", "model", b"song-"),
    ):
        for path in (folder / role / name).iterdir():
            content = path.read_bytes()
            assert foreign not in content, path
            assert not [user for user in result["held"] if user.encode() in content]
        assert "## Threats" in (folder / role / name / "MODEL_CARD.md").read_text()


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
    assert len(whole) > 300_000
    # Of some texts even a piece of one would be seen.
    for text in (b"user-0", b"song-1", b"taste ", b"ARFD", b"batch_size", b"vectors"):
        assert text not in whole, text
    print(f"{len(tcp):,} packets, {len(whole):,} bytes")


@pytest.fixture
def parties(rehearsed, tmp_path):
    """Return what writes the settings of the rehearsal's parties, which are aligned already."""
    address = f"127.0.0.1:{rehearse.free_port()}"
    for role in ROLES:
        (tmp_path / role).mkdir()
        for path in (rehearsed[0] / role).iterdir():
            if path.name == "keys":
                shutil.copytree(path, tmp_path / role / "keys")
            elif path.name != "crossed" and path.suffix in (".csv", ".txt", ".pem", ".toml"):
                shutil.copy(path, tmp_path / role)
        shutil.copy(rehearsed[0] / role / "aligned.parquet", tmp_path / role)

    def settings(more=""):
        given = PLACES if more else PLACES[:1]
        for role in ROLES:
            path = tmp_path / role / f"{role}.toml"
            kept = [line for line in path.read_text().splitlines() if line[:7] not in given]
            path.write_text("\n".join([*kept, f'address = "{address}"', more]) + "\n")
        return tmp_path

    return settings


PLACES = ("address", "model =", "recipe ")


# Stops at the partner's hello, until it is told to continue.
STOPS = """
import os, signal
from audiorec_federated import link
answer = link.Desk.answer
def stop(*about):
    link.Desk.answer = answer
    os.kill(os.getpid(), signal.SIGSTOP)
    return answer(*about)
link.Desk.answer = stop
from audiorec_cli.main import main
main()
"""


# Is killed before it writes the checkpoint of this process whose number is the first argument.
DIES = """
import os, signal, sys
from audiorec.learning import fit
from audiorec_federated import split
save, left = fit.save_checkpoint, int(sys.argv.pop(1))
def dies(*about):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    save(*about)
fit.save_checkpoint = split.save_checkpoint = dies
from audiorec_cli.main import main
main()
"""


@pytest.fixture
def started():
    """Return what starts a party's training; none outlives the test."""
    processes = []

    def start(folder, role, command=rehearse.AUDIOREC):
        process = subprocess.Popen(
            [*command, *f"federated train -c {role}.toml --json".split()],
            cwd=folder / role,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        with process:
            process.kill()


def ended(process):
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    return json.loads(out), err


def heard(process, text):
    """Wait until a process says something."""
    while text not in (line := process.stderr.readline()):
        assert line, "it ended before"
    return process


def killed(process):
    process.send_signal(signal.SIGKILL)
    dead(process)


def dead(process):
    process.communicate(timeout=900)
    assert process.returncode == -signal.SIGKILL


def test_a_kill_on_either_side_changes_nothing(rehearsed, parties, started):
    folder = parties()
    expected = load_file(rehearsed[0] / "music" / "model" / "model.safetensors")["songs"]
    music, partner = (started(folder, role) for role in ROLES)
    killed(heard(music, "listening on"))
    heard(partner, "retrying")
    music = started(folder, "music", [sys.executable, "-c", STOPS])
    os.waitpid(music.pid, os.WUNTRACED)
    killed(partner)
    music.send_signal(signal.SIGCONT)
    partner = started(folder, "partner")
    found = [ended(process)[0] for process in (music, partner)]
    again = load_file(folder / "music" / "model" / "model.safetensors")["songs"]
    np.testing.assert_array_equal(expected, again)
    assert found[0]["space"] == found[1]["space"]
    # The killed partner's table, and that of the one that was started again: once each.
    entries = Ledger.read(folder / "partner" / "ledger.json").entries
    assert [entry.what for entry in entries] in (["vectors"] * 2, ["vectors"])


TOWERS = """model = "two-tower"
recipe = { dimension = 16, width = 16, hidden = [24], negatives = 64, batch_size = 64, \
passes = 2, max_epochs = 2, seed = 1 }
defence = { noise = 0.0 }
"""


def in_one_process(folder):
    """Train what the two of them should, with the draws of each; return both halves."""
    from audiorec.listening.profiles import read_profiles
    from audiorec_federated.alignment import read_alignment
    from audiorec_federated.exchange import Shared
    from audiorec_federated.halves import ItemHalf, ItemSide, UserHalf, UserSide
    from audiorec_federated.keys import read_keys
    from audiorec_federated.plan import PartyPlan, music_data
    from audiorec_federated.split import TowersLearner, train_once
    from audiorec_federated.towers import draws_of

    plans = [PartyPlan.read(folder / role / f"{role}.toml") for role in ROLES]
    ours, theirs = (read_alignment(plan.alignment) for plan in plans)
    recipe, guard = plans[0].settings(), plans[0].parsed_defence()
    items = ItemSide.of(music_data(plans[0]), ours.user_ids)
    users = UserSide.of(read_profiles(plans[1].profiles), theirs.user_ids, recipe)
    run = Shared(recipe=recipe, users=len(ours), alignment=ours.ids[0]).run
    keys = [read_keys(plan.keys) for plan in plans]

    secrets = [draws_of(one, run) for one in keys]
    item = ItemHalf(items, recipe, "choose", defence=guard, secret=secrets[0])
    learner = TowersLearner(UserHalf(users, recipe, "choose", secret=secrets[1]), item)
    train_once(learner)
    return learner


def test_two_towers_whose_parties_are_killed_equal_one_process(parties, started):
    """The partner when only the other side has the new checkpoint, the music side when neither."""
    needs("torch")
    folder = parties(TOWERS)
    music, partner = (
        started(folder, role, [sys.executable, "-c", DIES, at])
        for role, at in zip(ROLES, "32", strict=True)
    )
    dead(partner)
    partner = started(folder, "partner")
    dead(music)
    assert [path.name for path in (folder / "music" / "model.run").glob("*.safetensors")] == [
        "before.safetensors"
    ]
    music = started(folder, "music")
    (_, said), (done, heard_of) = ended(music), ended(partner)
    assert "retrying" in heard_of
    assert "training resumes from epoch" in said
    for told in (said, heard_of):
        assert re.search(r"^epoch 2 of 2: [1-9]\d* steps done, \d+\.\d s$", told, re.MULTILINE), (
            told
        )
    assert done["steps"] > 0
    central = in_one_process(folder)
    found = load_file(folder / "music" / "model" / "model.safetensors")
    np.testing.assert_array_equal(found["songs"], central.item.song_vectors())
    found = load_file(folder / "partner" / "model" / "model.safetensors")
    for name, array in central.user.model.state_dict().items():
        if name.startswith("tower."):
            np.testing.assert_array_equal(found[f"user.{name[6:]}"], array)
    assert not list(folder.glob("*/*.run"))
    assert pq.read_metadata(folder / "music" / "model.users.parquet").num_rows > 800

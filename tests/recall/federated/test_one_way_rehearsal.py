"""One-way by two processes over TLS: the rehearsal, a kill on each side, what is left behind."""

import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest
from needs import needs

needs("cryptography")
needs("private_set_intersection")

import pyarrow.parquet as pq
from rehearsal import rehearse
from safetensors.numpy import load_file

from audiorec.recall.federated.alignment import Alignment, write_alignment
from audiorec.recall.federated.keys import make_keys
from audiorec.recall.federated.ledger import Ledger


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    needs("torch")  # of the audit
    folder = tmp_path_factory.mktemp("rehearsal")
    return folder, rehearse.rehearse(folder)


def test_it_ends_with_lists_for_users_who_have_played_nothing(rehearsed):
    folder, result = rehearsed
    assert result["ours"] > 1.5 * result["popular"]
    table = pq.read_table(folder / "music" / "cands.parquet").to_pydict()
    assert set(table["channel"]) == {"one-way"}
    assert set(result["held"]) <= set(table["user_id"])
    assert not list(folder.glob("*/*.run"))


def test_the_partner_answers_by_itself_from_a_release(rehearsed):
    folder, result = rehearsed
    assert result["released"] > result["popular"]
    card = (folder / "partner" / "all" / "MODEL_CARD.md").read_text()
    assert "Released with epsilon 8 and delta 1e-05" in card
    music, partner = (Ledger.read(folder / role / "ledger.json") for role in rehearse.PARTIES)
    assert [entry.what for entry in music.entries] == ["ids", "release"]
    assert [entry.what for entry in partner.entries] == ["ids", "vectors"]
    with pytest.raises(SystemExit, match="beyond the budget of 8"):
        rehearse.run(folder / "music", rehearse.RELEASE)


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


def started(folder, role):
    return subprocess.Popen(
        [*rehearse.AUDIOREC, *f"federated train -c {role}.toml --json".split()],
        cwd=folder / role,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"},
    )


def ended(process):
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return json.loads(out), err


def heard(process, text):
    """Wait until a process says something."""
    while text not in (line := process.stderr.readline()):
        assert line, "it ended before"
    return process


def killed(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_a_kill_on_either_side_changes_nothing(tmp_path):
    world = rehearse.made_up(users=400, songs=80)
    address = f"127.0.0.1:{rehearse.free_port()}"
    rehearse.write_parties(tmp_path, world, address=address)
    for role, other in zip(rehearse.PARTIES, reversed(rehearse.PARTIES), strict=True):
        make_keys(tmp_path / role / "keys", role)
        certificate = (tmp_path / role / "keys" / "certificate.pem").read_bytes()
        (tmp_path / other / f"{role}.pem").write_bytes(certificate)
        users = tuple(sorted({*world[0], *world[2]}))
        write_alignment(tmp_path / role / "aligned.parquet", Alignment(users, ("a" * 64,)))
    music, partner = (started(tmp_path, role) for role in rehearse.PARTIES)
    expected = [ended(process)[0] for process in (music, partner)]
    songs = load_file(tmp_path / "music" / "model" / "model.safetensors")["songs"]

    music, partner = (started(tmp_path, role) for role in rehearse.PARTIES)
    killed(heard(music, "listening on"))
    heard(partner, "retrying")
    music = heard(started(tmp_path, "music"), "listening on")
    music.send_signal(signal.SIGSTOP)  # so that the partner cannot get further than its hello
    time.sleep(1)
    killed(partner)
    music.send_signal(signal.SIGCONT)
    partner = started(tmp_path, "partner")
    found = [ended(process)[0] for process in (music, partner)]
    again = load_file(tmp_path / "music" / "model" / "model.safetensors")["songs"]
    np.testing.assert_array_equal(songs, again)
    assert found[0]["figures"] == expected[0]["figures"]
    assert found[0]["space"] == found[1]["space"] != expected[0]["space"]

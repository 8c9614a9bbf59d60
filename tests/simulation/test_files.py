"""`audiorec.simulation.files`: a world on disk is whole, labelled, and read back as it was."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_stores import write_store

from audiorec.errors import InputError
from audiorec.listening.interactions import read_interactions
from audiorec.search.library import Library
from audiorec.simulation import files as simulation
from audiorec.simulation.files import simulate_world
from audiorec.simulation.world import WorldSpec, simulate

SPEC = WorldSpec(users=60, days=20, seed=1)
FILES = {
    "interactions.parquet",
    "profiles.parquet",
    "truth.parquet",
    "truth_songs.parquet",
    "world.json",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "vecs.parquet"
    write_store(path, 40)
    return Library.open(path)


def test_the_files_hold_the_world_and_say_what_it_is(store, tmp_path, monkeypatch):
    monkeypatch.setattr(simulation, "SLICE_ROWS", 500)
    document = simulate_world(store, tmp_path / "w", SPEC)
    assert {p.name for p in (tmp_path / "w").iterdir()} == FILES
    assert json.loads((tmp_path / "w/world.json").read_text()) == document
    assert (document["simulated"], document["songs"], document["sensitive_users"]) == (True, 40, 30)
    for name in FILES - {"world.json"}:
        metadata = json.loads(pq.read_schema(tmp_path / "w" / name).metadata[b"audiorec"])
        assert metadata["simulated"] is True
        assert metadata["world"]["seed"] == 1
    log = read_interactions(tmp_path / "w/interactions.parquet")
    world = simulate(store.ids, store.vectors, SPEC).interactions
    assert log.simulated
    assert len(log) == len(world) == document["events"] > 500
    assert (log.user_ids, log.song_ids) == (world.user_ids, world.song_ids)
    for name in ("user", "song", "event", "played_ratio", "timestamp"):
        np.testing.assert_array_equal(getattr(log, name), getattr(world, name))


def test_a_world_is_replaced_but_nothing_else(store, tmp_path):
    first = simulate_world(store, tmp_path / "w", SPEC)
    second = simulate_world(store, tmp_path / "w", WorldSpec(users=30, days=20))
    assert first["users"] == 60
    assert json.loads((tmp_path / "w/world.json").read_text()) == second
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letter.txt").write_text("dear")
    with pytest.raises(InputError, match=r"holds letter.txt and is no world"):
        simulate_world(store, tmp_path / "home", SPEC)
    with pytest.raises(InputError, match="not a folder"):
        simulate_world(store, tmp_path / "home/letter.txt", SPEC)
    assert (tmp_path / "home/letter.txt").read_text() == "dear"


def test_a_world_that_was_cut_off_can_be_made_again(store, tmp_path):
    simulate_world(store, tmp_path / "w", SPEC)
    (tmp_path / "w/world.json").unlink()
    simulate_world(store, tmp_path / "w", SPEC)
    assert {p.name for p in (tmp_path / "w").iterdir()} == FILES


def test_a_world_that_breaks_off_is_not_taken_for_whole(store, tmp_path, monkeypatch):
    simulate_world(store, tmp_path / "w", SPEC)

    def full_disk(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(simulation, "_write_interactions", full_disk)
    with pytest.raises(OSError, match="No space left"):
        simulate_world(store, tmp_path / "w", SPEC)
    assert not (tmp_path / "w/world.json").exists()

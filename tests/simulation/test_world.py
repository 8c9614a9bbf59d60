"""`audiorec.simulation.world`: a world is what its spec says, and can be made again."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_stores import write_store

from audiorec.errors import InputError, ShapeError
from audiorec.library.library import Library
from audiorec.listening.events import EVENTS, is_listening
from audiorec.listening.interactions import read_interactions
from audiorec.simulation import world as world_module
from audiorec.simulation.plays import DAY_S, affinities, audible_places, make_people, make_songs
from audiorec.simulation.world import START_S, WorldSpec, simulate, simulate_world

SPEC = WorldSpec(users=120, days=40, seed=3)
IDS = [f"song {i:02}" for i in range(50)]


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(0).normal(size=(50, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def world(features):
    return simulate(IDS, features, SPEC)


def columns(world):
    log = world.interactions
    return (log.user, log.song, log.timestamp, log.event, log.weight)


def test_the_same_seed_makes_the_same_world(world, features):
    again = simulate(IDS, features, SPEC)
    for mine, theirs in zip(columns(world), columns(again), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for name in ("profiles", "truth_users", "truth_songs"):
        assert getattr(world, name).equals(getattr(again, name))
    other = simulate(IDS, features, replace(SPEC, seed=4))
    assert len(other.interactions) != len(world.interactions)


def test_the_planted_counts_are_exact(world):
    truth, songs = world.truth_users, world.truth_songs
    assert np.sum(truth["sensitive"].to_numpy()) == 60
    assert np.sum(truth["cold"].to_numpy()) == 12
    assert np.sum(songs["cold"].to_numpy()) == 15
    assert songs["song_id"].to_pylist() == IDS
    assert np.sum(songs["popularity"].to_numpy()) == pytest.approx(1)


def test_nobody_hears_a_song_before_it_is_out_or_before_joining(world):
    log = world.interactions
    day = np.floor((log.timestamp - START_S) / DAY_S)
    release = dict(
        zip(
            world.truth_songs["song_id"].to_pylist(),
            world.truth_songs["release_day"].to_pylist(),
            strict=True,
        )
    )
    joined = dict(
        zip(
            world.truth_users["user_id"].to_pylist(),
            world.truth_users["joined_day"].to_pylist(),
            strict=True,
        )
    )
    assert (day >= np.array([release[i] for i in log.song_ids])[log.song]).all()
    assert (day >= np.array([joined[i] for i in log.user_ids])[log.user]).all()
    assert day.min() >= 0
    assert day.max() <= SPEC.days
    # Late songs are heard at all, once they are out.
    late = [i for i, cold in zip(IDS, world.truth_songs["cold"].to_pylist(), strict=True) if cold]
    assert set(late) & set(log.song_ids)


def test_events_agree_with_how_far_the_song_was_played(world):
    log = world.interactions
    ratio, known = log.played_ratio, ~np.isnan(log.played_ratio)
    for name, mask in (
        ("finish", ratio >= 0.9),
        ("skip", ratio < 0.35),
        ("play", (ratio >= 0.35) & (ratio < 0.9)),
    ):
        chosen = (log.event == EVENTS.index(name)) & known
        assert chosen.any()
        assert mask[chosen].all()
    assert np.isnan(ratio[~is_listening(log.event)]).all()
    assert {EVENTS[code] for code in np.unique(log.event)} == set(EVENTS) - {"block"}
    assert 0.01 < np.isnan(ratio[is_listening(log.event)]).mean() < 0.06


def test_rows_come_in_order_of_time_and_say_that_they_are_made_up(world):
    assert (np.diff(world.interactions.timestamp) >= 0).all()
    assert world.interactions.simulated
    assert all(user_id.startswith("sim-") for user_id in world.interactions.user_ids)


def test_profiles_have_gaps_and_every_user(world):
    profiles = world.profiles
    assert profiles.num_rows == SPEC.users
    for name in ("age_band", "country", "months"):
        assert 0 < profiles[name].null_count < SPEC.users / 2
    assert set(profiles["user_id"].to_pylist()) >= set(world.interactions.user_ids)


def test_popular_songs_are_heard_more(world):
    heard = np.zeros(50)
    for song_id, count in zip(
        world.interactions.song_ids, np.bincount(world.interactions.song), strict=True
    ):
        heard[IDS.index(song_id)] = count
    old = ~world.truth_songs["cold"].to_numpy()
    popularity = world.truth_songs["popularity"].to_numpy()
    assert np.corrcoef(np.log(popularity[old]), np.log(heard[old]))[0, 1] > 0.7


def test_blocks_of_users_are_joined(features, monkeypatch):
    monkeypatch.setattr(world_module, "BLOCK_NUMBERS", 50 * 32)
    calls = []
    world = simulate(IDS, features, SPEC, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(32, 120), (64, 120), (96, 120), (120, 120)]
    assert len({user_id for user_id in world.interactions.user_ids if user_id > "sim-0000100"}) > 5


def made(features, seed=0):
    rng = np.random.default_rng(seed)
    songs = make_songs(features, days=40, cold_share=0.0, rng=rng)
    people = make_people(
        600, sensitive_share=0.5, cold_share=0.0, days=40, sessions_per_day=0.5, rng=rng
    )
    return songs, people


def alignment(places, liking):
    """How much songs that lie near each other are liked by the same people."""
    upper = np.triu_indices(len(places), 1)
    return np.corrcoef((places @ places.T)[upper], np.corrcoef(liking.T)[upper])[0, 1]


def test_taste_follows_the_audio_as_far_as_the_signal_goes(features):
    songs, people = made(features)
    found = []
    for signal in (0.0, 0.4, 1.0):
        liking = affinities(songs, people, signal=signal, rng=np.random.default_rng(1))
        found.append(alignment(songs.audible, liking[people.sensitive]))
        # The others' taste follows what cannot be heard, whatever the signal.
        assert alignment(songs.inaudible, liking[~people.sensitive]) > 0.8
        assert abs(alignment(songs.audible, liking[~people.sensitive])) < 0.12
    assert abs(found[0]) < 0.12
    assert 0.25 < found[1] < found[2]
    assert found[2] > 0.8


def test_liking_is_standardised_for_each_user(features):
    songs, people = made(features)
    liking = affinities(songs, people, signal=0.5, rng=np.random.default_rng(1))
    np.testing.assert_allclose(liking.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(liking.std(axis=1), 1, atol=1e-5)


def test_age_and_country_lean_to_the_same_songs(features):
    songs, people = made(features)
    liking = affinities(songs, people, signal=0.5, rng=np.random.default_rng(1))
    same = (people.age[:, None] == people.age) & (people.country[:, None] == people.country)
    same &= people.sensitive[:, None] == people.sensitive
    np.fill_diagonal(same, False)
    alike = np.corrcoef(liking)
    assert alike[same].mean() > alike[~same].mean() + 0.1


def test_songs_that_sound_alike_lie_near_each_other(features):
    nudged = np.vstack([features, features[:5] + 0.01])
    places = audible_places(nudged, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1)
    for i in range(5):
        assert places[i] @ places[50 + i] > 0.99
    assert abs((places @ places.T)[np.triu_indices(50, 1)].mean()) < 0.1


@pytest.mark.parametrize("features", [np.ones((3, 4)), np.eye(2), np.arange(6.0).reshape(3, 2)])
def test_odd_songs_make_a_world_too(features):
    ids = [f"s{i}" for i in range(len(features))]
    world = simulate(ids, features, WorldSpec(users=9, days=10, sessions_per_day=2.0))
    assert len(world.interactions) > 50
    assert np.isfinite(world.interactions.timestamp).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"users": 0}, r"users must be in \[1, 10000000\], got 0"),
        ({"days": 9}, r"days must be in \[10, 3650\]"),
        ({"signal": 1.1}, r"signal must be in \[0, 1\]"),
        ({"cold_songs": float("nan")}, r"cold_songs must be in \[0, 1\], got nan"),
        ({"sessions_per_day": 0.0}, r"sessions_per_day must be in \(0, 20\]"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_specs_that_cannot_be(changes, message):
    with pytest.raises(InputError, match=message):
        replace(SPEC, **changes)


def test_songs_that_cannot_be(features):
    with pytest.raises(ShapeError, match="one row per song"):
        simulate(IDS[:-1], features)
    with pytest.raises(InputError, match="at least two songs"):
        simulate(IDS[:1], features[:1])
    with pytest.raises(InputError, match="must be unique"):
        simulate([IDS[0], *IDS[:-1]], features)
    broken = features.copy()
    broken[7, 3] = np.nan
    with pytest.raises(InputError, match="must be finite"):
        simulate(IDS, broken)


FILES_SPEC = WorldSpec(users=60, days=20, seed=1)
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
    monkeypatch.setattr(world_module, "SLICE_ROWS", 500)
    document = simulate_world(store, tmp_path / "w", FILES_SPEC)
    assert {p.name for p in (tmp_path / "w").iterdir()} == FILES
    assert json.loads((tmp_path / "w/world.json").read_text()) == document
    assert (document["simulated"], document["songs"], document["sensitive_users"]) == (True, 40, 30)
    for name in FILES - {"world.json"}:
        metadata = json.loads(pq.read_schema(tmp_path / "w" / name).metadata[b"audiorec"])
        assert metadata["simulated"] is True
        assert metadata["world"]["seed"] == 1
    log = read_interactions(tmp_path / "w/interactions.parquet")
    world = simulate(store.ids, store.vectors, FILES_SPEC).interactions
    assert log.simulated
    assert len(log) == len(world) == document["events"] > 500
    assert (log.user_ids, log.song_ids) == (world.user_ids, world.song_ids)
    for name in ("user", "song", "event", "played_ratio", "timestamp"):
        np.testing.assert_array_equal(getattr(log, name), getattr(world, name))


def test_a_world_is_replaced_but_nothing_else(store, tmp_path):
    first = simulate_world(store, tmp_path / "w", FILES_SPEC)
    second = simulate_world(store, tmp_path / "w", WorldSpec(users=30, days=20))
    assert first["users"] == 60
    assert json.loads((tmp_path / "w/world.json").read_text()) == second
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letter.txt").write_text("dear")
    with pytest.raises(InputError, match=r"contains letter.txt and is not a simulated world"):
        simulate_world(store, tmp_path / "home", FILES_SPEC)
    with pytest.raises(InputError, match="not a folder"):
        simulate_world(store, tmp_path / "home/letter.txt", FILES_SPEC)
    assert (tmp_path / "home/letter.txt").read_text() == "dear"


def test_a_world_that_was_cut_off_can_be_made_again(store, tmp_path):
    simulate_world(store, tmp_path / "w", FILES_SPEC)
    (tmp_path / "w/world.json").unlink()
    simulate_world(store, tmp_path / "w", FILES_SPEC)
    assert {p.name for p in (tmp_path / "w").iterdir()} == FILES


def test_a_world_that_breaks_off_is_not_taken_for_whole(store, tmp_path, monkeypatch):
    simulate_world(store, tmp_path / "w", FILES_SPEC)

    def full_disk(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(world_module, "_write_interactions", full_disk)
    with pytest.raises(OSError, match="No space left"):
        simulate_world(store, tmp_path / "w", FILES_SPEC)
    assert not (tmp_path / "w/world.json").exists()

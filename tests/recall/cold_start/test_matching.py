"""`recall.cold_start.matching`: lists by the full matrix, limits by the rule, kills, columns."""

import dataclasses
import json
import threading

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_engines import travelling
from made_logs import log_of
from made_stores import write_store

from audiorec.errors import InputError, LostBlocksError, SpecMismatchError
from audiorec.files.arrow import string_array
from audiorec.library.library import Library
from audiorec.listening.rule import to_preferences
from audiorec.recall.cold_start import matching as cold_start
from audiorec.recall.cold_start.assign import (
    LEAST_SIMILARITY,
    ColdStartPlan,
    ListLimits,
    Tastes,
    assign,
)
from audiorec.recall.cold_start.matching import ColdStart
from audiorec.recall.cold_start.sides import (
    Side,
    embedding_sides,
    heard_pairs,
    vector_sides,
)
from audiorec.recall.cold_start.tables import tastes_path
from audiorec.search.topk import top_k
from audiorec.store.embeddings import EmbeddingTable, write_embeddings

ARTISTS = np.array([0, 1, 0, -1, 1, 0, 2, -1, 0, 2, 1, 0])


def side(prefix, n, seed, artist=None):
    units = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return Side(string_array([f"{prefix}{i:02}" for i in range(n)]), units, artist, "m")


SONGS, USERS = side("s", 12, 1, ARTISTS), side("u", 30, 2)
SIMILAR = SONGS.units @ USERS.units.T  # (songs, users)


def plan_of(**asked):
    """A plan that shows every pair, unless it asks for a minimum."""
    return ColdStartPlan(**({"minimum": -1.0} | asked))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.parquet"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks even for a few rows."""
    monkeypatch.setattr(cold_start, "MAX_BLOCK", {"audience": 5, "songs": 7})


def run(out, plan, **more):
    more = {"inputs": {}} | more
    assert ColdStart(SONGS, USERS, plan, **more).run(out)
    assert [p.name for p in out.parent.iterdir()] == [out.name]
    return pq.read_table(out)


def lists_of(table, group, other):
    """Return the lists by their names, and check ranks and order on the way."""
    found = {}
    last = None
    for row in table.to_pylist():
        place = found.setdefault(row[group], [])
        assert row["rank"] == len(place) + 1
        assert not place or row["similarity"] <= last
        place.append(row[other])
        last = row["similarity"]
    assert list(found) == sorted(found)
    return found


def nearest(similar, names, k, minimum=-2.0, hidden=()):
    found = {}
    for row, line in enumerate(similar):
        order = [i for i in np.argsort(-line, kind="stable") if line[i] >= minimum]
        found[row] = [names[i] for i in order if (row, int(i)) not in hidden][:k]
    return found


@pytest.mark.parametrize(
    "asked",
    [
        {"lists": "audience", "k": 4},
        {"lists": "songs", "k": 3, "per_artist": 1},
        {"lists": "audience", "k": 6, "per_user": 2, "quota": 2},
    ],
)
def test_an_engine_makes_the_same_bytes(out, tmp_path, asked):
    heard = (np.arange(12), SIMILAR.argmax(axis=1))
    whole = tmp_path / "whole.parquet"
    made = ColdStart(SONGS, USERS, plan_of(**asked), heard=heard, inputs={})
    assert made.run(whole)
    assert made.run(out, engine=travelling)
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(p.name for p in out.parent.iterdir()) == ["out.parquet", "whole.parquet"]


def test_a_poison_block_of_an_engine_is_named(out):
    def losing(tasks):
        for task in tasks:
            yield task.lost("it died") if task.index == 1 else task.attempt()

    made = ColdStart(SONGS, USERS, plan_of(lists="audience", k=4), inputs={})
    with pytest.raises(LostBlocksError, match=r"1 of 3 blocks .*\(lists 6 to 10: it died\)"):
        made.run(out, engine=losing)
    assert not out.exists()
    assert made.run(out, engine=travelling)


def test_audiences_are_the_nearest_users(out):
    table = run(out, plan_of(lists="audience", k=4))
    expected = nearest(SIMILAR, USERS.ids, 4)
    assert lists_of(table, "song_id", "user_id") == {SONGS.ids[i]: v for i, v in expected.items()}
    assert table.column_names == ["song_id", "user_id", "similarity", "rank", "exposure_share"]
    by_hand = 1 / np.log2(1 + np.arange(1, 5))
    np.testing.assert_allclose(
        table.column("exposure_share").to_pylist()[:4], by_hand / by_hand.sum(), rtol=1e-6
    )
    metadata = json.loads(table.schema.metadata[b"audiorec"])
    assert (metadata["kind"], metadata["format_version"]) == ("audiences", 1)
    assert metadata["plan"] == {"lists": "audience", "k": 4, "quota": 0, "minimum": -1.0}
    assert len(metadata["fingerprint"]) == 16


def test_pairs_below_zero_are_left_out_by_default(out):
    assert LEAST_SIMILARITY == 0.0
    table = run(out, ColdStartPlan(lists="audience", k=30))
    assert table.num_rows == (SIMILAR >= 0).sum() < SIMILAR.size


def test_lists_of_songs_are_the_nearest_songs(out):
    table = run(out, plan_of(lists="songs", k=3))
    expected = nearest(SIMILAR.T, SONGS.ids, 3)
    assert lists_of(table, "user_id", "song_id") == {USERS.ids[i]: v for i, v in expected.items()}
    assert table.column_names[:2] == ["user_id", "song_id"]


@pytest.mark.parametrize("lists", ["audience", "songs"])
def test_what_was_heard_and_what_is_too_far_is_left_out(out, lists):
    best = SIMILAR.argmax(axis=1)
    heard = (np.arange(12), best)
    table = run(out, plan_of(lists=lists, k=5, minimum=0.2), heard=heard)
    pairs = set(zip(*(table.column(n).to_pylist() for n in ("song_id", "user_id")), strict=True))
    assert not pairs & {(SONGS.ids[s], USERS.ids[u]) for s, u in zip(*heard, strict=True)}
    assert min(table.column("similarity").to_pylist()) >= 0.2
    hidden = {(int(s), int(u)) for s, u in zip(*heard, strict=True)}
    if lists == "audience":
        expected = nearest(SIMILAR, USERS.ids, 5, 0.2, hidden)
        assert pairs == {(SONGS.ids[s], u) for s, us in expected.items() for u in us}
    else:
        expected = nearest(SIMILAR.T, SONGS.ids, 5, 0.2, {(u, s) for s, u in hidden})
        assert pairs == {(s, USERS.ids[u]) for u, ss in expected.items() for s in ss}


def pairs_by_rule(**limits):
    def next_best(rows, k, *, asked, floor):
        return top_k(SONGS.units[rows], USERS.units, k, excluded=asked, item_minimum=floor)

    shown = assign(next_best, 12, 30, room=ListLimits(**limits), artist=ARTISTS)
    return {(SONGS.ids[s], USERS.ids[u]) for s, u in zip(shown.song, shown.user, strict=True)}


@pytest.mark.parametrize("limits", [{"per_user": 1}, {"per_user": 2, "per_artist": 1, "quota": 3}])
@pytest.mark.parametrize("spare", [0, 64])
def test_limited_audiences_follow_the_rule(out, monkeypatch, limits, spare):
    monkeypatch.setattr(cold_start, "SPARE", spare)
    table = run(out, plan_of(lists="audience", k=6, **limits))
    found = lists_of(table, "song_id", "user_id")
    pairs = {(song, user) for song, users in found.items() for user in users}
    assert pairs == pairs_by_rule(per_song=6, **limits)
    users = table.column("user_id").to_pylist()
    assert max(users.count(u) for u in users) == limits["per_user"]


def test_limited_lists_of_songs_follow_the_rule(out):
    plan = plan_of(lists="songs", k=4, per_song=9, per_artist=2, quota=2)
    found = lists_of(run(out, plan), "user_id", "song_id")
    pairs = {(song, user) for user, songs in found.items() for song in songs}
    assert pairs == pairs_by_rule(per_song=9, per_user=4, per_artist=2, quota=2)


def test_no_artist_fills_a_list(out):
    found = lists_of(run(out, plan_of(lists="songs", k=5, per_artist=1)), "user_id", "song_id")
    artist = dict(zip(SONGS.ids, ARTISTS.tolist(), strict=True))
    for user, songs in found.items():
        seen, expected = set(), []
        for song in nearest(SIMILAR.T, SONGS.ids, 12)[USERS.ids.index(user)]:
            if artist[song] < 0 or artist[song] not in seen:
                seen.add(artist[song])
                expected.append(song)
        assert songs == expected[:5]


def test_a_list_looks_on_where_one_artist_is_too_many(out, monkeypatch):
    monkeypatch.setattr(cold_start, "SPARE_SONGS", 0)
    test_no_artist_fills_a_list(out)


def test_every_song_reaches_its_quota_and_lists_keep_their_length(out):
    plain = lists_of(run(out, plan_of(lists="songs", k=2)), "user_id", "song_id")
    shown = [song for songs in plain.values() for song in songs]
    assert min(shown.count(s) for s in SONGS.ids) < 3
    table = run(out, plan_of(lists="songs", k=2, quota=3))
    fair = lists_of(table, "user_id", "song_id")
    shown = [song for songs in fair.values() for song in songs]
    assert min(shown.count(s) for s in SONGS.ids) >= 3
    assert [len(songs) for songs in fair.values()] == [2] * 30


class After(threading.Event):
    """Is set once it has been asked so many times."""

    def __init__(self, blocks):
        super().__init__()
        self.left = blocks

    def is_set(self):
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize(
    "plan",
    [
        plan_of(lists="audience", k=4),
        plan_of(lists="audience", k=4, per_user=2),
        plan_of(lists="songs", k=3, quota=2),
    ],
)
def test_a_job_that_was_stopped_anywhere_goes_on(out, plan):
    whole = run(out, plan)
    out.unlink()
    for blocks in range(20):
        if ColdStart(SONGS, USERS, plan, inputs={}).run(out, stop=After(blocks % 3)):
            break
        assert not out.exists()
    else:
        pytest.fail("never came to an end")
    assert blocks > 1
    assert pq.read_table(out).equals(whole)
    assert [p.name for p in out.parent.iterdir()] == [out.name]


def test_what_was_found_for_other_inputs_is_not_used(out):
    plan = plan_of(lists="audience", k=4, per_user=2)
    expected = run(out, plan)
    out.unlink()
    turned = dataclasses.replace(USERS, units=-USERS.units)
    assert not ColdStart(SONGS, turned, plan, inputs={"users": 1}).run(out, stop=After(4))
    assert out.with_name("out.parquet.candidates").exists()
    assert run(out, plan, inputs={"users": 2}).equals(expected)


def test_progress_names_what_is_done(out):
    told = []
    ColdStart(SONGS, USERS, plan_of(lists="audience", k=2, per_user=1), inputs={}).run(
        out, progress=lambda *at: told.append(at)
    )
    assert told[0] == ("candidates", 0, 3)
    assert ("songs settled", 12, 12) in told
    assert told[-1] == ("lists", 3, 3)


LOG = log_of(
    ("ana", "kind/song-0001.flac", 10.0, "like"),
    ("ana", "kind/song-0004.flac", 20.0, "like"),
    ("ben", "kind/song-0002.flac", 1.0, "skip", 0.0),
    ("eva", "kind/song-0005.flac", 1.0, "like"),
    ("eva", "kind/song-0000.flac", 1.0, "finish", 1.0),
)


@pytest.fixture
def by_vector(tmp_path):
    """Two users with tastes over a store of eight songs, which are the new ones as well."""
    write_store(tmp_path / "store", 8)
    store = Library.open(tmp_path / "store")
    return store, *vector_sides(store, store, Tastes(to_preferences(LOG), store))


def test_by_vector_with_tastes_for_a_ranker(by_vector, out):
    store, songs, users, tastes = by_vector
    assert users.ids == ["ana", "eva"]  # ben likes nothing
    heard = heard_pairs(to_preferences(LOG), songs, users)
    assert sorted(zip(*map(list, heard), strict=True)) == [(0, 1), (1, 0), (4, 0), (5, 1)]
    job = ColdStart(
        songs, users, plan_of(lists="songs", k=3), heard=heard, tastes=tastes, inputs={}
    )
    assert job.run(out)
    table = pq.read_table(out)
    assert table.column_names[-1] == "preference_songs"
    assert table.column("preference_songs").to_pylist() == [2] * 3 + [2] * 3
    beside = pq.read_table(tastes_path(out))
    assert beside.column("user_id").to_pylist() == ["ana", "eva"]
    assert beside.column("preference_songs").to_pylist() == [2, 2]
    mean = np.array(beside.column("preference_mean").to_pylist(), np.float32)
    one, four = store.vector("kind/song-0001.flac"), store.vector("kind/song-0004.flac")
    np.testing.assert_allclose(mean[0], (one.astype(float) + four) / 2, rtol=1e-4)
    spread = np.array(beside.column("preference_spread").to_pylist(), np.float32)
    np.testing.assert_allclose(spread[0], np.abs(one.astype(float) - four) / 2, rtol=1e-3)
    about = [json.loads(t.schema.metadata[b"audiorec"]) for t in (table, beside)]
    assert about[0]["fingerprint"] == about[1]["fingerprint"]
    assert (about[1]["kind"], about[1]["format_version"]) == ("tastes", 1)
    similarity = np.array(table.column("similarity").to_pylist(), np.float32)
    units = store.space("vector").matrix
    taste = units[1] + units[4]
    best = [i for i in np.argsort(-(units @ taste)) if i not in (1, 4)][:3]
    expected = units[best] @ taste / np.linalg.norm(taste)
    np.testing.assert_allclose(similarity[:3], expected, atol=1e-5)


def test_tastes_are_of_users_who_have_one_and_go_on_after_a_stop(by_vector, out, monkeypatch):
    store, songs, _, _ = by_vector
    users = Side(string_array(["ana", "ben", "eva"]), songs.units[:3], None, "m")
    tastes = Tastes(to_preferences(LOG), store, user_ids=users.ids)
    plan = plan_of(lists="audience", k=2)
    assert ColdStart(songs, users, plan, tastes=tastes, inputs={}).run(out)
    whole = pq.read_table(tastes_path(out))
    assert whole.column("user_id").to_pylist() == ["ana", "eva"]
    rows = {row["user_id"]: row["preference_songs"] for row in pq.read_table(out).to_pylist()}
    assert rows == {"ana": 2, "ben": 0, "eva": 2}
    for path in (out, tastes_path(out)):
        path.unlink()
    monkeypatch.setattr(cold_start, "TASTES_BLOCK", 1)
    job = ColdStart(songs, users, plan, tastes=tastes, inputs={})
    assert not job.run(out, stop=After(1))
    assert not tastes_path(out).exists()
    assert not job.run(out, stop=After(1))  # the tastes are whole, the lists are not begun
    made = tastes_path(out).stat().st_mtime_ns
    assert not out.exists()
    assert job.run(out)
    assert tastes_path(out).stat().st_mtime_ns == made
    assert pq.read_table(tastes_path(out)).equals(whole)
    assert sorted(p.name for p in out.parent.iterdir()) == [
        out.name,
        tastes_path(out).name,
        "store",
    ]


def test_a_job_without_tastes_removes_old_ones_and_no_other_file(by_vector, out):
    _, songs, users, tastes = by_vector
    plan = plan_of(lists="audience", k=2)
    assert ColdStart(songs, users, plan, tastes=tastes, inputs={}).run(out)
    assert tastes_path(out).exists()
    assert ColdStart(songs, users, plan, inputs={}).run(out)
    assert not tastes_path(out).exists()
    tastes_path(out).write_text("mine")
    assert ColdStart(songs, users, plan, inputs={}).run(out)
    assert tastes_path(out).read_text() == "mine"
    write_store(tastes_path(out), 2)
    assert ColdStart(songs, users, plan, inputs={}).run(out)
    assert Library.open(tastes_path(out)).ids[0] == "kind/song-0000.flac"


def test_sides_of_two_spaces_are_refused(tmp_path):
    for name, of, model, space in (
        ("users", "users", "u1", ""),
        ("mine", "songs", "metric", "u1"),
        ("theirs", "songs", "metric", "u2"),
    ):
        numbers = np.float32([[3, 4], [1, 0]])
        write_embeddings(tmp_path / name, ["a", "b"], numbers, kind=of, model_id=model, space=space)
    users = EmbeddingTable.open(tmp_path / "users")
    songs, people = embedding_sides(EmbeddingTable.open(tmp_path / "mine"), users)
    np.testing.assert_allclose(songs.units[0], [0.6, 0.8])
    assert songs.artist is None
    assert people.ids == ["a", "b"]
    with pytest.raises(SpecMismatchError, match="lie in different spaces, u2 and u1"):
        embedding_sides(EmbeddingTable.open(tmp_path / "theirs"), users)


def test_an_embedding_without_direction_is_refused(tmp_path):
    write_embeddings(
        tmp_path / "u", ["a", "b"], np.float32([[1, 0], [0, 0]]), kind="users", model_id="m"
    )
    table = EmbeddingTable.open(tmp_path / "u")
    with pytest.raises(InputError, match="the embedding of 'b' has length 0"):
        embedding_sides(table, table)


def test_a_large_side_is_mapped(tmp_path, monkeypatch):
    from audiorec.recall.cold_start import sides

    monkeypatch.setattr(sides, "IN_MEMORY_BYTES", 8)
    monkeypatch.setattr(sides.tempfile, "tempdir", str(tmp_path))
    write_embeddings(
        tmp_path / "u", ["a", "b"], np.float32([[3, 4], [0, 2]]), kind="users", model_id="m"
    )
    units = sides.unit_embeddings(EmbeddingTable.open(tmp_path / "u"))
    assert isinstance(units, np.memmap)
    np.testing.assert_allclose(units, [[0.6, 0.8], [0, 1]], rtol=1e-6)
    assert top_k(np.float32([[0, 1]]), units, 1).indices.tolist() == [[1]]
    assert [p.name for p in tmp_path.iterdir()] == ["u"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 0}, "per_song must be at least 1"),
        ({"per_song": 3}, "per_song applies to lists of songs"),
        ({"lists": "songs", "per_user": 3}, "per_user applies to audiences"),
        ({"minimum": float("nan")}, r"minimum must be in \[-1, 1\], got nan"),
        ({"minimum": 1.5}, r"minimum must be in \[-1, 1\]"),
        ({"quota": 5}, r"quota must be in \[0, 4\], got 5"),
        ({"quota": -1}, "quota must be at least 0"),
        ({"lists": "songs", "per_artist": 0}, "per_artist must be at least 1"),
    ],
)
def test_a_plan_is_checked(changes, message):
    with pytest.raises(InputError, match=message):
        ColdStartPlan(**({"lists": "audience", "k": 4} | changes))


def test_a_job_is_checked():
    nobody = dataclasses.replace(USERS, id_array=string_array([]), units=USERS.units[:0])
    with pytest.raises(InputError, match="there are no users"):
        ColdStart(SONGS, nobody, plan_of(lists="songs", k=1), inputs={})
    anonymous = dataclasses.replace(SONGS, artist=None)
    with pytest.raises(InputError, match="needs a column 'artist'"):
        ColdStart(anonymous, USERS, plan_of(lists="songs", k=1, per_artist=1), inputs={})

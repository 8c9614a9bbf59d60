"""`recall.serving`: fused lists by hand, by a slow reference, and what they never hold."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_candidates import table_of
from made_logs import log_of

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import SCHEMA
from audiorec.recall.serving.exclusions import (
    best_copies,
    excluded_by,
    joined_sequences,
    read_exposures,
    traits_of,
    with_copies,
)
from audiorec.recall.serving.fuse import NO_FACTS, NOTHING, fuse
from audiorec.recall.serving.lists import count_fused, fuse_files
from audiorec.recall.serving.rules import Exclusions, FusionRecipe, SongTraits
from audiorec.recall.serving.tables import user_blocks


def lists_of(table):
    found = defaultdict(list)
    for row in table.to_pylist():
        assert row["rank"] == len(found[row["user_id"]]) + 1
        found[row["user_id"]].append(row["song_id"])
    return dict(found)


def facts(**groups):
    ids = tuple(sorted({song for of in groups.values() for song in of}))
    codes = {name: np.array([of.get(s, -1) for s in ids]) for name, of in groups.items()}
    return SongTraits(song_ids=ids, groups=codes, plays=np.zeros(len(ids), np.int64))


def fused(*tables, facts=NO_FACTS, excluded=NOTHING, **settings):
    return lists_of(fuse(tables, FusionRecipe(**settings), facts, excluded))


def test_reciprocal_rank_by_hand():
    one, other = table_of("one", {"u": ["a", "b", "c"]}), table_of("other", {"u": ["c", "d"]})
    # a 1/11, b 1/12, c 1/13 + 1/11, d 1/12 (behind b, whose id comes first)
    assert fused(one, other) == {"u": ["c", "a", "b", "d"]}
    assert fused(one, other, weights=(1.0, 0.0)) == {"u": ["a", "b", "c"]}
    found = fuse([one, other], FusionRecipe(k=2))
    assert found.column("similarity").to_pylist() == pytest.approx(
        [1.0, (1 / 11) / (1 / 13 + 1 / 11)]
    )
    assert found.column("channel").to_pylist() == ["other", "one"]  # who gives a song the most
    assert found.schema == SCHEMA


def test_songs_of_one_similarity_share_the_mean_of_their_places():
    tied = table_of("one", {"u": ["a", "b", "c"]})
    same = pa.array([0.5, 0.5, 0.4], pa.float32())
    tied = tied.set_column(4, SCHEMA.field("similarity"), same)
    other = table_of("other", {"u": ["b", "a"]})
    found = fuse([tied, other], FusionRecipe())
    # a and b stand at 1.5 in one list; the other decides.
    assert found.column("song_id").to_pylist() == ["b", "a", "c"]
    weights = [1 / 11.5 + 1 / 11, 1 / 11.5 + 1 / 12, 1 / 13]
    assert found.column("similarity").to_pylist() == pytest.approx(
        [w / weights[0] for w in weights]
    )


def test_quotas_give_places_in_proportion():
    one = table_of("one", {"u": [f"a{n}" for n in range(9)]})
    other = table_of("other", {"u": [f"b{n}" for n in range(9)]})
    found = fused(one, other, method="quotas", weights=(3.0, 1.0), k=8)["u"]
    assert sum(song.startswith("a") for song in found) == 6
    assert found[:3] == ["a0", "a1", "b0"]


def test_quotas_give_each_interest_of_a_channel_the_same():
    # Twelve songs of one interest are more similar than the only three of the other.
    songs = [f"a{n:02}" for n in range(12)] + ["z0", "z1", "z2"]
    of = {song: int(song.startswith("z")) for song in songs}
    found = fused(table_of("mind", {"u": songs}, interests=of), method="quotas", k=6)["u"]
    assert sum(song.startswith("z") for song in found) == 3
    assert not any(s.startswith("z") for s in fused(table_of("mind", {"u": songs}), k=6)["u"])


def test_cold_songs_have_places_of_their_own_and_no_more():
    warm = table_of("warm", {"u": [f"w{n}" for n in range(10)]})
    cold = table_of("cold", {"u": ["n0", "n1", "n2"]}, cold=("n0", "n1", "n2"))
    assert fused(warm, cold, k=5)["u"] == ["w0", "w1", "w2", "w3", "w4"]
    assert fused(warm, cold, k=5, cold_share=0.4)["u"] == ["w0", "n0", "w1", "n1", "w2"]
    few = table_of("warm", {"u": ["w0"]})
    assert len(fused(few, cold, k=5, cold_share=0.2)["u"]) == 2


def test_heard_songs_come_by_replay_alone_and_in_its_share():
    heard = Sequences.from_lists([["a", "b"]], ["u"])
    one, again = table_of("one", {"u": ["a", "c", "d", "e"]}), table_of("replay", {"u": ["b", "a"]})
    excluded = Exclusions.of(heard=heard)
    assert fused(one, again, excluded=excluded)["u"] == ["c", "d", "e"]
    assert set(fused(one, again, excluded=excluded, k=4, replay_share=0.25)["u"]) == {
        "c",
        "d",
        "e",
        "b",
    }


def test_never_beats_replay_and_artists_are_blocked_by_plain_name():
    excluded = Exclusions.of(
        never=Sequences.from_lists([["b"]], ["u"]),
        artists=Sequences.from_lists([["the beatles"]], ["u"]),
    )
    known = SongTraits(
        song_ids=("a", "b", "c"),
        groups={"artist": np.array([0, -1, -1])},
        plays=np.zeros(3, np.int64),
        artists=("the beatles",),
    )
    both = {"u": ["a", "b", "c"], "v": ["a", "b", "c"]}
    found = fused(table_of("replay", both), facts=known, excluded=excluded, replay_share=1.0)
    assert found == {"u": ["c"], "v": ["a", "b", "c"]}


def test_caps_and_copies():
    songs = ["a1", "a2", "a3", "b1", "c1"]
    of = facts(
        artist={"a1": 0, "a2": 0, "a3": 0, "b1": 1},
        album={"a1": 0, "a2": 0, "a3": 1},
        recording={"a1": 7, "b1": 7},
    )
    one = table_of("one", {"u": songs})
    assert fused(one, facts=of)["u"] == ["a1", "a2", "a3", "c1"]  # b1 is a1 again
    assert fused(one, facts=of, per_artist=1)["u"] == ["a1", "c1"]
    assert fused(one, facts=of, per_album=1)["u"] == ["a1", "a3", "c1"]
    assert fused(one, facts=of, per_album=1, per_artist=2)["u"] == ["a1", "a3", "c1"]


def test_dials():
    hits = SongTraits(song_ids=("hit", "rare"), plays=np.array([999, 0]))
    one = table_of("one", {"u": ["hit", "rare"]})
    assert fused(one, facts=hits)["u"] == ["hit", "rare"]
    assert fused(one, facts=hits, popularity=0.5)["u"] == ["rare", "hit"]
    songs = ["r1", "r2", "r3", "j1", "x"]
    of = facts(genre={"r1": 0, "r2": 0, "r3": 0, "j1": 1})
    assert fused(table_of("one", {"u": songs}), facts=of, k=3)["u"] == ["r1", "r2", "r3"]
    varied = fused(table_of("one", {"u": songs}), facts=of, k=3, diversity=0.6)["u"]
    assert varied[0] == "r1"
    assert {"j1", "x"} == set(varied[1:])


def test_refusals():
    one = table_of("one", {"u": ["a"]})
    with pytest.raises(InputError, match="2 weights for 1 tables"):
        fuse([one], FusionRecipe(weights=(1.0, 2.0)))
    for wrong in (
        {"k": 0},
        {"weights": (0.0,)},
        {"weights": (-1.0, 2.0)},
        {"method": "sum"},
        {"cold_share": 1.5},
        {"cold_share": 0.6, "replay_share": 0.6},
        {"popularity": -1.0},
    ):
        with pytest.raises(InputError):
            FusionRecipe(**wrong)
    with pytest.raises(InputError, match="no table of candidates"):
        fuse_files([], Path("out.parquet"), FusionRecipe())


def test_equal_sums_tie_in_whatever_order_they_were_added():
    # 1/11 + 1/12 + 1/13 for each of three songs, added in three orders.
    turns = (["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"])
    made = [table_of(f"c{n}", {"w": songs}) for n, songs in enumerate(turns)]
    assert fused(*made)["w"] == ["a", "b", "c"]


def slow_reciprocal(tables, recipe, heard, artist):
    """Fuse one user after the other, with dictionaries."""
    users = sorted({row["user_id"] for t in tables for row in t.to_pylist()})
    found = {}
    for user in users:
        weight = defaultdict(float)
        for w, table in zip(recipe.weights_of(len(tables)), tables, strict=True):
            rows = [r for r in table.to_pylist() if r["user_id"] == user]
            songs = [r["song_id"] for r in rows if (user, r["song_id"]) not in heard]
            for place, song in enumerate(songs, start=1):
                weight[song] += w / (10 + place)
        kept, counts = [], defaultdict(int)
        for song in sorted(weight, key=lambda s: (-round(weight[s], 12), s)):
            if len(kept) < recipe.k and counts[artist[song]] < (recipe.per_artist or 99):
                kept.append(song)
                counts[artist[song]] += 1
        if kept:
            found[user] = kept
    return found


SONGS = [f"s{n:02}" for n in range(12)]
ranked = st.lists(st.sampled_from(SONGS), unique=True, max_size=8)
tables = st.lists(
    st.dictionaries(st.sampled_from("uvw"), ranked, max_size=3), min_size=1, max_size=4
)


@settings(deadline=None, max_examples=150)
@given(
    tables, st.sets(st.tuples(st.sampled_from("uvw"), st.sampled_from(SONGS))), st.integers(0, 2)
)
def test_any_lists_as_a_slow_reference_has_them(lists, heard, per_artist):
    made = [table_of(f"c{n}", dict(sorted(one.items()))) for n, one in enumerate(lists)]
    recipe = FusionRecipe(k=5, per_artist=per_artist)
    artist = {song: n // 3 for n, song in enumerate(SONGS)}
    by_user = defaultdict(list)
    for user, song in sorted(heard):
        by_user[user].append(song)
    excluded = Exclusions.of(heard=Sequences.from_lists(list(by_user.values()), list(by_user)))
    found = fuse(made, recipe, facts(artist=artist), excluded)
    assert lists_of(found) == slow_reciprocal(made, recipe, heard, artist)


@settings(deadline=None, max_examples=50)
@given(tables, st.integers(1, 7))
def test_blocks_of_any_size_give_the_same_file(tmp_path_factory, lists, rows):
    folder = tmp_path_factory.mktemp("fused")
    paths = []
    for number, one in enumerate(lists):
        paths.append(folder / f"{number}.parquet")
        pq.write_table(table_of(f"c{number}", dict(sorted(one.items()))), paths[-1])
    recipe = FusionRecipe(k=4)
    whole = fuse([pq.read_table(path).cast(SCHEMA) for path in paths], recipe)
    blocks = [fuse(block, recipe) for block in user_blocks(paths, rows=rows)]
    assert pa.concat_tables([SCHEMA.empty_table(), *blocks]).equals(whole)
    users = [u for block in blocks for u in block.column("user_id").unique().to_pylist()]
    assert users == sorted(set(users))  # nobody is cut in two


def test_files_of_others_and_files_out_of_order(tmp_path):
    (tmp_path / "theirs.csv").write_text("user_id,song_id\nv,x\nu,y\nu,x\n")
    ours = table_of("one", {"v": ["a"], "u": ["x"]})  # not in the order of its users
    pq.write_table(ours, tmp_path / "ours.parquet")
    tables, out = [tmp_path / "ours.parquet", tmp_path / "theirs.csv"], tmp_path / "out.parquet"
    fuse_files(tables, out, FusionRecipe())
    report = count_fused(tables, out)
    found = pq.read_table(tmp_path / "out.parquet")
    assert lists_of(found) == {"u": ["x", "y"], "v": ["a", "x"]}
    assert report.users == 2
    assert report.rows == 4
    assert report.channels == {"one": 2, "theirs": 3}  # x of u is of both
    again = tmp_path / "again.parquet"
    fuse_files([tmp_path / "ours.parquet", tmp_path / "theirs.csv"], again, FusionRecipe())
    assert again.read_bytes() == (tmp_path / "out.parquet").read_bytes()


def test_a_damaged_file_leaves_what_was_there(tmp_path):
    (tmp_path / "out.parquet").write_bytes(b"old")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(InputError, match=r"bad\.parquet"):
        fuse_files([tmp_path / "bad.parquet"], tmp_path / "out.parquet", FusionRecipe())
    assert (tmp_path / "out.parquet").read_bytes() == b"old"


def test_what_a_log_closes():
    log = log_of(
        ("u", "a", 1.0, "finish"),
        ("u", "b", 2.0, "like"),
        ("u", "c", 3.0, "dislike"),
        ("u", "d", 4.0, "block"),
        ("v", "a", 5.0, "skip"),
    )
    excluded = excluded_by(log)

    def of(lists):
        user, song = lists.pairs_of(["u", "v", "x"])
        names = dict(zip(lists.songs.rows(list("abcd")).tolist(), "abcd", strict=True))
        return {("uvx"[u], names[s]) for u, s in zip(user.tolist(), song.tolist(), strict=True)}

    assert of(excluded.heard) == {("u", "a"), ("v", "a")}
    assert {("u", "c"), ("u", "d")} <= of(excluded.never)
    assert ("u", "a") not in of(excluded.never)
    assert excluded_by(log, keep_heard=True).heard is None


def test_exposures_stay_away_for_some_days(tmp_path):
    path = tmp_path / "shown.csv"
    path.write_text("user_id,song_id,shown_at\nu,a,2026-01-01\nu,b,2026-01-09\nv,a,2026-01-10\n")
    found = read_exposures(path, days=3)
    assert {o: [found.song_ids[s] for s in found[u]] for u, o in enumerate(found.owner_ids)} == {
        "u": ["b"],
        "v": ["a"],
    }
    path.write_text("user_id,song_id,shown_at\nu,a,yesterday\n")
    with pytest.raises(InputError, match=r"shown\.csv: .* row 1 has no valid time in shown_at"):
        read_exposures(path, days=3)
    path.write_text("user_id,song_id\nu,a\n")
    with pytest.raises(InputError, match="shown_at"):
        read_exposures(path, days=3)


def test_lists_of_several_sources_are_joined():
    found = joined_sequences(
        [Sequences.from_lists([["a"]], ["u"]), Sequences.from_lists([["b"], ["a"]], ["u", "v"])]
    )
    assert found.owner_ids == ("u", "v")
    assert found.song_ids == ("a", "b")
    assert [found[row].tolist() for row in range(2)] == [[0, 1], [0]]
    assert len(joined_sequences([])) == 0
    assert traits_of().song_ids == ()


COPIES = facts(recording={"a": 0, "a mp3": 0, "a ogg": 0, "b": 1, "b mp3": 1, "c": -1})


def test_a_copy_of_a_heard_or_disliked_song_is_excluded():
    heard = Sequences.from_lists([["a mp3", "c", "d"], ["c"], []], ["u", "v", "w"])
    found = with_copies(heard, COPIES)
    lists = {
        user: sorted(found.song_ids[n] for n in found[row])
        for row, user in enumerate(found.owner_ids)
    }
    assert lists == {"u": ["a", "a mp3", "a mp3", "a ogg", "c", "d"], "v": ["c"], "w": []}
    assert with_copies(heard, NO_FACTS) is heard
    log = log_of(("u", "a mp3", 5, "play"), ("u", "b", 5, "dislike"))
    without, known = excluded_by(log), excluded_by(log, facts=COPIES)
    assert not without.heard.holds("u", "a")
    assert known.heard.holds("u", "a")
    assert known.never.holds("u", "b mp3")
    assert not known.never.holds("u", "c")
    table = table_of("one", {"u": ["a", "b mp3", "c"]})
    assert fused(table, facts=COPIES, excluded=known) == {"u": ["c"]}


def test_of_the_copies_that_a_model_knows_the_most_played_one_is_proposed():
    played = SongTraits(
        song_ids=COPIES.song_ids,
        groups=COPIES.groups,
        plays=np.array([{"a ogg": 5, "b": 1}.get(song, 0) for song in COPIES.song_ids]),
    )
    assert best_copies(played, ("a", "a ogg", "b", "b mp3", "c", "new")) == {
        "a ogg",
        "b",
        "c",
        "new",
    }

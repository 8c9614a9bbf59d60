"""`audiorec.search.copies`: recordings of a store, the best copy of each, versions of a title."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_library import series, song, write_library
from made_sound import add_lists
from made_stores import write_store
from needs import needs

from audiorec.errors import InputError
from audiorec.library.library import Library
from audiorec.playlists.library_lists import divide_library
from audiorec.search import copies
from audiorec.search.copies import (
    CANNOT_TELL,
    SameAudio,
    find_duplicates,
    joined,
    quality,
    recordings_of,
)
from audiorec.search.music import is_music
from audiorec.search.near import all_pairs
from audiorec.search.questions import Choice, PathQuestion, PlaylistQuestion, SimilarQuestion
from audiorec.store.links import read_links, update_links, write_heard
from audiorec.store.recordings import Heard

RNG = np.random.default_rng(4)
DIRECTIONS = RNG.gamma(1.0, size=(12, 40))


def with_sound(folder, made, of):
    """A library of songs, each near the direction that `of` names; compared for copies."""
    path = write_library(folder, made)
    number = dict(zip((row["song_id"] for row, _ in made), of, strict=True))
    values = []
    for place, song_id in enumerate(Library.open(path).ids):
        off = np.random.default_rng(place).normal(size=40)
        values.append(DIRECTIONS[number[song_id]] * (1 + 0.02 * off))
    sound = [v / np.linalg.norm(v) for v in values]
    add_lists(path, embedding=values, sound=sound)
    update_links(path)
    return Library.open(path)


@pytest.fixture
def library(tmp_path):
    """Two songs in several copies, and eight more."""
    flac = {"codec": "flac", "size": 6_000_000}
    made = [
        song("one.mp3", series(0), codec="mp3", size=1_000_000, title="One", artist="A"),
        song("one.flac", series(0), **flac, title="One", artist="A"),
        song("one later.ogg", series(0), codec="vorbis", size=900_000, duration_s=58.0),
        song("two.mp3", series(1), codec="mp3", size=2_000_000, title="Two", artist="B"),
        song("two low.mp3", series(1), codec="mp3", size=500_000, title="Two", artist="B"),
        *(song(f"more {i}", series(2 + i), title=f"More {i}", artist="C") for i in range(8)),
    ]
    return with_sound(tmp_path, made, [0, 0, 0, 1, 1, *range(2, 10)])


def test_the_best_copy_is_shown_and_the_others_are_named(library):
    best = recordings_of(library)
    ids = library.ids
    groups = [sorted(ids[r] for r in np.flatnonzero(best.codes == c)) for c in range(2)]
    assert sorted(groups) == [["one later.ogg", "one.flac", "one.mp3"], ["two low.mp3", "two.mp3"]]
    assert library.copies_of(ids.index("one.mp3")) == ["one.flac", "one later.ogg"]
    assert library.copies_of(ids.index("more 0")) == []
    found = library.ask(SimilarQuestion(seeds=("more 0",), k=20, minimum=-1))
    listed = set(found.song_ids)
    assert {"one.flac", "two.mp3"} <= listed
    assert len(listed) == 9
    assert "3 copies of these songs left out (`also=copies` shows them)" in found.remarks
    songs = {song["song_id"]: song["copies"] for song in found.to_dict()["songs"]}
    assert songs["one.flac"] == ["one.mp3", "one later.ogg"]
    assert songs["more 1"] == []


def test_no_list_has_a_recording_twice_nor_a_copy_of_its_seeds(library):
    near = library.ask(SimilarQuestion(seeds=("one.mp3",), k=20, minimum=-1))
    assert not {"one.flac", "one later.ogg"} & set(near.song_ids)
    lists = library.ask(PlaylistQuestion(seeds=("one.mp3",), minutes=12))
    ids = list(lists)
    assert ids[0] == "one.mp3"
    codes = library.recordings.codes[[library.row_number(i) for i in ids]]
    assert max(np.unique(codes[codes >= 0], return_counts=True)[1]) == 1
    path = library.ask(PathQuestion(seeds=("one.flac", "more 3"), steps=5))
    assert not {"one.mp3", "one later.ogg"} & set(path)
    admitted = library.ask(
        SimilarQuestion(seeds=("one.mp3",), k=2, choice=Choice(also=("copies",)))
    )
    assert set(admitted.song_ids) == {"one.flac", "one later.ogg"}


def test_where_the_best_copy_is_not_eligible_the_next_one_is(library):
    choice = Choice(exclude=["one.flac"])
    found = library.similar("more 0", 20, minimum=-1, choice=choice)
    assert "one.mp3" in found.song_ids
    assert "one later.ogg" not in found.song_ids


def test_a_name_that_copies_share_is_the_best_one_with_a_note(library):
    assert library.resolve("one") == "one.flac"
    found = library.ask(SimilarQuestion(seeds=("one",), k=3))
    assert "note: one names 2 copies of one recording; one.flac is used" in found.remarks
    with pytest.raises(InputError, match="8 songs match 'more'"):
        library.resolve("more")


def test_two_copies_as_seeds_are_one(library):
    lists = library.ask(PlaylistQuestion(seeds=("one.mp3", "one.flac"), minutes=6))
    assert next(iter(lists)) == "one.mp3"
    assert "one.flac" not in list(lists)
    assert "note: one.flac is a copy of one.mp3" in lists.remarks


def test_titles_that_name_two_versions_are_two_recordings(tmp_path):
    made = [
        song("a", series(0), title="Lithium", artist="N"),
        song("b", series(0), title="Lithium (Instrumental)", artist="N"),
        song("c - Live", series(0)),
        song("d", series(0), title="Lithium", artist="N", duration_s=60.2),
    ]
    store = with_sound(tmp_path, made, [0, 0, 0, 0])
    codes = store.recordings.codes
    assert codes[0] == codes[3] >= 0
    assert codes[1] == codes[2] == -1
    (group,) = find_duplicates(store)
    assert (group.song_ids, group.verdict) == (("a", "d"), SameAudio.LIKELY)


def test_two_titles_halve_the_distance(tmp_path):
    values = [DIRECTIONS[0], DIRECTIONS[0] * (1 + 0.09 * RNG.normal(size=40))]
    for names, pairs in ((("One", "One"), 1), (("One", "Another"), 0), (("One", None), 1)):
        made = [song(n, series(0), title=t) for n, t in zip("ab", names, strict=True)]
        path = write_library(tmp_path, made)
        add_lists(path, embedding=values, sound=[v / np.linalg.norm(v) for v in values])
        update_links(path)
        assert (recordings_of(Library.open(path)).codes >= 0).sum() == 2 * pairs


def test_one_version_of_a_title(tmp_path):
    made = [
        song("a", series(0), title="Song", artist="Anna"),
        song("b", series(0), title="Song (Live at Home)", artist="anna"),
        song("c", series(0), title="Song - 2011 Remaster", artist="Anna"),
        song("d", series(0), title="Song", artist="Berta"),
        song("e", series(0), title="Song", artist="Anna"),  # another song of that name
        song("f", series(0), title="More", artist="Anna"),
    ]
    store = with_sound(tmp_path, made[:4] + made[5:], [0, 5, 0, 1, 2])
    every = store.similar("f", 9, minimum=-1)
    assert len(every) == 4
    one = store.ask(SimilarQuestion(seeds=("f",), k=9, minimum=-1, choice=Choice(one_version=True)))
    assert sorted(one.song_ids) == ["a", "d"]
    assert "2 versions of these songs left out (`one_version`)" in one.remarks
    seeds = SimilarQuestion(seeds=("b",), k=9, minimum=-1, choice=Choice(one_version=True))
    assert sorted(store.ask(seeds).song_ids) == ["d", "f"]
    with pytest.raises(InputError, match="contradict"):
        Choice(one_version=True, also=("copies",))


def test_a_store_without_the_file_goes_by_content_hash(tmp_path):
    made = [song("a", series(0)), song("b", series(0), content_hash="hash of a")]
    store = Library.open(write_library(tmp_path, [*made, song("c", series(0))]))
    found = recordings_of(store)
    assert (found.codes.tolist(), found.missing) == ([0, 0, -1], 3)


def test_groups_join_and_the_rest_have_none():
    assert joined(4, np.empty((0, 2), np.int64)).tolist() == [-1] * 4
    assert joined(6, np.array([[4, 5], [0, 1], [1, 4]])).tolist() == [0, 0, -1, -1, 0, 0]


def test_the_best_copy_and_why():
    def copy(**columns):
        usual = {"song_id": "x", "codec": "mp3", "size": 960_000, "duration_s": 60.0}
        return {**usual, "status": "ok", "packet_errors": 0, "source_rate": 44_100, **columns}

    damaged = copy(song_id="damaged", codec="flac", packet_errors=2)
    flac = copy(song_id="flac", codec="flac", size=5_000_000)
    low, high = copy(song_id="low", size=480_000), copy(song_id="high")
    longer = copy(song_id="longer", size=992_000, duration_s=62.0)
    order = sorted([low, high, damaged, longer, flac], key=quality)
    assert [one["song_id"] for one in order] == ["flac", "longer", "high", "low", "damaged"]
    # Of lossless copies more bits a second are no better than a longer one, or a higher rate.
    cut = copy(song_id="cut", codec="flac", size=6_000_000, duration_s=58.0)
    half = copy(song_id="half", codec="flac", size=7_000_000, source_rate=22_050)
    assert sorted([half, cut, flac], key=quality) == [flac, cut, half]


def test_a_copy_is_surplus_where_its_original_is_known(library):
    """Else none is, and the first by quality is shown."""
    one = next(g for g in find_duplicates(library) if "one.flac" in g.song_ids)
    assert (one.kept, one.why, dict(one.surplus)) == ("one.flac", CANNOT_TELL, {})
    links = read_links(library)
    names = [[library.ids[row] for row in pair] for pair in links.pairs.tolist()]
    at = next(n for n, pair in enumerate(names) if {"one.flac", "one later.ogg"} == set(pair))
    first = names[at][0] == "one later.ogg"
    links.heard[at] = Heard.FIRST if first else Heard.SECOND
    write_heard(library, links)
    one = next(g for g in find_duplicates(library) if "one.flac" in g.song_ids)
    assert one.song_ids[-1] == "one.flac"
    assert "traces of Ogg Vorbis" in one.surplus["one.flac"]
    later, flac = (library.row_number(name) for name in ("one later.ogg", "one.flac"))
    assert recordings_of(library).of(later)[-1] == flac


def test_neighbours_name_each_recording_once_and_every_song_has_rows(library, tmp_path):
    all_pairs(library, tmp_path / "n.parquet", k=20, by="sound")
    rows = pq.read_table(tmp_path / "n.parquet").to_pylist()
    found = {song: [r["neighbour_id"] for r in rows if r["song_id"] == song] for song in library}
    own = {"one.mp3", "one.flac", "one later.ogg"}
    for name in own:
        assert not own & set(found[name])
        assert "two.mp3" in found[name]
        assert "two low.mp3" not in found[name]
    assert {len(songs) for songs in found.values()} == {9}
    ranks = [r["rank"] for r in rows if r["song_id"] == "one.mp3"]
    assert ranks == list(range(1, 10))
    similar = library.similar("more 2", 20, by="sound", minimum=-1).song_ids.tolist()
    assert found["more 2"] == similar
    all_pairs(library, tmp_path / "all.parquet", k=20, by="sound", also=("copies",))
    assert len(pq.read_table(tmp_path / "all.parquet")) == len(library) * (len(library) - 1)


def test_a_divided_library_has_each_recording_once(library):
    needs("sklearn")
    divided = divide_library(library, size=5)
    listed = [song for one in divided for song in one.song_ids]
    assert sorted(listed) == ["more " + str(i) for i in range(8)] + ["one.flac", "two.mp3"]
    assert divided.copies == 3


def plain_pairs(hashes):
    """The first row of each audio and each further one, as a person would find them."""
    first, pairs = {}, []
    for row, content in enumerate(hashes):
        if content in first:
            pairs.append((first[content], row))
        first.setdefault(content, row)
    return sorted(pairs, key=lambda pair: pair[::-1])


@pytest.mark.parametrize("collides", [False, True])
def test_songs_of_the_same_audio_are_found_whatever_their_numbers(tmp_path, monkeypatch, collides):
    hashes = [f"{number:032x}" for number in RNG.integers(0, 40, 90).tolist()]
    write_store(tmp_path / "vecs.parquet", len(hashes), content_hash=hashes)
    store = Library.open(tmp_path / "vecs.parquet")
    if collides:  # two texts may have the same number
        monkeypatch.setattr(copies, "hash", lambda _text: 7, raising=False)
    found = list(map(tuple, copies.same_audio(store).tolist()))
    assert found == plain_pairs(hashes)
    assert len(found) > 10


def test_copies_and_music_take_few_bytes_a_song(tmp_path):
    n = 50_000
    hashes = [f"{number:032x}" for number in range(n)]
    write_store(tmp_path / "vecs.parquet", n, content_hash=hashes)
    store = Library.open(tmp_path / "vecs.parquet")
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    usual = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        copies.same_audio(store)
        is_music(store)
        _, python = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)
    # All hashes as texts of Python would take 81 bytes, sorted by Arrow 116.
    assert pool.max_memory() / n < 60
    assert python / n < 60

"""`audiorec.store.links`: what is kept of copies, and new songs that are compared with them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_library import series, song, write_library
from made_sound import add_lists

from audiorec.files.arrow import string_array
from audiorec.store import recordings
from audiorec.store.links import (
    LinksFile,
    links_path,
    numbers_of,
    read_links,
    update_links,
)
from audiorec.store.store import VectorStore

SAMPLES = Path(__file__).parents[2] / "fixtures" / "formats"
WIDTH = 40


def recording(seed, *, off=0.0, of=9):
    """The embedding of one recording, a little off as that of a copy is."""
    first = np.random.default_rng(seed).gamma(1.0, size=WIDTH)
    return first * (1 + off * np.random.default_rng(of).normal(size=WIDTH))


def write(folder, made):
    """A store of songs (row, scores, embedding or None)."""
    folder.mkdir(exist_ok=True)
    path = write_library(folder, [(row, scores) for row, scores, _ in made])
    by_id = {row["song_id"]: embedding for row, _, embedding in made}
    values = [by_id[i] for i in VectorStore.open(path).ids]
    sound = [None if v is None else v / np.linalg.norm(v) for v in values]
    return add_lists(path, embedding=values, sound=sound)


def known(path):
    """The links between ids with their distances, and how many songs are not compared."""
    store = VectorStore.open(path)
    found = read_links(store)
    pairs = [tuple(store.ids[row] for row in pair) for pair in found.pairs.tolist()]
    return dict(zip(pairs, found.distance.round(5).tolist(), strict=True)), found.missing


@pytest.fixture
def all_wholes():
    """However many wholes a part may have: which are nearest depends on the songs so far."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recordings, "CUT_WHOLES", 99)
        yield


@pytest.mark.usefixtures("all_wholes")
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 14))
def test_songs_that_come_later_are_linked_as_if_all_came_at_once(tmp_path_factory, seed, n):
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        sung = series(int(rng.integers(3)), version=(0.8 * rng.integers(2), 0))
        of = recording(int(rng.integers(3)), off=float(rng.choice([0.02, 0.2])), of=i)
        tags = {"title": "Song", "artist": "Anna"} if rng.random() < 0.5 else {}
        length = float(rng.choice([58.0, 60.0, 64.0]))
        status = "truncated" if rng.random() < 0.2 else "ok"
        row, scores = song(f"{i:02}", sung, duration_s=length, status=status, **tags)
        made.append((row, scores, None if rng.random() < 0.1 else of))
    new = [row["song_id"] for row, *_ in made if rng.random() < 0.4] or ["00"]
    folder = tmp_path_factory.mktemp("later")
    old = write(folder / "old", [one for one in made if one[0]["song_id"] not in new])
    update_links(old)
    path, whole = (write(folder / name, made) for name in ("grown", "whole"))
    shutil.copy(links_path(old), links_path(path))
    assert update_links(path) == len(new)
    update_links(whole)
    assert known(path) == known(whole)
    assert known(path)[1] == 0


def test_only_what_is_new_is_compared_and_what_went_is_forgotten(tmp_path):
    made = [(*song(name, series(0)), recording(0, off=0.01, of=n)) for n, name in enumerate("abcd")]
    update_links(write(tmp_path, made[:3]))
    path = write(tmp_path, made[1:])
    assert update_links(path) == 1
    assert known(path)[0].keys() == {("b", "c"), ("b", "d"), ("c", "d")}
    path = write(tmp_path, made[2:])
    assert update_links(path) == 0
    assert known(path)[0].keys() == {("c", "d")}
    assert len(LinksFile.read(links_path(path)).audio) == 2


def test_a_file_of_the_first_format_is_read_and_goes_on(tmp_path):
    found = LinksFile.read(SAMPLES / "copies-v1.parquet")
    assert found.by_sound.tolist() == [True, True]
    assert np.sort(found.links.ends).tolist() == [found.audio.tolist()]
    today = LinksFile.read(SAMPLES / "copies-v1.parquet")
    assert today.audio.tolist() == found.audio.tolist()
    np.testing.assert_allclose(today.links.distance, found.links.distance, atol=1e-3)


HEX = st.text("0123456789abcdef", min_size=32, max_size=32)


@given(st.lists(st.one_of(HEX, st.text(max_size=40)), max_size=12), st.integers(0, 12))
def test_the_number_of_a_hash_does_not_depend_on_the_others(texts, start):
    hashes = string_array(texts)
    alone = [numbers_of(string_array([text]))[0] for text in texts]
    assert numbers_of(hashes).tolist() == alone
    assert numbers_of(hashes[start:]).tolist() == alone[start:]


def test_audio_whose_numbers_begin_alike_stays_apart(tmp_path):
    hashes = [f"{number:032x}" for number in (12, 10, 11)]
    named = zip("abc", hashes, strict=True)
    rows = [song(name, series(0), content_hash=audio) for name, audio in named]
    made = [(*one, recording(0, off=0.01, of=n)) for n, one in enumerate(rows)]
    path = write(tmp_path, made)
    assert update_links(path) == 3
    assert known(path)[0].keys() == {("a", "b"), ("a", "c"), ("b", "c")}
    assert known(path)[1] == 0

"""`audiorec.search.choice`: what is no music, by hand; what a store without *other* does."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from audiorec.search.music import is_music, why_not_music, why_vector_not_music
from audiorec.search.questions import Choice
from audiorec.search.searchable import SearchableStore
from audiorec.store.records import row_batch
from audiorec.store.schema import schema_of
from audiorec.store.store import write_table
from audiorec.types import STATISTICS

CLASSES = ("version/vocal", "version/other", "version/instrumental", "genre/rock")
SONGS = {  # means of vocal, other, instrumental; then what is said of it
    "even": ((0.4, 0.5, 0.1), {}, "speech, noise or other sound"),
    "just under": ((0.5, 0.49, 0.01), {}, ""),
    "largest, but under a half": ((0.3, 0.4, 0.3), {}, ""),
    "not the largest": ((0.6, 0.55, 0.0), {}, ""),  # heads of others need not sum to 1
    "jingle": ((0.9, 0.0, 0.1), {"segments": 2}, "only 2 segments of three seconds"),
    "shortest": ((0.9, 0.0, 0.1), {"segments": 1}, "only 1 segment of three seconds"),
    "just long enough": ((0.9, 0.0, 0.1), {"segments": 3}, ""),
    "silent": ((0.9, 0.0, 0.1), {"status": "silent"}, "silent"),
    "cut off": ((0.9, 0.0, 0.1), {"status": "truncated"}, ""),
}


def write(path, metadata, make_row, classes):
    about = replace(metadata, classes=classes)
    rows = []
    for name, (means, changes, _) in SONGS.items():
        values = np.full((len(classes), len(STATISTICS)), 0.99, np.float32)
        values[:, STATISTICS.index("mean")] = [*means, 0.1][: len(classes)]
        rows.append(make_row(name, vector=values.ravel(), **changes))
    schema = schema_of(about)
    table = pa.Table.from_batches([row_batch(row, schema) for row in rows], schema)
    write_table(path, table, about)
    return SearchableStore.open(path)


@pytest.fixture
def store(tmp_path, metadata, make_row):
    return write(tmp_path / "vecs.parquet", metadata, make_row, CLASSES)


def test_each_rule_by_hand(store):
    said = {name: why_not_music(store, store.row_number(name)) for name in SONGS}
    assert said == {name: why for name, (_, _, why) in SONGS.items()}
    music = dict(zip(store.ids, is_music(store).tolist(), strict=True))
    assert music == {name: not why for name, (_, _, why) in SONGS.items()}


def test_a_store_whose_heads_know_no_other_goes_by_status_and_length(tmp_path, metadata, make_row):
    classes = ("version/vocal", "version/noise", "version/instrumental")
    store = write(tmp_path / "v.parquet", metadata, make_row, classes)
    out = {song_id for song_id, music in zip(store.ids, store.music, strict=True) if not music}
    assert out == {"jingle", "shortest", "silent"}
    assert why_not_music(store, store.row_number("even")) == ""


def test_a_song_that_the_store_does_not_have(store):
    spoken = store.vector("even")
    assert (
        why_vector_not_music(store, spoken, {"status": "ok", "segments": 9})
        == "speech, noise or other sound"
    )
    assert why_vector_not_music(
        store, store.vector("cut off"), {"status": "short", "segments": 1}
    ).startswith("only 1 segment")
    assert (
        why_vector_not_music(store, store.vector("cut off"), {"status": "ok", "segments": 9}) == ""
    )


def test_similar_leaves_them_out_unless_asked(store):
    music = {name for name, (_, _, why) in SONGS.items() if not why}
    found = store.similar("even", 99, minimum=-1)  # no music may ask
    assert set(found.song_ids) == music
    found = store.similar(["even", "cut off"], 99, minimum=-1, choice=Choice(also=("non-music",)))
    assert [set(one.song_ids) for one in found] == [
        set(SONGS) - {"even"},
        set(SONGS) - {"cut off"},
    ]


def test_rows_of_several_groups_are_told_apart(store, monkeypatch):
    whole = is_music(store)
    vectors = store.read_vectors()
    monkeypatch.setattr(store, "blocks", lambda: iter([vectors[:2], vectors[2:5], vectors[5:]]))
    np.testing.assert_array_equal(is_music(store), whole)

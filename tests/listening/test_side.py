import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.errors import InputError, MissingFileError
from audiorec.files.languages import language_of
from audiorec.listening.side import (
    read_side,
    side_of_store,
)
from audiorec.recall.contract.training import read_context
from audiorec.store.schema import write_table
from audiorec.store.store import VectorStore

FORMATS = Path("fixtures/formats")


def texts(side, name):
    return dict(zip(side.song_ids, side.categories[name].texts(), strict=True))


def csv(tmp_path, text):
    path = tmp_path / "side.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["side-v1.csv", "side-v1.parquet"])
def test_the_sample_of_version_1_is_read_for_good(name):
    side = read_side(FORMATS / name)
    assert side.song_ids == (
        "lost/gone.mp3",
        "piano/etude.flac",
        "piano/prelude.flac",
        "rock/live.mp3",
    )
    assert texts(side, "album")["rock/live.mp3"] == "Live, and loud"
    assert side.categories["genre"].values == ("classical", "rock")
    assert side.categories["genre"].number.tolist() == [-1, 0, -1, 1]
    assert texts(side, "explicit") == {
        "lost/gone.mp3": None,
        "piano/etude.flac": "false",
        "piano/prelude.flac": "false",
        "rock/live.mp3": "true",
    }
    assert np.array_equal(side.numbers["tempo"], [np.nan, 88, np.nan, 132.5], equal_nan=True)
    epoch = datetime.date(1970, 1, 1)
    days = [(datetime.date(*d) - epoch).days for d in ((1833, 1, 1), (1839, 6, 1), (1994, 5, 20))]
    assert np.array_equal(side.released, [np.nan, *days], equal_nan=True)


def test_a_label_of_a_head_is_told_from_one_of_a_table(tmp_path):
    text = "song_id,genre,genre_from_heads\na,rock,false\nb,jazz,true\n"
    assert read_side(csv(tmp_path, text)).categories["genre"].is_heard.tolist() == [False, True]


def test_a_store_tells_artists_and_what_its_heads_hear():
    store = VectorStore.open(FORMATS / "vecs-v1.parquet")
    side = side_of_store(store)
    mean = store.metadata.statistics.index("mean")
    scores = np.asarray(store.vectors).reshape(len(store.ids), 14, 6)[:, :, mean]
    genres = [store.metadata.classes[4 + i].partition("/")[2] for i in scores[:, 4:].argmax(1)]
    assert list(texts(side, "genre").values()) == genres
    assert side.categories["genre"].is_heard.all()
    assert not side.categories["artist"].is_heard.any()
    assert list(texts(side, "artist").values()) == store.column("artist").to_pylist()


@pytest.mark.parametrize(
    ("title", "language"),
    [
        ("Yesterday", "Latin script"),
        ("Für Elise (1810)", "Latin script"),
        ("月光", "Chinese"),
        ("人々", "Chinese"),
        ("夜に駆ける", "Japanese"),
        ("ラーメン", "Japanese"),
        ("ﾗｰﾒﾝ", "Japanese"),  # half-width
        ("봄날 (Spring Day, the long remix)", "Korean"),
        ("Катюша", "Cyrillic script"),
        ("حبيبي", "Arabic script"),
        ("\u03b1-wave", "Latin script"),
        ("\u03b1", "Greek"),
        ("\uff21\uff22\uff23", "Latin script"),  # full-width ABC
        ("Hawai\u02bbi", "Latin script"),
        ("7/8 - 120", None),
        ("", None),
        (None, None),
    ],
)
def test_letters_tell_a_language_or_at_least_a_script(title, language):
    assert language_of(title) == language


def test_a_store_guesses_languages_where_they_differ(tmp_path):
    path = FORMATS / "vecs-v1.parquet"
    assert "language" not in side_of_store(VectorStore.open(path)).categories  # all are Latin
    table = pq.read_table(path)
    titles = ["月光", None, *["Moon"] * (len(table) - 2)]
    table = table.set_column(table.schema.get_field_index("title"), "title", pa.array(titles))
    write_table(tmp_path / "vecs.parquet", table, VectorStore.open(path).metadata)
    side = side_of_store(VectorStore.open(tmp_path / "vecs.parquet"))
    assert list(texts(side, "language").values())[:3] == ["Chinese", None, "Latin script"]
    assert side.categories["language"].is_heard.tolist()[:2] == [True, False]  # None is no guess
    context = read_context(vectors=tmp_path / "vecs.parquet")
    assert set(context.side.categories) == {"language"}
    assert read_context(vectors=path).side is None
    named = csv(tmp_path, f"song_id,language\n{table['song_id'][2]},French\n")
    both = read_context(vectors=tmp_path / "vecs.parquet", side=named)
    assert list(texts(both.side, "language").values()) == ["French"]


def test_the_language_of_a_tag_comes_before_a_guess(tmp_path):
    store = VectorStore.open(FORMATS / "vecs-v1-sound.parquet")
    table = pq.read_table(store.path)
    titles = ["月光", "月光", *table["title"].to_pylist()[2:4], None]
    table = table.set_column(table.schema.get_field_index("title"), "title", pa.array(titles))
    write_table(tmp_path / "vecs.parquet", table, store.metadata)
    side = side_of_store(VectorStore.open(tmp_path / "vecs.parquet"))
    spoken = side.categories["language"]
    assert spoken.texts() == ["German", "Chinese", "English", "Japanese", None]
    assert spoken.is_heard.tolist() == [False, True, False, False, False]


def test_dates_of_every_sensible_type(tmp_path):
    expected = [np.datetime64("1960-02-03").astype(int), np.nan]
    day = datetime.date(1960, 2, 3)
    stamp = datetime.datetime(1960, 2, 3, 23, tzinfo=datetime.UTC)
    for column in (
        pa.array([day, None]),
        pa.array([stamp, None], pa.timestamp("us", tz="UTC")),
        pa.array(["1960-02-03T10:00:00Z", ""]),
    ):
        pq.write_table(
            pa.table({"song_id": ["a", "b"], "released": column}), tmp_path / "s.parquet"
        )
        found = read_side(tmp_path / "s.parquet").released
        assert np.array_equal(found, np.float32(expected), equal_nan=True)
    pq.write_table(pa.table({"song_id": ["a"], "released": [1994]}), tmp_path / "s.parquet")
    assert read_side(tmp_path / "s.parquet").released.tolist() == [8766]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("song,artist\na,b\n", "has no column song_id"),
        ("song_id,artist\n", "has no rows"),
        ("song_id,artist\na,b\n,c\n", "row 2 has no song_id"),
        ("song_id,artist\nb,x\na,y\nb,z\n", "the song 'b' is duplicated, in rows 1 and 3"),
        ("song_id,released\na,1994-13\n", "released '1994-13' is not a date; write 1994"),
        ("song_id,released\na,94\n", "released '94' is not a date"),
        ("song_id,tempo\na,inf\n", "'tempo' is infinite"),
        ("song_id,tempo\na,1e300\n", "exceeds float32"),
        ("song_id,genre,genre\na,b,c\n", "'genre' is duplicated"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_side(csv(tmp_path, text))


def test_other_kinds_of_columns_are_refused(tmp_path):
    pq.write_table(pa.table({"song_id": ["a"], "tags": [["x"]]}), tmp_path / "s.parquet")
    with pytest.raises(InputError, match=r"column 'tags' holds list<.*expected text"):
        read_side(tmp_path / "s.parquet")
    with pytest.raises(MissingFileError):
        read_side(tmp_path / "none.parquet")


def test_ids_and_names_that_look_like_numbers_stay_texts(tmp_path):
    side = read_side(csv(tmp_path, "song_id,artist,year\n007,311,1995\n7,NA,\n"))
    assert side.song_ids == ("007", "7")
    assert texts(side, "artist") == {"007": "311", "7": "NA"}
    assert np.array_equal(side.numbers["year"], [1995, np.nan], equal_nan=True)

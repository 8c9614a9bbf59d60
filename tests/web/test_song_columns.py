"""`web.shelf` and `web.song_view`: what the page gets is what the store holds."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_labels import add_labels, use_hand_head
from made_library import CLASSES, series, song, write_library
from needs import needs

needs("starlette")

from audiorec.errors import InputError
from audiorec.library.library import open_store
from audiorec.search.questions import SimilarQuestion
from audiorec.web.application import store_state
from audiorec.web.gate import AddressKeys
from audiorec.web.lists import similar_to
from audiorec.web.song_columns import NONE, SongColumns, packed, songs_by_id
from audiorec.web.song_view import SongView
from audiorec.web.sound import Roots


def unpacked(data):
    """Read columns of numbers as the page does."""
    length = int.from_bytes(data[:4], "little")
    start = 4 + length
    found = {}
    for entry in json.loads(data[4:start]):
        at = start + entry["at"]
        assert at % 4 == 0
        found[entry["name"]] = np.frombuffer(data, f"<{entry['type']}", entry["n"], at)
    return found


@pytest.fixture
def shelf(tmp_path):
    rows = [
        song(
            f"s{i}",
            series(i),
            title=f"T{i}" if i else None,
            artist=f"A{i % 2}",
            duration_s=60.0 + i,
        )
        for i in range(6)
    ]
    store = write_library(tmp_path, rows, scores=True)
    table = pq.read_table(store)
    table = table.append_column("year", pa.array([1990, None, 2001, 2005, 2010, 2020]))
    table = table.append_column("mood", pa.array(["calm", None, "wild", "calm", "calm", "wild"]))
    pq.write_table(table, store)
    return SongColumns(open_store(store))


def test_columns_of_the_store_and_of_its_user(shelf):
    columns = json.loads(gzip.decompress(shelf.texts))
    assert columns["id"] == [f"s{i}" for i in range(6)]
    titles = columns["title"]
    assert titles["codes"][0] == -1
    assert titles["values"][titles["codes"][3]] == "T3"
    assert columns["own:mood"]["values"] == ["calm", "wild"]
    numbers = unpacked(gzip.decompress(shelf.numbers))
    assert numbers["duration"].tolist() == [60.0 + i for i in range(6)]
    assert numbers["own:year"][[0, 5]].tolist() == [1990.0, 2020.0]
    assert np.isnan(numbers["own:year"][1])
    assert np.abs(numbers["x"]).max() <= 1.15
    means = numbers["means"].reshape(6, len(CLASSES))
    vectors = shelf.library.vectors.reshape(6, len(CLASSES), -1)
    at = shelf.library.metadata.statistics.index("mean")
    np.testing.assert_allclose(means / 255, vectors[:, :, at], atol=0.5 / 255 + 1e-6)


def test_tempo_and_key_are_columns_to_colour_and_sort_by(tmp_path):
    known = {"bpm_confidence": 0.5, "key": "C#", "scale": "minor", "key_confidence": 0.4}
    rows = [song("a", series(0), bpm=90.5, **known), song("b", series(1), **known)]
    shelf = SongColumns(open_store(write_library(tmp_path, rows)))
    numbers = unpacked(gzip.decompress(shelf.numbers))
    np.testing.assert_array_equal(numbers["own:bpm"], np.float32([90.5, np.nan]))
    assert {"own:bpm_confidence", "own:key_confidence"} < set(numbers)
    texts = json.loads(gzip.decompress(shelf.texts))
    assert texts["own:key"] == {"values": ["C#"], "codes": [0, 0]}
    assert texts["own:scale"]["values"] == ["minor"]


def test_copies_and_loudness_are_numbers_and_a_mood_is_what_stands_out(tmp_path):
    happy, sad = [0.1, 0.2, 0.3, 0.4, 0.5, 0.9], [0.05, 0.04, None, 0.02, 0.01, 0.0]
    rows = [
        song(f"s{i}", series(i), tag_happy=happy[i], tag_sad=sad[i], loudness_lufs=-10.5 - i)
        for i in range(6)
    ]
    rows[3][0]["content_hash"] = rows[1][0]["content_hash"]
    rows[5][0].update(loudness_lufs=None, status="silent")
    shelf = SongColumns(open_store(write_library(tmp_path, rows)))
    numbers = unpacked(gzip.decompress(shelf.numbers))
    assert numbers["copies"].tolist() == [0, 1, 0, 1, 0, 0]
    assert numbers["loudness"][:5].tolist() == [-10.5, -11.5, -12.5, -13.5, -14.5]
    assert np.isnan(numbers["loudness"][5])
    mood = json.loads(gzip.decompress(shelf.texts))["mood"]
    said = [mood["values"][code] if code >= 0 else "" for code in mood["codes"]]
    # s0 is sadder than all four others that are known, s4 happier than four of five: .8. The last
    # one, happiest of all, is not music; s1 is sadder than three of four.
    assert said == ["sad", "", "", "", "happy", ""]


def test_conditions_are_those_of_the_command_line(shelf):
    bits = np.frombuffer(shelf.find("duration>62, artist=A1"), np.uint8)
    found = np.unpackbits(bits, bitorder="little")[:6]
    assert found.tolist() == [0, 0, 0, 1, 0, 1]
    with pytest.raises(InputError, match="polka"):
        shelf.find("genre=polka")


def test_packed_columns_of_every_length():
    columns = {f"c{n}": np.arange(n, dtype=np.uint8) for n in range(9)}
    columns["f"] = np.float32([1.5, np.nan])
    found = unpacked(packed(columns))
    for name, values in columns.items():
        np.testing.assert_array_equal(found[name], values)


def test_rows_by_id(shelf):
    assert songs_by_id(shelf.library, ["s5", "none", "s0"]) == [5, None, 0]


def test_one_song_its_scores_and_neighbours(shelf, tmp_path):
    view = SongView(shelf, Roots([tmp_path]), AddressKeys("token"))
    about = view.song(2)
    assert about["columns"]["title"] == "T2"
    assert "outside" in about["sound"]["why_not"]
    scores = view.scores(2)
    assert len(scores["scores"]) == len(scores["start_s"]) == 20
    assert all(abs(sum(row[:2]) - 1000) <= 2 for row in scores["scores"])
    near = similar_to(shelf, SimilarQuestion(seeds=(2,), k=5))
    found = shelf.library.similar("s2", 5)
    assert near["rows"] == found.rows.tolist()
    assert any(near["why"])


def test_the_condition_of_a_store(shelf, tmp_path):
    found = store_state(shelf.library)
    assert (found["songs"], found["statuses"], found["failures"]) == (6, {"ok": 6}, [])
    assert found["run"] is None
    assert found["running"] is None
    (tmp_path / "vecs.parquet.run").symlink_to(tmp_path)
    (tmp_path / "vecs.parquet.run.json").write_text("{")
    found = store_state(shelf.library)
    assert any("link" in note for note in found["notes"])


def test_a_genre_says_whether_it_is_clear(tmp_path, monkeypatch):
    use_hand_head(monkeypatch)
    path = write_library(tmp_path, [song(name, series(1, segments=9)) for name in "abc"])
    add_labels(path, [{"jazz": 0.9}, {"metal": 0.5, "pop": 0.45}, {"disco": 0.9}])
    shelf = SongColumns(open_store(path))
    numbers = unpacked(gzip.decompress(shelf.numbers))
    assert numbers["genre_clear"].tolist() == [1, 0, 1]
    names = shelf.heads["genre"]
    assert numbers["head:genre"].tolist() == [names.index("jazz"), names.index("metal"), NONE]
    view = SongView(shelf, Roots([]), AddressKeys())
    genres = [view.song(row)["reading"]["genre"] for row in range(3)]
    assert [one["words"] for one in genres] == ["jazz", "unclear: metal or pop", "disco"]
    assert [one["clear"] for one in genres] == [True, False, True]
    assert list(genres[1]["likely"])[:2] == ["metal", "pop"]
    style = json.loads(gzip.decompress(shelf.texts))["style"]
    assert style == {"values": ["disco"], "codes": [-1, -1, 0]}


def test_a_store_without_labels_has_no_column_for_them(shelf):
    assert "genre_clear" not in unpacked(gzip.decompress(shelf.numbers))
    assert not {"style", "mood"} & json.loads(gzip.decompress(shelf.texts)).keys()


def test_a_song_says_where_it_is_most_itself(shelf, tmp_path):
    view = SongView(shelf, Roots([tmp_path]), AddressKeys())
    part = view.song(2)["part"]
    assert part["end_s"] - part["start_s"] == pytest.approx(20)
    (tmp_path / "scores.parquet").unlink()
    fresh = SongView(SongColumns(open_store(shelf.library.path)), Roots([tmp_path]), AddressKeys())
    assert fresh.song(2)["part"] is None

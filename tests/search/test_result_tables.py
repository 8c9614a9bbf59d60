"""`audiorec.search.space`: neighbours as text, HTML and a DataFrame."""

import numpy as np
import pytest
from made_library import series, song, write_library
from needs import needs

from audiorec.search.searchable import SearchableStore
from audiorec.search.space import MOST_ROWS, Neighbours


@pytest.fixture
def store(tmp_path):
    songs = [
        song(f"{i:02}.flac", series(i), title="<i>Eins</i>\x1b" if i == 1 else None, artist="Ä")
        for i in range(30)
    ]
    return SearchableStore.open(write_library(tmp_path, songs))


def found(store, rows, similarities):
    return Neighbours(store, np.asarray(rows), np.asarray(similarities, np.float64))


def test_one_query(store):
    near = found(store, [1, 2], [0.91, -0.5])
    assert repr(near).splitlines() == [
        "2 neighbours",
        "rank  similarity  song_id  artist  title            length",
        "   1       0.910  01.flac  Ä       <i>Eins</i>\\x1b  1:00",
        "   2      -0.500  02.flac  Ä                        1:00",
    ]
    html = near._repr_html_()
    assert "<caption>2 neighbours</caption>" in html
    assert "&lt;i&gt;Eins&lt;/i&gt;\\x1b" in html


def test_a_long_list_is_cut_and_counted(store):
    near = found(store, range(25), np.linspace(1, 0, 25))
    lines = repr(near).splitlines()
    assert (len(lines), lines[-1]) == (MOST_ROWS + 3, "… 5 more")
    assert near._repr_html_().count("<tr>") == MOST_ROWS + 1


def test_several_queries(store):
    near = found(store, [[1, 2], [3, -1]], [[0.9, 0.8], [0.7, np.nan]])
    assert repr(near).splitlines() == [
        "up to 2 neighbours of each of 2 queries",
        "query  nearest  similarity",
        "    0  01.flac       0.900",
        "    1  03.flac       0.700",
    ]


def test_nothing_found(store):
    assert repr(found(store, [], [])) == "0 neighbours"
    assert "0 neighbours" in found(store, [], [])._repr_html_()
    nobody = found(store, np.zeros((2, 0), np.int64), np.zeros((2, 0)))
    assert repr(nobody).startswith("up to 0 neighbours of each of 2 queries")


def test_frames(store):
    needs("pandas")
    frame = found(store, [1, 2], [0.91, -0.5]).to_pandas()
    assert list(frame.columns) == "rank song_id similarity artist title album duration_s".split()
    assert frame["rank"].tolist() == [1, 2]
    assert frame["song_id"].tolist() == ["01.flac", "02.flac"]
    frame = found(store, [[1, 2], [3, -1]], [[0.9, 0.8], [0.7, np.nan]]).to_pandas()
    assert frame.to_dict("list") == {
        "query": [0, 0, 1],
        "rank": [1, 2, 1],
        "song_id": ["01.flac", "02.flac", "03.flac"],
        "similarity": [0.9, 0.8, 0.7],
    }

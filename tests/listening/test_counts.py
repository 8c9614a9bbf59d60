"""Logs of counts: who played what how often, without times."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.errors import InputError
from audiorec.listening.check import describe
from audiorec.listening.interactions import read_interactions
from audiorec.listening.prepare import PrepareSpec, prepare
from audiorec.listening.reading import read_prepared
from audiorec.listening.sequences import to_sequences

COUNTS = "user_id,song_id,weight\nana,b,2\nana,a,7\nben,a,1\nana,c,1\nana,c,4\n"


@pytest.fixture
def counts(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text(COUNTS)
    return path


def test_a_file_without_times_is_a_log_of_counts(counts):
    log = read_interactions(counts)
    assert log.is_counted
    assert np.isnan(log.timestamp).all()
    assert log.weight.tolist() == [2, 7, 1, 1, 4]
    assert describe(log)["kind"] == "counts"
    assert not read_interactions("fixtures/formats/interactions-v1.csv").is_counted


def test_a_song_counts_once_by_its_plays_the_most_played_last(counts):
    plays = to_sequences(read_interactions(counts))
    assert plays.is_counted
    assert [plays.song_ids[s] for s in plays[0]] == ["b", "c", "a"]
    assert plays.weight.tolist() == [2, 5, 7, 1]


def test_the_order_of_the_file_decides_nothing(counts, tmp_path):
    head, *rows = COUNTS.splitlines(keepends=True)
    again = tmp_path / "again.csv"
    again.write_text(head + "".join(reversed(rows)))
    one, two = (to_sequences(read_interactions(path)) for path in (counts, again))
    assert one.song.tolist() == two.song.tolist()
    assert one.weight.tolist() == two.weight.tolist()


def test_counts_have_no_sessions_and_nothing_to_prepare(counts, tmp_path):
    with pytest.raises(InputError, match="a log of counts has no sessions"):
        to_sequences(read_interactions(counts), by="session")
    with pytest.raises(InputError, match=r"counts\.csv: no timestamp: a log of counts, which has"):
        prepare(counts, tmp_path / "prepared", PrepareSpec())


def test_a_bucket_of_plays_without_times_keeps_their_order(tmp_path):
    path = tmp_path / "sessions.csv"
    rows = [f"ana,s,{song},play" for song in "bab"]
    path.write_text("user_id,session_id,song_id,event\n" + "\n".join(rows) + "\n")
    prepare(path, tmp_path / "prepared", PrepareSpec(buckets=1))
    plays = read_prepared(tmp_path / "prepared").whole()
    assert [plays.song_ids[s] for s in plays[0]] == ["b", "a", "b"]


def test_what_is_no_play_is_none_in_counts_either(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("user_id,song_id,event\nana,a,play\nana,b,dislike\n")
    assert to_sequences(read_interactions(path)).song.tolist() == [0]


def test_sessions_without_times_keep_their_order(tmp_path):
    path = tmp_path / "sessions.csv"
    path.write_text("session_id,song_id,event\ns,b,play\ns,a,play\n")
    log = read_interactions(path)
    assert not log.is_counted
    assert [log.song_ids[s] for s in to_sequences(log)[0]] == ["b", "a"]


def test_a_folder_of_days_needs_times(tmp_path):
    folder = tmp_path / "dt=2024-01-01"
    folder.mkdir()
    pq.write_table(pa.table({"user_id": ["ana"], "song_id": ["a"]}), folder / "part.parquet")
    with pytest.raises(InputError, match="'timestamp' is missing"):
        read_interactions(tmp_path)


def test_another_kind_of_file_hears_which_columns_a_log_has(tmp_path):
    path = tmp_path / "user_artists.dat"
    path.write_text("userID\tartistID\tweight\n")
    with pytest.raises(InputError, match=r"\.csv\.gz file: a log has .* song_id, weight"):
        read_interactions(path)


def test_a_table_of_counts_has_no_times(counts):
    assert read_interactions(counts).to_table().column("timestamp").null_count == 5

"""What an event may carry besides: session, list, artist, entry; rows of artists alone."""

import numpy as np
import pytest

from audiorec.errors import InputError
from audiorec.listening.check import describe
from audiorec.listening.events import ARTIST_EVENTS, EVENTS, RowsError
from audiorec.listening.interactions import read_interactions
from audiorec.listening.rule import to_preferences


def read(tmp_path, text, **options):
    path = tmp_path / "log.csv"
    path.write_text(text)
    return read_interactions(path, **options)


def texts(log, name):
    label = log.labels[name]
    return [None if n < 0 else label.texts[n] for n in label.number]


def test_labels_follow_their_rows(tmp_path):
    log = read(
        tmp_path,
        "user_id,song_id,timestamp,event,entry,session_id\n"
        "u,a,2024-01-01,finish,radio,s2\n"
        "u,b,2024-01-01,finish,,s1\n"
        "v,a,2024-01-02,like,daily,\n",
    )
    assert texts(log, "entry") == ["radio", None, "daily"]
    assert texts(log, "session_id") == ["s2", "s1", None]
    assert set(log.labels) == {"entry", "session_id"}
    assert texts(log.take(np.array([2, 0])), "entry") == ["daily", "radio"]
    assert describe(log)["labels"] == {"session_id": 2, "entry": 2}


def test_follows_and_blocked_artists_stand_apart(tmp_path):
    log = read(
        tmp_path,
        "user_id,song_id,timestamp,event,artist_id\n"
        "u,a,2024-01-01,finish,\n"
        "w,,2024-01-02,follow,Abba\n"
        "u,,2024-01-03,block,Bo\n"
        "u,b,2024-01-04,block,\n",
    )
    assert log.user_ids == ("u", "w")
    assert [EVENTS[e] for e in log.event] == ["finish", "block"]
    who = log.artists
    found = [
        (log.user_ids[u], who.artist_ids[a], ARTIST_EVENTS[e])
        for u, a, e in zip(who.user, who.artist, who.event, strict=True)
    ]
    assert found == [("w", "Abba", "follow"), ("u", "Bo", "block")]
    kept = to_preferences(log)
    assert [kept.song_ids[s] for s in kept.disliked.song] == ["b"]
    assert describe(log)["artist_events"] == 2


def test_a_session_without_a_user_is_its_own(tmp_path):
    log = read(tmp_path, "song_id,event,session_id\na,finish,s1\nb,finish,s1\na,finish,s2\n")
    assert log.user_ids == ("s1", "s2")
    assert np.isnan(log.timestamp).all()
    assert describe(log)["first"] is None
    assert describe(log)["rows_without_time"] == 3


def test_a_time_may_be_missing_only_where_there_is_a_place(tmp_path):
    text = "user_id,song_id,timestamp,event,session_id\nu,a,,finish,s\nu,b,,finish,\n"
    with pytest.raises(RowsError, match="timestamp missing or unreadable: 1 row \\(2\\)"):
        read(tmp_path, text)
    assert len(read(tmp_path, text, skip_bad_rows=True)) == 1
    with pytest.raises(RowsError, match="timestamp missing or unreadable"):
        read(tmp_path, "user_id,song_id,timestamp,event,session_id\nu,a,yesterday,finish,s\n")


def test_likes_without_a_time_are_likes(tmp_path):
    text = "user_id,song_id,timestamp,event,session_id\nu,a,,like,s\nu,b,,dislike,s\n"
    kept = to_preferences(read(tmp_path, text))
    assert [kept.song_ids[s] for s in kept.liked.song] == ["a"]
    assert np.isnan(kept.liked.time).all()
    assert np.isnan(kept.heard.time).all()


def test_refusals(tmp_path):
    with pytest.raises(RowsError, match="no artist_id: 1 row"):
        read(tmp_path, "user_id,song_id,timestamp,event\nu,,2024-01-01,follow\n")
    with pytest.raises(RowsError, match="no user_id: 1 row"):
        read(tmp_path, "user_id,song_id,timestamp,event,session_id\n,a,2024-01-01,finish,\n")
    with pytest.raises(InputError, match="'list_id' mean the same: leave one out"):
        read(tmp_path, "user_id,song_id,event,list_id,playlist_id\nu,a,playlist,1,1\n")
    with pytest.raises(InputError, match="column 'event' is missing"):
        read(tmp_path, "user_id,song_id,list_id\nu,a,1\n")

"""`scripts/heads/lastfm_join.py`: names that meet, and listening that must not know the join."""

import lastfm_join
import numpy as np
import pytest

TITLES = """## a comment ::: of ::: the list
blues.00000.wav ::: The Earth, Wind and Fire ::: Boogie
blues.00001.wav ::: Beyonce ::: Halo
blues.00002.wav :::  ::: nobody knows
jazz.00000.wav ::: Nobody's Own ::: x
"""
ARTISTS = "id\tname\turl\n1\tEarth, Wind & Fire\tx\n2\tBeyoncé\tx\n3\tBEYONCE!\tx\n4\tOther\tx\n"
PLAYS = "userID\tartistID\tweight\n" + "".join(
    f"{user}\t{artist}\t9\n"
    for user, artist in [(7, 1), (7, 4), (9, 2), (9, 4), (3, 3), (3, 1), (5, 1), (5, 4)]
)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "listening" / "lastfm2k"
    folder.mkdir(parents=True)
    (folder / "artists.dat").write_text(ARTISTS, "utf-8")
    (folder / "user_artists.dat").write_text(PLAYS, "utf-8")
    gtzan = tmp_path / "gtzan"
    gtzan.mkdir()
    (gtzan / "artists_titles.txt").write_text(TITLES)
    for part, tracks in (("train", ["blues.00000", "blues.00002"]), ("test", ["blues.00001"])):
        ids = np.repeat([f"blues/{t}.au" for t in tracks], 2)
        rows = np.arange(len(ids) * 50, dtype=np.float32).reshape(-1, 50)
        np.savez(gtzan / f"{part}_msd_taggram.npz", X=rows, IDS=ids)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("The Beatles", "beatles"),
        ("Theodor", "theodor"),
        ("  Motörhead ", "motorhead"),
        ("Simon & Garfunkel", "simonandgarfunkel"),
        ("AC/DC", "acdc"),
        ("さだまさし", ""),
    ],
)
def test_names_as_they_are_compared(name, expected):
    assert lastfm_join.normalise(name) == expected


def test_the_join_worked_by_hand(data, monkeypatch):
    counts = {"artists": 2, "tracks": 2, "users": 4, "pairs": 5}
    monkeypatch.setattr(lastfm_join, "EXPECTED", counts)
    monkeypatch.setattr(lastfm_join, "MIN_LISTENERS", 2)
    taggrams = lastfm_join.load_taggrams(data)
    join = lastfm_join.load_join(data, taggrams)
    assert join.artists == ("beyonce", "earthwindandfire")
    assert join.tracks == ("blues.00000", "blues.00001")
    assert join.artist.tolist() == [1, 0]
    # users 3, 5, 7, 9 in order; both spellings of Beyoncé are one artist
    assert join.likes.tolist() == [[True, True], [False, True], [False, True], [True, False]]
    # nobody's listening to a joined artist is among what users are made of
    assert join.other.user.tolist() == [1, 2, 3]
    assert join.n_others == 1
    assert join.tags[1].shape == (2, 50)
    assert taggrams.artist["blues.00002"] == "blues.00002"


def test_another_join_is_refused(data):
    with pytest.raises(SystemExit, match="expected"):
        lastfm_join.load_join(data, lastfm_join.load_taggrams(data))

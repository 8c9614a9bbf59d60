"""`audiorec.playlists.names`: a name says what at least half of the songs have."""

from hypothesis import given
from hypothesis import strategies as st

from audiorec.playlists.names import HALF, GroupName, ListToName, name_groups, share_of
from audiorec.search.explain import SureFacts

JAZZ = SureFacts(genre="jazz", version="instrumental", bpm=120.0)
ROCK = SureFacts(genre="rock", version="voice", singer="man", bpm=90.0)
UNKNOWN = SureFacts()


def group(songs, name="x", title=""):
    ids = [f"{name}{n}" for n in range(len(songs))]
    return ListToName(songs=songs, ids=ids, typical=ids[0], title=title or f"Ada - {name}")


def names(*groups, kept=None):
    return [one.text for one in name_groups(groups, kept=kept)]


def test_genre_voice_and_tempo():
    made = name_groups([group([JAZZ] * 6 + [UNKNOWN] * 4), group([ROCK] * 9 + [UNKNOWN], "y")])
    assert [(one.text, one.share) for one in made] == [
        ("Jazz, instrumental, 120 BPM", 0.6),
        ("Rock, sung by men, 90 BPM", 0.9),
    ]


def test_what_fewer_than_half_have_is_not_said():
    few = [JAZZ] * 4 + [UNKNOWN] * 6
    assert names(group(few), group([ROCK] * 10, "y"))[0] == "Around Ada - x"
    # Half are jazz and half of them sung, so the two together are of a quarter.
    sung = SureFacts(genre="jazz", version="voice", singer="woman")
    plain = SureFacts(genre="jazz")
    mixed = group([sung] * 3 + [plain] * 3 + [SureFacts(singer="woman", version="voice")] * 3)
    assert names(mixed, group([ROCK] * 10, "y"))[0] == "Jazz"


def test_two_songs_are_named_by_what_both_have():
    songs = [SureFacts(genre="jazz", bpm=115.1), SureFacts(genre="jazz", bpm=156.1)]
    assert names(group(songs), group([ROCK] * 4))[0] == "Jazz"
    assert names(group(songs[:1]), group([ROCK] * 4))[0] == "Jazz, 115 to 116 BPM"


def test_two_genres_if_neither_has_half():
    both = [JAZZ] * 4 + [SureFacts(genre="blues")] * 4 + [UNKNOWN] * 2
    (name, _) = name_groups([group(both), group([ROCK] * 10, "y")])
    assert (name.text, name.share) == ("Jazz or blues", 0.8)
    assert name.says == (("either", "genre=jazz|genre=blues"),)


def test_what_the_whole_library_has_sets_no_list_apart():
    first = [SureFacts(version="instrumental", styles=("ambient",))] * 5
    second = [SureFacts(version="instrumental", styles=("techno",))] * 5
    assert names(group(first), group(second, "y")) == ["Ambient", "Techno"]
    assert names(group(first)) == ["Ambient, instrumental"]  # one list is the library


def test_lists_of_one_name_are_told_apart_by_their_most_typical_song():
    made = name_groups([group([JAZZ] * 3, "x"), group([JAZZ] * 3, "y"), group([ROCK] * 6, "z")])
    assert [one.text for one in made[:2]] == [
        "Jazz, instrumental, 120 BPM, around Ada - x",
        "Jazz, instrumental, 120 BPM, around Ada - y",
    ]
    assert made[0].around == "x0"
    same = name_groups([group([UNKNOWN] * 2, n, title="T" * 90) for n in "abc"])
    assert len({one.text for one in same}) == 3
    assert all(len(one.text) <= 62 for one in same)
    assert {one.share for one in same} == {None}


def test_the_span_of_tempos_that_most_songs_have():
    beats = [SureFacts(bpm=bpm) for bpm in (60.0, 96.4, 99.0, 104.2, 150.0, 200.0)]
    (name, _) = name_groups([group(beats), group([ROCK] * 6, "y")])
    assert (name.text, name.share) == ("96 to 105 BPM", 0.5)


def test_an_artist_and_a_decade():
    songs = [SureFacts(artist="Nina  Simone", year=1964 + n) for n in range(5)]
    (name, _) = name_groups([group(songs), group([ROCK] * 5, "y")])
    assert name.text == "Nina  Simone, the 1960s".replace("  ", " ")


def test_a_kept_name_stays_while_it_is_true():
    was = GroupName(text="Old jazz", says=(("genre", "jazz"),))
    other = group([ROCK] * 10, "y")
    (kept, _) = name_groups([group([JAZZ] * 5 + [UNKNOWN] * 7), other], kept={0: was})
    assert (kept.text, round(kept.share, 2)) == ("Old jazz", 0.42)
    assert names(group([JAZZ] * 3 + [UNKNOWN] * 7), other, kept={0: was})[0] == "Around Ada - x"
    around = GroupName(text="Around Gone", around="gone")
    assert names(group([JAZZ] * 10), other, kept={0: around})[0].startswith("Jazz")
    unknown = GroupName(text="Jazz, catchy")  # of an older index, which says nothing of it
    assert names(group([JAZZ] * 10), other, kept={0: unknown})[0] != "Jazz, catchy"


SONGS = st.lists(
    st.builds(
        SureFacts,
        artist=st.sampled_from(["", "Ada", "Bo"]),
        genre=st.sampled_from(["", "jazz", "rock"]),
        styles=st.lists(st.sampled_from(["soul", "punk"]), unique=True).map(tuple),
        version=st.sampled_from(["", "voice", "instrumental"]),
        bpm=st.none() | st.floats(60, 180),
        year=st.none() | st.integers(1960, 1990),
    ),
    min_size=1,
    max_size=8,
)


@given(st.lists(SONGS, min_size=1, max_size=5))
def test_every_name_is_true_and_alone(libraries):
    groups = [group(songs, f"{n}-") for n, songs in enumerate(libraries)]
    found = name_groups(groups)
    assert len({one.text.casefold() for one in found}) == len(groups)
    for one, of in zip(found, groups, strict=True):
        assert one.says or one.around
        if one.says:
            assert one.share == share_of(one.says, of.songs) >= HALF
        assert one.around in ("", of.typical)

"""`audiorec.store.recordings`: what a title says of its version, and what only looks like it."""

import pytest

from audiorec.store.recordings import read_title, title_of


@pytest.mark.parametrize(
    ("title", "plain", "kinds"),
    [
        ("Lithium", "lithium", set()),
        ("Lithium (Instrumental)", "lithium", {"instrumental"}),
        ("Heroes - 2017 Remaster", "heroes", {"remaster"}),
        ("Heroes (Live at Wembley) [Remastered 2009]", "heroes", {"live", "remaster"}),
        ("Song \u2013 Radio Edit", "song", {"edit"}),
        ("Song (MTV Unplugged)", "song", {"live"}),
        ("Song (Acoustic Version)", "song", {"acoustic"}),
        ("Live Forever (Demo)", "live forever", {"demo"}),
        ("Alive - Live/Remastered", "alive", {"live", "remaster"}),
        ("Song (feat. Someone)", "song", set()),
        # What only looks like it.
        ("Live and Let Die", "live and let die", set()),
        ("Wings - Live and Let Die", "wings - live and let die", set()),
        ("Demolition (Demolition Mix)", "demolition (demolition mix)", set()),
        ("Song (Club Remix)", "song (club remix)", set()),
        ("(I Can't Get No) Satisfaction", "(i can't get no) satisfaction", set()),
        ("(Live)", "(live)", {"live"}),
        ("", "", set()),
        (None, "", set()),
    ],
)
def test_a_title_and_its_version(title, plain, kinds):
    assert read_title(title) == (plain, kinds)


def test_a_song_without_a_title_has_the_name_of_its_file():
    assert title_of(None, "rock/Lithium (Instrumental).mp3") == ("lithium", {"instrumental"})
    assert title_of("Lithium", "rock/x (Live).mp3") == ("lithium", frozenset())


def test_long_titles_of_nothing_but_marks_are_read_in_time():
    assert read_title(" - (" * 5_000).kinds == frozenset()
    assert read_title("- live " * 5_000).kinds == {"live"}

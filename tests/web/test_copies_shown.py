"""The copies of a song on the page."""

import pytest
from made_library import series, song
from needs import needs
from web_server import write_music

from audiorec.library.library import open_store
from audiorec.search.questions import SimilarQuestion


@pytest.fixture
def view(tmp_path):
    """What the page says of the songs of a store, and the number of each."""
    needs("starlette")
    from audiorec.web.gate import AddressKeys
    from audiorec.web.song_columns import SongColumns
    from audiorec.web.song_view import SongView
    from audiorec.web.sound import Roots

    copy = song(
        "zz.flac",
        series(0, segments=6),
        content_hash="hash of jazz-vibraphone.mp3",
        source_rate=96_000,
        artist="Ayla",
    )
    library = open_store(write_music(tmp_path, more=[copy]))
    shelf = SongColumns(library)
    return SongView(shelf, Roots([tmp_path]), AddressKeys()), library.row_number, shelf


def test_the_panel_names_the_copies_and_which_one_lists_show(view):
    shown, row, _ = view
    mp3, flac = row("jazz-vibraphone.mp3"), row("zz.flac")
    assert shown.copies(mp3) == {"copies": [flac], "best": False}
    assert shown.copies(flac) == {"copies": [mp3], "best": True}
    assert shown.copies(row("blues-band.mp3")) == {"copies": [], "best": True}


def test_similar_songs_on_the_page_are_no_copies(view):
    from audiorec.web.lists import similar_to

    _, row, shelf = view
    pairs = ("jazz-vibraphone.mp3", "zz.flac"), ("jazz-vibraphone-later.ogg", "jazz-vibraphone.mp3")
    for name, other in pairs:
        near = similar_to(shelf, SimilarQuestion(seeds=(row(name),), k=20))
        assert row(other) not in near["rows"]

"""What an owner wants from the page, in a real browser, on a desk and on a phone."""

import csv
import io
import shutil
from pathlib import Path

import pytest
from made_library import series, song
from web_server import AUDIO, until, write_music

SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Twelve clips with tempo, key and moods; one is there three times, the best with the most bits."""
    folder = tmp_path_factory.mktemp("owner")
    copies = [
        song(
            name,
            series(0, genre=(3, 0, 0), version=(0, 3), segments=6, spread=0.3),
            uri=str(folder / "music" / name),
            content_hash="hash of jazz-vibraphone.mp3",
            codec=codec,
            size=size,
            title="Vibes",
            artist="Ayla",
        )
        for name, codec, size in (("vibes.flac", "flac", 3_000_000), ("vibes.ogg", "vorbis", 2_000))
    ]
    store = write_music(folder, attributes=True, more=copies)
    for name in ("vibes.flac", "vibes.ogg"):
        shutil.copy(AUDIO / "jazz-vibraphone-later.ogg", folder / "music" / name)
    return store


@pytest.fixture(params=SIZES)
def page(open_page, address, request):
    return open_page(address, viewport=SIZES[request.param])


def downloaded(page, button):
    with page.expect_download() as loading:
        page.click(button)
    return loading.value.suggested_filename, Path(loading.value.path()).read_text()


def test_copies_side_by_side_the_best_marked_and_a_list_to_hand_on(page, library):
    page.click("nav >> text=Duplicates")
    page.wait_for_selector(".recording")
    assert page.locator(".recording").count() == 1
    assert "1 recording with 2 surplus copies, 1 MB to gain" in page.inner_text(".copies h2")
    lines = page.locator(".recording tbody tr").all_inner_texts()
    assert "vibes.flac" in lines[0]
    assert "Best: 1333 against 444 kbit/s" in lines[0]
    assert [("Best" in line) for line in lines] == [True, False, False]
    assert all("kbit/s" in line and "MB" in line for line in lines)
    name, paths = downloaded(page, ".downloads >> text=Paths")
    assert name == "duplicates.txt"
    music = library.parent / "music"
    assert paths.splitlines() == [str(music / n) for n in ("jazz-vibraphone.mp3", "vibes.ogg")]
    name, text = downloaded(page, ".downloads >> text=Table")
    assert [(row["best"], row["why"]) for row in csv.DictReader(io.StringIO(text))] == [
        ("yes", "1333 against 444 kbit/s"),
        ("no", ""),
        ("no", ""),
    ]
    page.click(".recording button[title^='Play']")
    until(page, "import('/js/player.js').then(p => p.now() > 0.1)")
    assert all((music / n).is_file() for n in ("jazz-vibraphone.mp3", "vibes.ogg", "vibes.flac"))

"""A page that is served as its user starts it, and a browser to look at it."""

import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from made_library import series, song, write_library
from needs import needs

AUDIO = Path(__file__).parents[1] / "fixtures" / "audio"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None
)
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--autoplay-policy=no-user-gesture-required", "--mute-audio"),
]
SCRIPT = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
LONG = "so long a tag " * 700  # 9,800 characters
ROWS = ".grid .space .row"
MOST_SCREENS = 50  # of rows, until a song is found
# File, artist, title, genre (log-odds of jazz, metal, pop), version (vocal, instrumental).
SONGS = [
    ("jazz-vibraphone.mp3", "Ayla", "Vibes", (3, 0, 0), (0, 3)),
    ("jazz-vibraphone-later.ogg", "Ayla", "Vibes, later", (2.5, 0, 0.5), (0, 2)),
    ("blues-band.mp3", "Bo", "Blue band", (1.5, 0.5, 0), (2, 0)),
    ("classical-piano.flac", "Cy", "Prelude", (1, 0, 1), (0, 3)),
    ("death-metal-band.ogg", "Dread", "Loud", (0, 4, 0), (3, 0)),
    ("metal-band-with-woman-singing.mp3", "Dread", "Louder", (0, 3, 0.5), (2, 1)),
    ("game-tune-caribbean.mp3", "Eve", "Islands", (0, 0, 2), (0, 2)),
    ("synthesizer-beat.opus", "Eve", "Beat", (0, 0.2, 3), (0, 3)),
    ("tabla-loop.m4a", "Fay", "Tabla", (0.5, 0, 1.5), (0, 2)),  # ALAC: no browser plays it
    ("drum-loop.aiff", "Fay", "Drums", (0, 1, 1), (0, 2)),
    ("folk-flute-and-guitar.ogg", SCRIPT, f"{SCRIPT}\u202egpj", (0.5, 0, 0.5), (0, 1)),
    ("man-singing-alone.ogg", LONG, LONG, (0, 0, 1), (4, 0)),
]


def write_music(folder, songs=SONGS, *, scores=True, attributes=False, more=()):
    """Write a store of real clips with chosen scores, and the clips below ``music/``.

    With `attributes`, each song is ten beats faster than the one before, from 60; the third has
    no tempo, and all are in C minor.
    """
    music = folder / "music"
    music.mkdir(parents=True)
    rows = []
    for seed, (name, artist, title, genre, version) in enumerate(songs):
        shutil.copy(AUDIO / name, music / name)
        found = series(seed, genre=genre, version=version, segments=6, spread=0.3)
        about = {"uri": str(music / name), "artist": artist, "title": title, "album": "Clips"}
        if attributes:
            about |= {"bpm": 60.0 + 10 * seed if seed != 2 else None, "bpm_confidence": 0.9}
            about |= {"key": "C", "scale": "minor", "key_confidence": 0.5, "tag_happy": 0.1}
        rows.append(song(name, found, **about))
    return write_library(folder, [*rows, *more], scores=scores)


def write_copies(folder):
    """Write the clips with tempo and key; one is there three times, best with the most bits."""
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


@contextmanager
def browsing(store, *arguments, process=False, script=""):
    """Serve a store's page as a process of its own; gives its address, and the process if asked.

    `script` is Python that runs first; `told` of the process is what it has written to stderr.
    """
    needs("starlette")
    script += "\nfrom audiorec_cli.main import main; main()"
    command = [sys.executable, "-c", script, "browse", "--no-open", "-v", str(store)]
    with subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(store).parent,
    ) as it:
        try:
            address = it.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:"), it.stderr.read()
            yield (address, it) if process else address
        finally:
            it.terminate()
            _, it.told = it.communicate(timeout=60)
            assert "Traceback" not in it.told


def split_address(address):
    """Return the base of an address, and its token."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}", parts.fragment.removeprefix("token=")


@contextmanager
def chromium():
    """Start the browser of this system, or skip."""
    if CHROMIUM is None:
        pytest.skip("needs a browser: apt-get install chromium-headless-shell")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def write_recall(store, *, users=8, days=(), playlists=(), named="u{}"):
    """Write a log of listeners of a store's songs, and what ``recall run`` makes of it.

    `playlists` are rows of songs, made by users of the log: "by u0" and so on. With `days`, it runs
    for each of these days of January 2026, which have the plays until then.
    """
    from audiorec.listening.log_files import parse_day
    from audiorec.recall.serving.nightly.night import NightlyJob, NightlyPlan
    from audiorec.recall.serving.nightly.places import open_night
    from audiorec.store.store import VectorStore

    folder = Path(store).parent
    ids = VectorStore.open(store).ids
    lines = ["user_id,song_id,timestamp,event"]
    for user in range(users):
        for day in range(1, 4):
            for n in range(2 if day < 3 else 1):
                song_id = ids[(user * 3 + day * (1 + user % 2) + n) % (len(ids) - 2)]
                lines.append(f"{named.format(user)},{song_id},2026-01-{day:02}T1{n}:00:00Z,finish")
    if playlists:
        lines = [lines[0] + ",list_id", *(f"{line}," for line in lines[1:])]
    for user, rows in enumerate(playlists):
        lines += [f"u{user},{ids[row]},2026-01-01T00:00:00Z,playlist,by u{user}" for row in rows]
    (folder / "plays.csv").write_text("\n".join(lines) + "\n")
    channels = ["popular", "item-knn", "nearest-audio", "replay"]
    text = (
        f'[recall]\ninteractions = "plays.csv"\nout = "serving"\nvectors = "{Path(store).name}"\n'
    )
    text += 'lists = "plays.csv"\n' if playlists else ""
    more = "[recall.weights]\nitem-knn = 2.0\n[recall.fusion]\nper_artist = 2\n"
    text += f"channels = {channels}\nk = 10\ndepth = 12\n{more}"
    (folder / "recall.toml").write_text(text)
    for day in days:
        night = open_night(folder / "recall.toml", parse_day(f"2026-01-{day:02}"))
        night.job.run()
        night.promote()
    if not days:
        NightlyJob(NightlyPlan.read(folder / "recall.toml")).run()
    return folder / "serving"


def go(page, path):
    """Go to an address of the page, as its links do."""
    page.evaluate(f"import('/js/route.js').then(r => r.go({path!r}))")


def choose(page, title):
    """Open a song from the list of all songs."""
    if not page.locator(ROWS).count():
        go(page, "/songs")
        page.wait_for_selector(ROWS)
    cell = page.locator(f"{ROWS} .cell.title").filter(has_text=re.compile(f"^{re.escape(title)}"))
    exact = cell.filter(has_text=re.compile(f"^{re.escape(title)}$"))
    for _ in range(MOST_SCREENS):  # a row is made when it comes into view
        if cell.count():
            break
        page.evaluate("(g => g.scrollBy(0, g.clientHeight / 2))(document.querySelector('.grid'))")
        page.wait_for_timeout(200)
    (exact if exact.count() else cell).first.click()
    page.wait_for_selector(f"#song-title:has-text('{title}')")


def listed(page):
    """Return the titles of the list that one makes."""
    return page.eval_on_selector_all(
        ".listed .names .title", "all => all.map(one => one.innerText)"
    )


def until(page, script, *, timeout_s=60.0):
    """Wait for a script to say yes; the page's own policy forbids what playwright would do."""
    end = time.monotonic() + timeout_s
    while not page.evaluate(script):
        assert time.monotonic() < end, script
        page.wait_for_timeout(100)

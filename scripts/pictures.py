"""Draw the pictures of the documentation, over the songs of the demonstration, or compare them.

    uv run --group full python scripts/pictures.py            draw them into docs/pictures
    uv run --group full python scripts/pictures.py --check    draw them elsewhere, and compare

The pictures of docs/plots.md come from the commands on that page, over the store that
``examples/my_library.py`` makes, and those of docs/page.md from the page in Chromium, with a small
listening log and the lists of ``recall run``. All songs are drawn, those with wrong labels too:
this is the page as ``audiorec demo`` opens it. ``--check`` exits with 1 and a line for each picture
that is older than the program; without a browser those of the page are left out, and it says so.
"""

import argparse
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from web_server import CHROMIUM, browsing, choose, chromium, until, write_recall

PICTURES = ROOT / "docs" / "pictures"
MEASURED = ("interests.png",)  # data that is not here: docs/benchmarks/interests.md
BY_HAND = ("sound.svg", "recall.svg", "night.svg")  # of docs/explanation/overview.md
BLOCK = 8  # pixels; letters of another font and smoothed edges are alike at this size
DIFFERENT = 0.1  # of white less black: a block that no longer shows the same
MOST = 0.0005  # share of blocks that may differ: the playhead, a hover
SIZE = {"width": 1280, "height": 800}
SONG = "Vibe Ace"
TOUR, TOUR_SONG, TOUR_WORDS = "page-tour.webp", "Crushed Ice Cocktail", "classical, no drums"
STAY_MS, FADE_MS, FADES = 2400, 90, 2
WHEN = "2026-01-02T10:00:00"
PLAYS_FROM_S = 6  # where the playhead is shown
# The wave is transparent until it is drawn.
WAVE_IS_DRAWN = """(() => {
  const wave = document.querySelector(".song .scores canvas");
  if (!wave?.width || !wave.height) return false;
  const { data } = wave.getContext("2d").getImageData(0, 0, wave.width, wave.height);
  return data.some((value) => value > 0);
})()"""


# The folder that lists are saved to has another name in each run.
NAME_FOLDER = """folder => {
  for (const line of document.querySelectorAll("p, .folder"))
    if (line.textContent.includes(folder))
      line.textContent = line.textContent.replace(folder, "~/Music");
}"""

PHONE = {"width": 390, "height": 844}
DEMO = ROOT / "fixtures" / "demo"
LISTENER = "listener {}"
# Songs, and copies of them: how loud they are.
TWICE = {
    "vibe-ace.opus": {"Vibe Ace.flac": 0.5, "vibe ace.ogg": 1.0},
    "vermocsar.opus": {"02 Vérmocsár.mp3": 1.0},
}


def main() -> int:
    """Draw the pictures, or compare them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, and change nothing")
    is_check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "drawn"
        drawn.mkdir()
        draw_all(Path(folder), drawn)
        if not is_check:
            shutil.copytree(drawn, PICTURES, dirs_exist_ok=True)
            return 0
        faults = list(differences(PICTURES, drawn))
    print(*faults, f"pictures that are older than the program: {len(faults)}", sep="\n")
    return int(bool(faults))


def draw_all(scratch: Path, out: Path) -> None:
    """Draw every picture into `out`; the store of the clips is made in `scratch`."""
    run(ROOT / "examples" / "my_library.py", scratch)
    store = scratch / "demo" / "vecs.parquet"
    for name, command in plots((ROOT / "docs" / "plots.md").read_text(encoding="utf-8")):
        arguments = ["--vectors", store, "--out", out / name]
        run("-c", "from audiorec_cli.main import main; main()", *command, *arguments)
    if CHROMIUM is None:
        print("no browser: the pictures of the page are left out")
    else:
        store = listened(scratch / "page")
        photograph(store, out)
        tour(store, out)


def run(*arguments: object) -> None:
    """Run Python in the root of the repository."""
    subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def plots(page: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each picture of a page, and the words of the command above it, without ``--out``."""
    pattern = r"^audiorec (plot .*)$|^!\[[^]]*\]\(pictures/([\w.-]+)\)$"
    words: list[str] = []
    for command, picture in re.findall(pattern, page, re.MULTILINE):
        if command:
            words = shlex.split(command)
            at = words.index("--out")
            del words[at : at + 2]
        else:
            yield picture, words


def photograph(store: Path, out: Path) -> None:
    """Take the pictures of the page over a store."""
    serving = write_recall(store, named=LISTENER)
    log, music = store.parent / "plays.csv", store.parent / "Music"
    with (
        browsing(store, "--root", music, "--recall", serving, "-i", log) as address,
        chromium() as browser,
    ):
        for scheme in ("light", "dark"):
            page = open_page(browser, address, color_scheme=scheme)
            take(page, out, scheme, store.parent)
        page = open_page(browser, address, viewport=PHONE)
        home(page)
        page.screenshot(path=out / "page-phone.png")
    twice = write_copies(store.parent / "twice")
    with browsing(twice) as address, chromium() as browser:
        page = open_page(browser, address)
        page.wait_for_selector(".hero h1")
        page.click("nav >> text=Tidy up")
        page.wait_for_selector(".recording .copy")
        page.wait_for_timeout(1500)
        page.evaluate(NAME_FOLDER, str(twice.parent))
        page.screenshot(path=out / "page-duplicates.png")


def write_copies(folder: Path) -> Path:
    """Extract some songs and copies of them in other formats and levels; return the store."""
    import av
    import soundfile

    from audiorec.extraction.run import extract

    music = folder / "songs"
    music.mkdir(parents=True)
    for name, copies in TWICE.items():
        shutil.copy(DEMO / name, music / name)
        with av.open(music / name) as song:
            decoded = [frame.to_ndarray() for frame in song.decode(audio=0)]
            rate = song.streams.audio[0].rate
        samples = np.concatenate(decoded, axis=1).T
        for copy, level in copies.items():
            soundfile.write(music / copy, level * samples, rate)
    extract([music], out=folder / "vecs.parquet", jobs=1)
    return folder / "vecs.parquet"


def open_page(browser, address: str, **options):
    """Open the page at `WHEN`: home greets one by the hour."""
    page = browser.new_context(**{"viewport": SIZE, "color_scheme": "light", **options}).new_page()
    page.clock.set_fixed_time(WHEN)
    page.goto(address)
    return page


def home(page) -> None:
    """Wait until home is complete."""
    page.wait_for_selector(".places .place")
    page.wait_for_selector(".tile")
    page.wait_for_timeout(2000)  # for covers, which are drawn once they are asked for


def take(page, out: Path, scheme: str, folder: Path) -> None:
    """Take one picture per view."""
    home(page)
    if scheme == "light":
        page.screenshot(path=out / "page-library-light.png")
    choose(page, SONG)
    page.wait_for_selector(".near .tile")
    until(page, WAVE_IS_DRAWN)
    page.wait_for_timeout(1500)
    if scheme == "dark":
        page.screenshot(path=out / "page-library-dark.png")
        return
    page.click("text=Make a list from it")
    page.click("text=Along a curve")
    page.fill("label:has-text('Minutes') input", "2")
    page.click("text=Make the list")
    page.wait_for_selector(".listed li:nth-child(3)")
    page.wait_for_timeout(900)
    page.evaluate(NAME_FOLDER, str(folder))
    page.screenshot(path=out / "page-list.png")
    page.click("nav >> text=Recommendations")
    page.click(f".users >> text={LISTENER.format(3)}")
    page.wait_for_selector(".ranked li")
    page.wait_for_timeout(900)
    page.screenshot(path=out / "page-recommendations.png")


def listened(folder: Path) -> Path:
    """Extract all songs of the demonstration; return the store."""
    from audiorec.extraction.catalogue import find_songs
    from audiorec.extraction.pipeline import ExtractorConfig
    from audiorec.extraction.plan import RunOptions
    from audiorec.extraction.run import make_outputs
    from audiorec.extraction.run import run as hear

    music, store = folder / "Music", folder / "vecs.parquet"
    music.mkdir(parents=True)
    for song in sorted(DEMO.glob("*.opus")):
        shutil.copy(song, music / song.name)
    outputs = make_outputs(store, scores=folder / "scores.parquet")
    # All at one moment: home shows what is new in the order of its coming.
    options = RunOptions(at=datetime.fromisoformat(WHEN).replace(tzinfo=UTC))
    hear(
        find_songs([music]),
        outputs,
        config=ExtractorConfig(attributes=True, sound=True),
        options=options,
    )
    return store


def tour(store: Path, out: Path) -> None:
    """Draw the moving picture: home, a sentence, the map, a song, and radio."""
    with browsing(store, "--root", store.parent / "Music") as address, chromium() as browser:
        page = open_page(browser, address)
        write_moving(list(look_around(page)), out / TOUR)


def look_around(page) -> Iterator[bytes]:
    """Yield a picture of the page after each step of a visit."""

    def still() -> bytes:
        page.wait_for_timeout(900)  # for the map, which moves
        return page.screenshot()

    home(page)
    yield still()
    page.fill("#find", TOUR_WORDS)
    page.wait_for_selector(".heard .song-line")
    yield still()
    page.click("nav >> text=Map")
    until(page, "window.songMap?.covers.length > 5")
    yield still()
    choose(page, TOUR_SONG)
    page.wait_for_selector(".near .tile")
    until(page, WAVE_IS_DRAWN)
    yield still()
    page.click(".song >> text=Radio")
    until(page, "import('/js/player.js').then(p => p.playing.get().queue.length > 2)")
    until(page, "import('/js/player.js').then(p => p.now() > 0)")
    page.evaluate(f"import('/js/player.js').then(p => {{ p.toggle(); p.seek({PLAYS_FROM_S}); }})")
    page.click("[title='Up next']")
    yield still()


def write_moving(stills: list[bytes], path: Path) -> None:
    """Write pictures that stay for a while and fade into each other, again and again."""
    from PIL import Image

    shown = [Image.open(io.BytesIO(still)).convert("RGB") for still in stills]
    frames, stay = [], []
    for one, next_one in zip(shown, [*shown[1:], shown[0]], strict=True):
        parts = [Image.blend(one, next_one, n / (FADES + 1)) for n in range(1, FADES + 1)]
        frames += [one, *parts]
        stay += [STAY_MS, *[FADE_MS] * FADES]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=stay, loop=0, quality=65, kmax=1
    )


def differences(kept: Path, drawn: Path) -> Iterator[str]:
    """Yield a line for each picture that is not what the program draws now."""
    names = {path.name for path in drawn.iterdir()}
    left_out = {p.name for p in kept.glob("page-*")} if CHROMIUM is None else set()
    for name in sorted({path.name for path in kept.iterdir()} - names - left_out):
        if name not in (*MEASURED, *BY_HAND):
            yield f"{name}: nothing draws it any more"
    for name in sorted(names):
        if not (kept / name).is_file():
            yield f"{name}: is missing"
            continue
        share = different(pixels(kept / name), pixels(drawn / name))
        if share > MOST:
            yield f"{name}: {100 * share:.1f} % of it is drawn otherwise: draw it again"


def pixels(path: Path) -> npt.NDArray[np.float32]:
    """Return a picture as (height, width, 3), from 0, black, to 1; frames below each other."""
    from PIL import Image, ImageSequence

    with Image.open(path) as picture:
        frames = [np.asarray(one.convert("RGB")) for one in ImageSequence.Iterator(picture)]
    return np.concatenate(frames).astype(np.float32) / 255


def different(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Return the share of blocks whose mean colours differ; 1 for pictures of different sizes."""
    if one.shape != other.shape:
        return 1.0
    apart = np.abs(blocks(one) - blocks(other)).max(axis=-1)
    return float((apart > DIFFERENT).mean())


def blocks(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the mean colour of each block of `BLOCK` by `BLOCK` pixels."""
    height, width = (size // BLOCK * BLOCK for size in picture.shape[:2])
    parts = picture[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3)
    return parts.mean(axis=(1, 3), dtype=np.float32)


if __name__ == "__main__":
    sys.exit(main())

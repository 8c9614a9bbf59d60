"""How quick the page is with many songs: to the first picture, while the map moves, to neighbours.

First home, with the land and its places, then the list of all songs, then the map, moved by
turns without and with 40 names, a path and twelve lines. At the end ten minutes of radio are heard,
16 times as fast, every third song skipped, and the server answers many requests: its memory before
and after. A headless browser draws by software, so frames are slower than with a graphics card.

    uv run --group full python -m benchmarks page 20000 100000

Makes stores of so many songs up (14 classes, artists and titles of usual lengths), starts
``audiorec browse`` on each, opens it in Chromium and prints one line of JSON for each.
"""

import argparse
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pyarrow as pa
import soundfile

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from web_server import ROWS, browsing, chromium, go, split_address, until

from audiorec.library.library import open_store
from audiorec.search.atlas import project
from audiorec.store.map_file import write_map
from audiorec.store.schema import Kind, StoreMetadata, schema_of, write_table
from audiorec.web.song_columns import SongColumns, audio_of, laid_out

HEADS = {
    "version": "vocal instrumental vocal_accompaniment other".split(),
    "genre": "blues classical country electronic folk hiphop jazz metal pop rock".split(),
}
CLASSES = tuple(f"{head}/{name}" for head, names in HEADS.items() for name in names)
SYLLABLES = "ka lo mi ra ten vo sul be dor fin ga hel".split()
SONG_S, RATE = 60.0, 22_050  # of the file behind all songs
PLAYER = "import('/js/player.js').then(p => { const s = p.playing.get(); return"
WATCH = """
window.tasks = [];
new PerformanceObserver(list => window.tasks.push(...list.getEntries().map(e => e.duration)))
  .observe({type: "longtask", buffered: true});
"""
PAN = """
new Promise(done => {
  const map = window.songMap; const times = []; const drawn = []; let left = 120;
  const step = () => {
    map.pan(3 * Math.cos(left / 9), 3 * Math.sin(left / 9));
    times.push(performance.now()); drawn.push(map.lastMs);
    if (--left) requestAnimationFrame(step); else {
      const spent = times[times.length - 1] - times[0];
      drawn.sort((a, b) => a - b);
      done({fps: 1000 * (times.length - 1) / spent, draw_ms: drawn[drawn.length >> 1]});
    }
  };
  requestAnimationFrame(step);
})
"""


# The least time of a frame, painted: busy machines only make it longer.
FRAME = """
(() => {
  const map = window.songMap; let least = Infinity;
  for (let n = 0; n < 25; n++) {
    const began = performance.now();
    map.draw();
    map.context.getImageData(0, 0, 1, 1);
    least = Math.min(least, performance.now() - began);
  }
  return {ms: Math.round(least * 10) / 10, names: map.songs.places?.length || 0};
})()
"""
NAMES = """
window.full = {...window.songMap.songs, near: [...Array(12).keys()], selected: 12, places:
  Array.from({length: 40}, (_, n) => [n % 8 * 0.25 - 0.9, Math.floor(n / 8) * 0.4 - 0.9])
    .map(([x, y]) => ({name: "a name of a place", line: "and a line", x, y}))};
"""
# Answers that the page asks for all the time.
ASKED = ("/api/running", "/api/song/{}", "/api/song/{}/near", "/api/find?only=genre%3Djazz")
WARM = 1000  # requests, after which the server has what it keeps


def words(rng, n, low, high):
    """Return `n` made-up names."""
    lengths = rng.integers(low, high, n)
    picks = rng.integers(0, len(SYLLABLES), (n, high))
    return [
        " ".join(SYLLABLES[s] for s in row[:length]).title()
        for row, length in zip(picks, lengths, strict=True)
    ]


def write_store(path, n, seed=0):
    """Write `n` songs around a few kinds of music, with vectors like those of real ones."""
    rng = np.random.default_rng(seed)
    about = StoreMetadata(
        kind=Kind.VECTORS, extractor_id="0123456789abcdef", classes=CLASSES, created_by="benchmark"
    )
    kinds = rng.gumbel(size=(40, len(CLASSES))) * 1.2
    odds = kinds[rng.integers(0, 40, n)] + 0.6 * rng.normal(size=(n, len(CLASSES)))
    parts, at = [], 0
    for names in HEADS.values():
        part = np.exp(odds[:, at : at + len(names)])
        parts.append(part / part.sum(axis=1, keepdims=True))
        at += len(names)
    mean = np.hstack(parts)
    spread = 0.3 * mean * (1 - mean)
    stats = [mean + spread, mean - spread, mean, spread**2, rng.normal(size=mean.shape), odds]
    vectors = np.stack(stats, axis=2).astype(np.float32).reshape(n, -1)
    artists = words(rng, max(1, n // 12), 2, 4)
    sound = path.with_name("song.ogg")  # all sound alike to a browser
    soundfile.write(sound, 0.1 * np.sin(np.arange(int(SONG_S * RATE)) / 9), RATE)
    same = {
        "size": 9_000_000, "mtime_ns": 1, "segments": 70, "status": "ok", "source_rate": 44_100,
        "source_channels": 2, "codec": "mp3", "decoder": "soundfile", "packet_errors": 0,
        "extractor_id": about.extractor_id, "extracted_at": datetime(2026, 1, 2, tzinfo=UTC),
    }  # fmt: skip
    named = [artists[i] for i in rng.integers(0, len(artists), n)]
    ids = [f"{artist}/{i:06}.mp3" for i, artist in enumerate(named)]
    columns = {
        "song_id": ids,
        "content_hash": [f"{i:032x}" for i in range(n)],
        "uri": [str(sound)] * n,
        "duration_s": rng.uniform(120, 400, n).astype(np.float32),
        "title": words(rng, n, 2, 6),
        "artist": named,
        "album": [f"{name} {i % 3}" for i, name in enumerate(named)],
    }
    schema = schema_of(about)
    arrays = []
    for field in schema:
        if field.name == "vector":
            flat = pa.array(vectors.ravel())
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=field.type))
        elif field.name in columns:
            arrays.append(pa.array(columns[field.name], field.type))
        elif field.name in same:
            arrays.append(pa.array([same[field.name]] * n, field.type))
        else:
            arrays.append(pa.nulls(n, field.type))
    table = pa.Table.from_arrays(arrays, schema=schema).sort_by("song_id")
    write_table(path, table, about)
    return path


def moved(path, share=0.05):
    """Return how far old songs move when `share` more come, in halves of the map's width.

    ``kept``: the most while the page is open; ``restarted``: the most when it starts again;
    ``place_cpu_s``: seconds of CPU to place the new songs.
    """
    library = open_store(path)
    space, hashes = library.space(), library.column("content_hash").combine_chunks()
    rng, n = np.random.default_rng(0), len(library)
    old = np.sort(rng.choice(n, int(n / (1 + share)), replace=False))
    some = hashes.take(pa.array(old))
    first = laid_out(audio_of(some), np.arange(len(old)), project(space.matrix[old]))
    began = time.process_time()
    kept = first.with_songs(audio_of(hashes), space).places[old] - first.places
    spent = time.process_time() - began
    write_map(library, "pca", space.by, (some, first.places, first.at_first))
    restarted = SongColumns(open_store(path)).layout.places[old] - first.places
    return {
        "kept": round(float(np.abs(kept).max()), 4),
        "restarted": round(float(np.abs(restarted).max()), 4),
        "place_cpu_s": round(spent, 2),
    }


def resident_mb(pid):
    """Return the memory of a process in MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def measure(store, n, wait_s, radio_min, requests):
    """Serve the page of a store, wait as long as a browser takes to start, and measure."""
    started = time.perf_counter()
    with browsing(store, process=True) as (address, process):
        answers_s = time.perf_counter() - started
        return looked_at(address, process.pid, n, wait_s, radio_min, requests) | {
            "server_answers_s": round(answers_s, 2)
        }


def looked_at(address, pid, n, wait_s, radio_min, requests):
    """Open an address in a browser and return what was measured there."""
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.add_init_script(WATCH)
        page = context.new_page()
        time.sleep(wait_s)
        sizes = []
        page.on("response", lambda r: sizes.append(int(r.headers.get("content-length", 0))))
        began = time.perf_counter()
        page.goto(address)
        page.wait_for_selector(".hero h1")
        home_s = time.perf_counter() - began
        page.wait_for_selector(".places .place", timeout=120_000)
        paint = page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
        )
        page.wait_for_timeout(600)
        load_tasks = page.evaluate("window.tasks.splice(0)")
        began = time.perf_counter()
        go(page, "/songs")
        page.wait_for_selector(ROWS)
        list_s = time.perf_counter() - began
        page.locator(f"{ROWS} .title").nth(3).click()
        began = time.perf_counter()
        page.wait_for_selector(".near li")
        near_s = time.perf_counter() - began
        began = time.perf_counter()
        go(page, "/map")
        until(page, "window.songMap?.landView && window.songMap.lastMs > 0")
        map_s = time.perf_counter() - began
        first_draw = page.evaluate("window.songMap.lastMs")
        plain, full = panned(page)
        go(page, "/find?q=ka+lo")
        page.wait_for_selector(".found .song-line")
        heap = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
        tasks = page.evaluate("window.tasks")
        return {
            "songs": n,
            "home_s": round(home_s, 3),
            "list_s": round(list_s, 3),
            "map_s": round(map_s, 3),
            "first_paint_ms": round(paint or 0),
            "draw_ms": round(first_draw, 1),
            "pan_draw_ms": round(plain[0]["draw_ms"], 1),
            "near_s": round(near_s, 3),
            "names": full[0]["names"],
            "frame_ms": [min(one["ms"] for one in runs) for runs in (plain, full)],
            "fps": [max(round(one["fps"], 1) for one in runs) for runs in (plain, full)],
            "longest_task_at_start_ms": round(max(load_tasks, default=0)),
            "longest_task_later_ms": round(max(tasks, default=0)),
            "kilobytes": round(sum(sizes) / 1000),
            "server_mb": round(resident_mb(pid)),
            "tab_heap_mb": round(heap, 1),
            "browser": browser.version,
            "radio": radio(page, radio_min),
            "server_mb_by_requests": requested(address, pid, n, requests),
        }


def requested(address, pid, n, requests):
    """Ask the server many times; return its memory in MB at first, after `WARM` and at the end."""
    base, token = split_address(address)
    line = HTTPConnection(base.removeprefix("http://"), timeout=60)
    headers = {"Authorization": f"Bearer {token}"}
    memory = {0: round(resident_mb(pid))}
    for at in range(1, requests + 1):
        line.request("GET", ASKED[at % len(ASKED)].format(at % n), headers=headers)
        answer = line.getresponse()
        answer.read()
        if answer.status == 429:
            time.sleep(0.2)
        if at in (min(WARM, requests), requests):
            memory[at] = round(resident_mb(pid))
    return memory


def radio(page, minutes):
    """Hear a radio at sixteen times its speed, skip every third song, and return what it took.

    A gap is the time from the end of a song, or from a skip, to the first sound of the next one.
    """
    if not minutes:
        return None
    go(page, "/songs")
    page.wait_for_selector(ROWS)
    page.locator(f"{ROWS} .title").nth(5).click()
    page.evaluate("performance.clearResourceTimings(); window.tasks.splice(0)")
    page.click(".song >> text=Radio")
    played, skipped, gaps = [], 0, []
    while SONG_S * (len(played) - skipped) < 60 * minutes:
        began = time.perf_counter()
        until(page, f"{PLAYER} s.row >= 0 && !s.isLoading && !s.isPaused && p.now() > 0; }})")
        gaps.append(time.perf_counter() - began)
        played.append(page.evaluate(f"{PLAYER} s.row; }})"))
        if len(played) % 3 == 0:
            page.click("button[title='Next song']")
            skipped += 1
        else:
            page.evaluate("document.querySelector('audio').playbackRate = 16")
        until(page, f"{PLAYER} s.row !== {played[-1]}; }})", timeout_s=30)
    asked = page.evaluate(
        "performance.getEntriesByType('resource').filter(one => one.name.endsWith('/api/radio'))"
        ".map(one => one.duration)"
    )
    return {
        "minutes": minutes,
        "songs": len(played),
        "skipped": skipped,
        "twice": len(played) - len(set(played)),
        "longest_gap_s": round(max(gaps), 2),
        "longest_answer_ms": round(max(asked)),
        "longest_task_ms": round(max(page.evaluate("window.tasks"), default=0)),
        "tab_heap_mb": round(page.evaluate("performance.memory.usedJSHeapSize") / 1e6, 1),
    }


def panned(page):
    """Move a map with a path on it, by turns without and with names, a path and twelve lines."""
    page.evaluate(NAMES)
    found = []
    for change in ("{...window.full, names: null, route: null, near: []}", "window.full") * 3:
        page.evaluate(f"window.songMap.set({change})")
        page.wait_for_timeout(400)
        found.append(page.evaluate(PAN) | page.evaluate(FRAME))
    return found[::2], found[1::2]


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("songs", type=int, nargs="+")
    parser.add_argument(
        "--wait", type=float, default=3.0, help="seconds that a browser takes to start (3)"
    )
    parser.add_argument(
        "--radio", type=float, default=10.0, help="minutes of radio, heard 16 times as fast (10)"
    )
    parser.add_argument("--requests", type=int, default=10_000, help="to the server (10,000)")
    args = parser.parse_args()
    for n in args.songs:
        with tempfile.TemporaryDirectory() as folder:
            store = write_store(Path(folder) / "vecs.parquet", n)
            found = measure(store, n, args.wait, args.radio, args.requests)
            print(json.dumps(found | {"moved": moved(store)}), flush=True)


if __name__ == "__main__":
    main()

"""`examples/`: every script runs and prints what its reader is told to expect."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from needs import needs

ROOT = Path(__file__).parents[1]
SCRIPTS = {path.name: path for path in sorted((ROOT / "examples").glob("*.py"))}
TRAIN = {"cold_start.py", "own_head.py"}  # need the extra `train`
BEGINS = {
    "cold_start.py": [
        r"\d+ events of 60 simulated users over 25 songs",
        r"\d+ users embedded in 40 numbers",
        r"user-audio model trained for \d epochs",
        r"10 rows: song_id, user_id, similarity, rank, exposure_share",
        r"guitar-band\.flac for sim-\d+, similarity -?\d\.\d\d",
    ],
    "own_head.py": ["classes: with a beat, without", r"accuracy by song: \d\.\d\d of 18 songs"],
    "playlist.py": [
        r"\d+ seconds of music",
        r"near-jazz\.m3u8: jazz-vibraphone\.mp3, jazz-vibraphone-later\.ogg, ",
        r"similarity of each song to the next: \[0\.\d",
        r"piano-to-metal\.m3u8: classical-piano\.flac, .*, death-metal-band\.ogg",
    ],
    "read_a_store.py": [
        r"pyarrow: 5 songs, vectors \(5, 84\) float32",
        r"highest mean score of each song: \[0\.\d",
    ],
    "score_series.py": ["5 segments, 14 classes", r"  0\.0 s  voice with accompaniment \d\.\d\d"],
    "similar_songs.py": [
        r"\d+ songs extracted, \d+ unchanged, 0 failed",
        r"27 songs, vectors of shape \(27, 84\)",
        r" 0\.9\d\d  jazz-vibraphone-later\.ogg",
    ],
    "why_alike.py": [r"blues-band\.mp3 and [\w.-]+: similarity 0\.\d+", r"[+-]0\.\d+  \w+/\w+"],
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """One folder for all scripts, so that the clips are extracted once."""
    return tmp_path_factory.mktemp("examples")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_prints_what_it_promises(name, outputs):
    if name in TRAIN:
        needs("torch")
    run = subprocess.run(
        [sys.executable, SCRIPTS[name], outputs],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) >= len(BEGINS[name])
    for line, pattern in zip(lines, BEGINS[name], strict=False):
        assert re.match(pattern, line), run.stdout
    if name == "playlist.py":
        songs = (outputs / "near-jazz.m3u8").read_text().splitlines()
        assert songs[0] == "#EXTM3U"
        assert (outputs / songs[2]).exists()


def test_the_readme_has_a_line_for_every_script():
    text = (ROOT / "examples" / "README.md").read_text()
    rows = re.findall(r"^\| \[`(\w+\.py)`\]\((\w+\.py)\) \|.*\| (.*)\|$", text, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == sorted(SCRIPTS) == sorted(BEGINS)
    assert all(name == link for name, link, _ in rows)
    assert {name for name, _, extra in rows if "extra `train`" in extra} == TRAIN


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_short_and_says_how_to_run_it(name):
    text = SCRIPTS[name].read_text()
    assert f"python examples/{name}" in text
    assert text.count("\n") <= 80

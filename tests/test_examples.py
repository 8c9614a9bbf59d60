"""`examples/`: every script runs and prints what its reader is told to expect."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from needs import needs

ROOT = Path(__file__).parents[1]
SCRIPTS = {path.name: path for path in sorted((ROOT / "examples").glob("*.py"))}
NEEDS = {  # what brings what a script needs beside the core
    "new_songs_to_their_audience.py": ("torch", "train"),
    "own_head.py": ("torch", "train"),
    "vectors_into_a_recommender.py": ("sklearn", "sklearn"),
}
BEGINS = {
    "my_library.py": [
        r"\d+ songs extracted, \d+ unchanged, 0 failed",
        r"Library\('.*vecs\.parquet': 46 songs, \d+:\d\d, extractor \w+\)",
        "46 songs",
        "song_id +version +version_score +genre ",
    ],
    "new_songs_to_their_audience.py": [
        r"\d+ events of 60 simulated users over 25 songs",
        r"audience-by-taste\.parquet: \d+ rows",
        r"guitar-band\.flac for sim-\d+, similarity -?\d\.\d\d",
        r"guitar-band\.flac for sim-\d+, similarity -?\d\.\d\d",
        r"\d+ users embedded in 40 numbers",
        r"user-audio model trained for \d epochs",
        r"audience-learnt\.parquet: \d+ rows",
    ],
    "own_head.py": ["classes: with a beat, without", r"accuracy by song: \d\.\d\d of 18 songs"],
    "vectors_into_a_recommender.py": [
        r"pandas: \(27, 84\) \['version_vocal_max', ",
        r"most metal: (death-metal-band\.ogg|guitar-band\.flac)",
        r"duckdb: \('mp3', 8, ",
    ],
}
SAYS = {  # anywhere
    "my_library.py": [
        r"^   1       0\.4\d\d  lovin\.opus ",
        r"^ 0\.\d+ +-?\d.* metal-madness\.opus |^0\.\d+ +\d.* metal-madness\.opus ",
        r"^0:00        1\.000  vibe-ace\.opus ",
        r"^genre/electronic +0\.\d+  [▁▂▃▄▅▆▇█]{7}$",
        r"^drawn: |pip install ./plugins/audiorec-plots",
    ],
    "vectors_into_a_recommender.py": [
        r"^recommended: 0\.\d\d  [\w-]+\.\w+$",
        r"^a new song: 0\.\d\d$",
        r"^units: \(27, 42\) of length 1\.0$",
    ],
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """One folder for all scripts, so that the clips are extracted once."""
    return tmp_path_factory.mktemp("examples")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_prints_what_it_promises(name, outputs):
    if name in NEEDS:
        needs(NEEDS[name][0])
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
    for pattern in SAYS.get(name, ()):
        assert re.search(pattern, run.stdout, re.MULTILINE), run.stdout
    if name == "my_library.py":
        songs = (outputs / "demo" / "evening.m3u8").read_text().splitlines()
        assert songs[0] == "#EXTM3U"
        assert (outputs / "demo" / songs[2]).exists()


def test_the_readme_has_a_line_for_every_script():
    text = (ROOT / "examples" / "README.md").read_text()
    rows = re.findall(r"^\| \[`(\w+\.py)`\]\((\w+\.py)\) \|.*\| (.*)\|$", text, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == sorted(SCRIPTS) == sorted(BEGINS)
    assert all(name == link for name, link, _ in rows)
    extras = {name: m[1] for name, _, extra in rows if (m := re.search(r"extra `(\w+)`", extra))}
    assert extras == {name: extra for name, (_, extra) in NEEDS.items()}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_short_and_says_how_to_run_it(name):
    text = SCRIPTS[name].read_text()
    assert f"python examples/{name}" in text
    assert text.count("\n") <= 85


def log_of_two_tastes(path):
    """Write plays of sixty users, who each hear songs of one of two kinds, most of eight."""
    rng = np.random.default_rng(0)
    rows = ["user_id,song_id,timestamp,event"]
    for user in range(60):
        songs = rng.permutation(8)[:6] * 2 + user % 2
        rows += [f"u{user:02},s{song:02},{1700000000 + i},finish" for i, song in enumerate(songs)]
    path.write_text("\n".join(rows) + "\n")


@pytest.mark.parametrize("library", ["audiorec", "implicit"])
def test_an_experiment_with_each_library_finds_the_taste(library, tmp_path):
    needs("pandas")
    if library != "audiorec":
        needs(library)
    log_of_two_tastes(tmp_path / "plays.csv")
    script = ROOT / "examples" / "experiment" / f"with_{library}.py"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", script, tmp_path / "plays.csv"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    # Three songs of a user's kind are left, and one of them is wanted: all among the first ten.
    shown = re.search(r"^(item-knn|TFIDFRecommender)\D+(10 )?1\.000", run.stdout, re.MULTILINE)
    assert shown, run.stdout
    rows = re.findall(r"^\d+ +u(\d\d) +s(\d\d) +1$", run.stdout, re.MULTILINE)
    assert rows
    assert all(int(user) % 2 == int(song) % 2 for user, song in rows)


def test_the_experiments_are_short_and_the_readme_tells_their_lines():
    text = (ROOT / "examples" / "experiment" / "README.md").read_text()
    for path in sorted((ROOT / "examples" / "experiment").glob("*.py")):
        code = ast.parse(path.read_text())
        first = code.body[1].lineno - 1  # after what it says of itself
        lines = [line for line in path.read_text().splitlines()[first:] if line.strip()]
        assert f"({path.name}) | {len(lines)} |" in text

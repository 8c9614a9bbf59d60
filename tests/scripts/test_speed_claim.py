"""What is said of speed is what the benchmark prints: the range over all rows, and who is ahead."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks" / "performance.md"
COPIES = ("README.md", "docs/compared_owners.md", "docs/benchmarks/figures.md")

pytestmark = pytest.mark.skipif(
    not (ROOT / "benchmarks").is_dir(), reason="needs the repository, not its source archive"
)


def benchmark(*arguments, told=""):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, arguments)],
        cwd=ROOT,
        input=told,
        capture_output=True,
        text=True,
    )


def claimed(file):
    return [json.loads(line) for line in benchmark("speed_claim", file).stdout.splitlines()]


def test_the_page_has_the_range_that_is_printed_of_its_tables():
    printed = benchmark("table", told=benchmark("speed_claim", PAGE).stdout).stdout.strip()
    assert printed.count("\n") == 4
    assert printed in PAGE.read_text()


@pytest.mark.parametrize("page", COPIES)
def test_whoever_says_something_of_speed_says_it_both_ways(page):
    text = (ROOT / page).read_text()
    linked = set(re.findall(r"\[([\d.]+)\]\([\w/]*performance\.md\)", text))
    for line in claimed(PAGE):
        assert {line["from"], line["to"]} <= linked, line["beside_bliss"]
    of_time = next(line for line in claimed(PAGE) if line["beside_bliss"].startswith("CPU"))
    assert of_time["bliss_ahead"] == "WAV, Vorbis, AAC"
    assert all(name in text for name in of_time["bliss_ahead"].split(", "))


def made(peer, form, wall, pair, **more):
    line = {"bench": f"peers/{peer}", "format": form, "audio_s": 60.0}
    walls = {"x_wall": [1, wall, 999], "x_wall_of_two": [1, pair, 999]}
    return json.dumps({**line, **walls, **more})


def test_lines_of_the_benchmark_give_the_lowest_and_the_highest_row(tmp_path):
    lines = tmp_path / "lines.jsonl"
    rows = [
        made("audiorec", "mp3", 400, 880),
        made("librosa", "mp3", 1, 1, audiorec_is_faster_by=[9, 9, 9]),
        made("bliss", "mp3", 500, 800, audiorec_is_faster_by=[1.1, 1.2, 1.9]),
        made("audiorec", "wav", 300, 700),
        made("bliss", "wav", 600, 800, audiorec_is_faster_by=[0.1, 0.8, 1.5]),
        json.dumps({"bench": "unread/bliss", "format": "wma", "reason": "none"}),
    ]
    lines.write_text("\n".join(rows))
    of_time, alone, pair = claimed(lines)
    assert of_time == {
        "beside_bliss": "CPU time of one core",
        "from": "0.80",
        "to": "1.20",
        "audiorec_ahead": "mp3 of 60 s",
        "bliss_ahead": "wav of 60 s",
    }
    assert (alone["from"], alone["to"], alone["audiorec_ahead"]) == ("0.50", "0.80", "none")
    assert (pair["from"], pair["to"]) == ("0.88", "1.10")


def test_what_has_no_row_beside_bliss_is_refused(tmp_path):
    lines = tmp_path / "lines.jsonl"
    lines.write_text(made("audiorec", "mp3", 400, 800))
    done = benchmark("speed_claim", lines)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no row has both audiorec and bliss" in done.stderr

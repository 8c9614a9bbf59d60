"""``audiorec classify``: songs of the store unopened, the others opened; as they come, in order."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys

import pytest
from command import run_command
from made_songs import write_song

from audiorec.extraction import reader
from audiorec.runs.workers import Limits
from audiorec_cli.library.classify import find_known

pytestmark = pytest.mark.usefixtures("in_this_process")
NAMES = ["a/one.flac", "a/two.wav", "b/one.flac"]


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """Three songs of ten seconds and a broken file, and their store with score series."""
    from audiorec import extract

    home = tmp_path_factory.mktemp("classify")
    for seed, name in enumerate(NAMES):
        write_song(home / "songs" / name, seed=seed, seconds=10.0)
    (home / "songs/broken.mp3").write_bytes(b"no music" * 20)
    extract(home / "songs", out=home / "vecs.parquet", scores=home / "scores.parquet", jobs=1)
    return home


@pytest.fixture
def home(extracted, tmp_path, monkeypatch):
    """A copy of the folder, files with their times, where the store stands for the songs there."""
    monkeypatch.chdir(extracted)
    return extracted


@pytest.fixture
def classify(monkeypatch, capfd):
    def run(*arguments):
        return run_command(monkeypatch, capfd, "classify", *arguments)

    return run


@pytest.fixture
def unopened(monkeypatch):
    """Make every attempt to open a song a bug."""
    monkeypatch.setattr(reader, "SONG_HANDLER", "no_such_module:handler")


def rows(out):
    return list(csv.DictReader(io.StringIO(out), delimiter="\t"))


def test_all_songs_of_the_store_without_opening_one(home, classify, unopened):
    code, out, err = classify()
    assert (code, err) == (0, "")
    assert [row["song"] for row in rows(out)] == NAMES
    first = rows(out)[0]
    assert first["version"] in ("vocal", "instrumental", "vocal_accompaniment", "other")
    assert 0 <= float(first["version_score"]) <= 1
    assert 0 <= float(first["voiced"]) <= 1
    assert "%" not in out


def test_a_store_says_what_the_files_say(home, classify, monkeypatch, tmp_path):
    code, stored, _ = classify("--json")
    known = json.loads(stored)["songs"]
    monkeypatch.chdir(tmp_path)  # no store here
    code, opened, _ = classify(home / "songs/a", home / "songs/b", "--json", "-j", "2")
    found = json.loads(opened)["songs"]
    assert code == 0
    assert [song["song"] for song in found] == NAMES
    assert {song["source"] for song in known} == {"store"}
    assert {song["source"] for song in found} == {"file"}
    for song in [*known, *found]:
        del song["source"]
    assert found == known  # every bit of every score


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (["a/two.wav"], ["a/two.wav"]),
        (["two"], ["a/two.wav"]),
        (["songs/b/../a/one.flac"], ["a/one.flac"]),
        (["songs/*/one.flac"], ["a/one.flac", "b/one.flac"]),
        (["b/one.flac", "songs/a"], ["b/one.flac", "a/one.flac", "a/two.wav"]),
        (["songs/b", "b/one.flac", "songs/b/one.flac"], ["b/one.flac"]),
    ],
)
def test_songs_are_named_by_ids_paths_and_globs(home, classify, unopened, named, found):
    code, out, err = classify(*named)
    assert (code, err) == (0, "")
    assert [row["song"] for row in rows(out)] == found


def test_only_what_the_store_does_not_have_is_opened(home, classify, tmp_path):
    shutil.copy2(home / "songs/a/one.flac", tmp_path / "new.flac")
    os.utime(tmp_path / "new.flac", (1, 1))
    code, out, err = classify(
        tmp_path / "new.flac", "a/two.wav", home / "songs/broken.mp3", "--json"
    )
    assert code == 3
    assert "broken.mp3: not_audio" in err
    songs = json.loads(out)["songs"]
    assert [(s["song"], s["source"]) for s in songs] == [
        ("new.flac", "file"),
        ("a/two.wav", "store"),
    ]


def test_a_file_that_changed_is_opened(extracted, tmp_path, classify, monkeypatch):
    shutil.copytree(extracted, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    path = tmp_path / "home/songs/a/one.flac"
    _, found = find_known([str(path)], None)  # the store knows the file of another folder
    assert found[0].is_opened
    monkeypatch.chdir(extracted)
    path = extracted / "songs/a/one.flac"
    stamp = path.stat()
    _, found = find_known([str(path)], None)
    assert found[0].row == 0
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    _, found = find_known([str(path)], None)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert (found[0].row, found[0].name) == (None, "one.flac")


def test_two_songs_of_one_name_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in "xy":
        write_song(tmp_path / folder / "same.wav", seed=0, seconds=1.0)
    _, found = find_known(["x", "y", "x/same.wav"], None)
    assert [one.name for one in found] == ["x/same.wav", "y/same.wav"]


def test_without_score_series_the_voice_is_left_empty_and_said(home, classify, unopened, tmp_path):
    shutil.copy(home / "vecs.parquet", tmp_path)
    code, out, err = classify("-v", tmp_path / "vecs.parquet")
    assert code == 0
    assert {row["voiced"] for row in rows(out)} == {""}
    assert "scores.parquet: no such file" in err
    assert "--scores" in err


def test_nothing_is_said_of_a_column_that_a_terminal_does_not_show(
    home, classify, unopened, tmp_path, monkeypatch
):
    from audiorec_cli.shared import console

    shutil.copy(home / "vecs.parquet", tmp_path)
    monkeypatch.setattr(console, "drawn_on", lambda stream: stream)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    code, out, err = classify("-v", tmp_path / "vecs.parquet")
    assert (code, "voiced" in out, "voiced" in err) == (0, False, False)


def test_other_heads_than_the_stores_do_not_take_its_answers(home, classify, tmp_path):
    from audiorec.tagger.heads import shipped_head

    ours = shipped_head("genre")
    code, out, err = classify("songs/a/two.wav", "--head", ours)
    assert code == 0
    assert "is not used: the store was made by extractor" in err
    assert "version" not in rows(out)[0]
    code, out, err = classify("two", "--head", ours)
    assert (code, out) == (2, "")
    assert "pass the store's heads (--head)" in err
    code, out, err = classify("two", "--head", "version=ours", "--head", "genre=ours")
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nobody.flac"], 2, "nobody.flac: no such file, and no song with id 'nobody.flac'"),
        (["nowhere/*.mp3"], 2, "no file matches"),
        (["-v", "gone.parquet"], 2, "no store at gone.parquet"),
        (["songs/a", "-v", "gone.parquet"], 2, "no store at gone.parquet"),
    ],
)
def test_a_mistake_is_one_line(home, classify, arguments, code, message):
    found, out, err = classify(*arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_damaged_store_that_merely_lies_here_is_no_obstacle(
    home, classify, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vecs.parquet").write_bytes(b"cut")
    code, out, err = classify(home / "songs/a/two.wav")
    assert (code, rows(out)[0]["song"]) == (0, "two.wav")
    assert err.startswith("note: vecs.parquet: ")
    assert classify()[0] == 4


@pytest.mark.usefixtures("hangs_are_over_at_once")
def test_limits_are_kept_and_a_song_that_hangs_costs_itself(home, classify, monkeypatch, tmp_path):
    monkeypatch.setattr(reader, "SONG_HANDLER", "poison:song_handler")
    for name in ("hang.wav", "z.wav"):
        write_song(tmp_path / name, seed=0, seconds=3.0)
    limits = Limits(timeout_s=4, memory_bytes=4 << 30)
    monkeypatch.setattr("audiorec_cli.library.classify.limits_of", lambda: limits)
    code, out, err = classify(tmp_path, "-j", "2")
    assert code == 3
    assert "hang.wav: timeout: took longer than 4 s" in err
    assert [row["song"] for row in rows(out)] == ["z.wav"]


def test_a_person_sees_two_digits_and_what_is_there(home, classify, monkeypatch):
    from audiorec_cli.shared import console

    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(console, "drawn_on", lambda stream: stream)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    _, out, _ = classify()
    heading = out.splitlines()[1].split()
    assert heading[:4] == ["song", "version", "score", "voiced"] or "genre" in heading
    assert "segments" not in heading
    assert max(map(len, out.splitlines())) <= 80


def test_a_file_without_a_store_needs_no_arrow_and_nothing_of_search(home, tmp_path):
    script = (
        "import sys\n"
        "from audiorec_cli.main import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "heavy = ('pyarrow', 'scipy', 'onnxruntime', 'audiorec.search', 'audiorec.playlists')\n"
        "print('HEAVY', [m for m in heavy if m in sys.modules])\n"
    )
    arguments = ["classify", str(home / "songs" / NAMES[0]), "--format", "csv"]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert NAMES[0].rpartition("/")[2] in done.stdout
    assert "HEAVY []" in done.stdout

"""The ``audiorec`` command: what it prints where, and what it exits with."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from typing import NamedTuple
from unittest import mock

import pyarrow.parquet as pq
import pytest
from command import run_command
from made_songs import write_song
from needs import needs

from audiorec_cli.main import main

COMMAND = [sys.executable, "-m", "audiorec_cli.main"]


def started(*arguments, **how):
    """Run the command as a process of its own."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **how)


class Done(NamedTuple):
    """What a command in this process came to."""

    returncode: int
    stdout: str
    stderr: str


def audiorec(*arguments, cwd=".", env=None):
    """Run the command in this process, in a folder."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    code = 0
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.dict(os.environ, env or {}),
        mock.patch.object(sys, "argv", ["audiorec", *map(str, arguments)]),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Done(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with six songs, a broken one and the store that was made of them."""
    home = tmp_path_factory.mktemp("home")
    for i, name in enumerate(
        ["a/one.flac", "a/two.wav", "b/three.flac", "b/four.mp3", "b/five.wav"]
    ):
        write_song(home / "songs" / name, seed=i)
    write_song(home / "unseen.flac", seed=77)
    (home / "songs" / "broken.mp3").write_bytes(b"no music" * 20)
    result = audiorec("extract", "songs", "--jobs", "1", cwd=home)
    assert result.returncode == 3, result.stderr
    return home


def test_extract_says_what_came_of_it_on_stderr_only(home):
    result = audiorec("extract", "songs", "--jobs", "1", cwd=home)
    assert result.returncode == 3
    assert result.stdout == ""
    assert "5 unchanged, 1 failed before" in result.stderr
    assert "vecs.errors.parquet" in result.stderr


def test_extract_json_is_one_document(home, tmp_path):
    result = audiorec(
        "extract", home / "songs/a", "-o", tmp_path / "v.parquet", "--json", "-q", "-j1"
    )
    document = json.loads(result.stdout)
    assert result.returncode == 0
    assert (document["schema"], document["extracted"]) == ("audiorec/extraction/1", 2)
    assert document["statuses"] == {"ok": 2}


def test_allow_failures_turns_three_into_zero(home):
    assert audiorec("extract", "songs", "--allow-failures", cwd=home).returncode == 0


def test_dry_run_lists_and_writes_nothing(home, tmp_path):
    out = tmp_path / "v.parquet"
    result = audiorec("extract", home / "songs", "--out", out, "--dry-run")
    assert result.returncode == 0
    assert result.stdout.split() == sorted(
        ["a/one.flac", "a/two.wav", "b/five.wav", "b/four.mp3", "b/three.flac", "broken.mp3"]
    )
    assert "6 songs to open" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_on_a_terminal_is_two_lines(home, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    options = ("--out", tmp_path / "v.parquet", "--dry-run")
    code, out, err = run_command(monkeypatch, capsys, "extract", home / "songs", *options)
    assert (code, out) == (0, "")
    first, second = err.splitlines()
    assert first.startswith("6 songs to open")
    assert second.startswith("about ")


def test_failed_files_are_named_with_their_reasons(tmp_path):
    for n in range(12):
        (tmp_path / f"{n:02}\x1b[2J.mp3").write_bytes(b"no music" * 20)
    result = audiorec("extract", ".", "-o", "v.parquet", "-j1", cwd=tmp_path)
    assert result.returncode == 4
    lines = result.stderr.splitlines()
    named = [line for line in lines if line.startswith("    ")]
    assert named[0] == "    00\\x1b[2J.mp3: a text file, not audio"
    assert [line[4:6] for line in named[:10]] == [f"{n:02}" for n in range(10)]
    assert named[10].startswith("    audiorec reads WAV, FLAC,")  # once, and within 80 columns
    assert named[11:] == ["    and 2 more"]
    assert max(map(len, named)) <= 80
    assert "reasons: v.errors.parquet; of one file: audiorec info FILE --vectors v.parquet" in lines


def test_lists_and_manifests(home, tmp_path):
    arguments = ["extract", "--from", "-", "--dry-run", "--out", tmp_path / "list.parquet"]
    listed = started(*arguments, cwd=home, input="songs/a/one.flac\n")
    assert listed.stdout == "songs/a/one.flac\n"
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"path,song_id\n{home}/songs/a/one.flac,0001\n")
    out = tmp_path / "v.parquet"
    assert audiorec("extract", "--from", manifest, "-o", out, "-q", "-j1").returncode == 0
    assert pq.read_table(out).column("song_id").to_pylist() == ["0001"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["extract", "nowhere"], 2, "nowhere: no such file or folder"),
        (["extract"], 2, "give either paths or --from FILE"),
        (["extract", ""], 2, "it is empty"),
        (["extract", "songs", "--max-failures", "many"], 2, "like 20 or a share like 5%"),
        (["extract", "empty"], 4, "no songs found"),
        (["extract", "songs", "--head", "unseen.flac"], 4, "cannot be read as safetensors"),
        (["similar", "thre.flac"], 2, "did you mean: b/three.flac"),
        (["similar", "songs/broken.mp3"], 4, "not_audio"),
        (["classify", "songs/broken.mp3", "--tags", "3"], 4, "not_audio"),
        (["classify", "nowhere.mp3", "--tags", "3"], 2, "nowhere.mp3: no such file"),
    ],
)
def test_a_users_mistake_is_one_clear_line(home, arguments, code, message):
    (home / "empty").mkdir(exist_ok=True)
    result = audiorec(*arguments, cwd=home)
    assert result.returncode == code, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


EVERYTHING = ("--also", "non-music", "--minimum", "-1")  # the songs are noises of a few seconds


def test_similar_takes_a_file_that_was_never_seen(home, tmp_path):
    options = ("--vectors", home / "vecs.parquet", *EVERYTHING)
    by_file = audiorec("similar", home / "unseen.flac", *options)
    assert by_file.returncode == 0, by_file.stderr
    assert len(by_file.stdout.splitlines()) == 6
    copy = tmp_path / "copy.flac"
    shutil.copy(home / "songs/a/one.flac", copy)
    by_copy = audiorec("similar", copy, *options)  # of a song that the store has: it is that song
    assert by_copy.stdout == audiorec("similar", "a/one.flac", *options).stdout
    assert "copy.flac is a copy of a/one.flac" in by_copy.stderr


def test_similar_finds_the_store_by_the_environment(home, tmp_path):
    env = {"AUDIOREC_VECTORS": str(home / "vecs.parquet")}
    assert audiorec("similar", "one", cwd=tmp_path, env=env).returncode == 0


def test_tags_prints_a_line_a_segment(home):
    result = audiorec("classify", home / "unseen.flac", "--tags", "2")
    lines = result.stdout.splitlines()
    assert lines[0] == "start_s\ttag\tscore\ttag_2\tscore_2"
    assert re.fullmatch(r"0\.000(\t[\w\- ]+\t0\.\d{3}){2}", lines[1])
    document = json.loads(
        audiorec("classify", home / "unseen.flac", "--tags", "3", "--json").stdout
    )
    assert document["model"] == "musicnn_msd"
    assert [s["start_s"] for s in document["segments"]] == [0.0]


def test_doctor_is_content_here():
    result = started("doctor", "--json")
    document = json.loads(result.stdout)
    assert (result.returncode, document["healthy"]) == (0, True), result.stderr
    names = {check["what"] for check in document["checks"]}
    assert {"libsndfile", "ffmpeg in av", "musicnn_msd", "torchaudio", "one song"} <= names


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """Return what puts a distribution called ``audiorec`` on the path, with an entry point."""

    def write(version, target):
        about = tmp_path / f"audiorec-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Name: audiorec\nVersion: {version}\n")
        (about / "entry_points.txt").write_text(f"[console_scripts]\naudiorec = {target}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return write


@pytest.mark.parametrize(
    ("version", "target", "who"),
    [
        ("0.1", "audiorec.record:cli", "another project than audiorec-music"),
        ("0.1.0", "audiorec_cli.main:main", "an earlier version of audiorec-music"),
        ("0.1.0", "audiorec.record:cli", "another project than audiorec-music"),
    ],
)
def test_doctor_tells_a_namesake_from_an_earlier_version(
    beside, monkeypatch, capsys, version, target, who
):
    beside(version, target)
    code, out, _ = run_command(monkeypatch, capsys, "doctor", "--json")
    document = json.loads(out)
    (found,) = [c for c in document["checks"] if c["what"] == f"audiorec {version}"]
    assert (code, document["healthy"], found["good"]) == (4, False, False)
    assert found["detail"].startswith(who)
    assert "pip uninstall audiorec audiorec-music" in found["detail"]


def test_debug_shows_the_traceback(home):
    result = started("--debug", "similar", "nobody", "-v", home / "vecs.parquet")
    assert "Traceback" in result.stderr


def test_version():
    assert re.fullmatch(r"audiorec \d+\.\d+\.\d+\n", started("--version").stdout)


def test_help_and_similar_load_nothing_heavy(home):
    script = (
        "import sys\n"
        "from audiorec_cli.main import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "heavy = ('torch', 'scipy', 'librosa', 'onnxruntime', 'soundfile', 'av', 'matplotlib',\n"
        "         'pydantic')\n"
        "print('HEAVY', [m for m in heavy if m in sys.modules])\n"
    )
    for arguments in (["--help"], ["similar", "one.flac"]):
        result = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            cwd=home,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "HEAVY []" in result.stdout


@pytest.mark.parametrize("lines", [0, 1])
def test_a_reader_that_goes_away_is_no_failure(home, lines):
    command = [sys.executable, "-m", "audiorec_cli.main", "extract", "songs", "--dry-run"]
    command += ["--out", str(home / "not-made.parquet")]
    with subprocess.Popen(
        [*command, "--json"], cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for _ in range(lines):
            process.stdout.readline()
        process.stdout.close()
        stderr = process.stderr.read()
    assert (process.returncode, stderr) == (0, "")


def test_a_head_of_ones_own_from_labels_to_use(home, tmp_path):
    needs("torch")
    rows = [
        f"{home}/songs/{p},{c},{p}"
        for p, c in [
            ("a/one.flac", "x"),
            ("a/two.wav", "x"),
            ("b/three.flac", "y"),
            ("b/five.wav", "y"),
        ]
    ]
    labels = tmp_path / "labels.csv"
    labels.write_text("path,label,song_id\n" + "\n".join(rows) + "\n")
    result = audiorec("heads", labels, "--task", "mood", "--out", tmp_path / "mood", "-q")
    assert result.returncode == 0, result.stderr
    assert "by song: accuracy" in result.stdout
    assert "No groups were given" in result.stderr
    assert {"head.safetensors", "figures.json", "MODEL_CARD.md"} <= {
        p.name for p in (tmp_path / "mood").iterdir()
    }
    judged = audiorec("heads", labels, "--evaluate", tmp_path / "mood", "--json", "-q")
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout)["by_song"]["songs"] == 4
    head = tmp_path / "mood" / "head.safetensors"
    out = tmp_path / "v.parquet"
    used = audiorec("extract", home / "songs/a", "--head", head, "--out", out, "-q", "-j1")
    assert used.returncode == 0, used.stderr
    described = json.loads(audiorec("info", "--vectors", out, "--json").stdout)
    assert (described["dimension"], described["classes"]) == (12, ["mood/x", "mood/y"])

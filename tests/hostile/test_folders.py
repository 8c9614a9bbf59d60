"""Folders that cannot be seen, and dates that no clock shows: nothing is skipped or dropped."""

import ctypes
import json
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command import run_command
from made_songs import write_song

from audiorec.extraction.catalogue import find_songs, make_source, read_list
from audiorec.extraction.run import RunOptions, make_outputs, run

pytestmark = pytest.mark.usefixtures("in_this_process")
# Of Linux: root's right to read and to look into what is closed, and a call's header.
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAPABILITIES = 1, 2, (0x20080522, 0)
CLOSED = "the folder cannot be listed: permission denied"


@pytest.fixture
def audiorec(monkeypatch, capsys):
    """Return what runs the command as a user who is not root; it returns code, stdout, stderr."""
    libc = ctypes.CDLL(None)
    head, rights = (ctypes.c_uint32 * 2)(*CAPABILITIES), (ctypes.c_uint32 * 6)()
    libc.capget(head, rights)
    fewer = type(rights)(*rights)
    fewer[0] &= ~(1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH)

    def run_it(*arguments, cwd):
        monkeypatch.chdir(cwd)
        libc.capset(head, fewer)
        try:
            return run_command(monkeypatch, capsys, *arguments)
        finally:
            libc.capset(head, rights)

    return run_it


def rows(path):
    return {row["song_id"]: row for row in pq.read_table(path).to_pylist()}


def extract(sources, folder, **options):
    outputs = make_outputs(folder / "vecs.parquet")
    return run(sources, outputs, options=RunOptions(**{"jobs": 1, **options}))


def failed(folder):
    return [
        (row["song_id"], row["stage"], row["status"], row["message"])
        for row in rows(folder / "vecs.errors.parquet").values()
    ]


@pytest.fixture
def home(tmp_path):
    """A folder with the library `m`: a song in the open, one in a folder that gets closed."""
    write_song(tmp_path / "m/open/a.wav", seed=1, seconds=1.2)
    write_song(tmp_path / "m/shut/b.wav", seed=2, seconds=1.2)
    yield tmp_path
    with suppress(FileNotFoundError):
        (tmp_path / "m/shut").chmod(0o755)


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_closed_folder_is_a_failure_and_prune_keeps_its_rows(home, mode, audiorec):
    """Closed altogether, or with names that can be listed and files that cannot be looked at."""
    assert audiorec("extract", "m", "-q", "-j1", cwd=home)[0] == 0
    before = rows(home / "vecs.parquet")
    (home / "m/shut").chmod(mode)
    for attempts in (1, 2):
        code, _, stderr = audiorec("extract", "m", "--prune", "-q", "-j1", cwd=home)
        assert code == 3
        assert f"warning: {home}/m/shut" in stderr
        assert "1 unchanged, 1 failed" in stderr
        assert rows(home / "vecs.parquet") == before
        (row,) = rows(home / "vecs.errors.parquet").values()
        assert row["uri"] == str(home / "m/shut")
        assert (row["stage"], row["status"], row["attempts"]) == ("walk", "unreadable", attempts)
        assert "permission denied" in row["message"]
    (home / "m/shut").chmod(0o755)
    code, _, stderr = audiorec("extract", "m", "--prune", "-q", "-j1", cwd=home)
    assert (code, "pruned" in stderr) == (0, False)
    assert rows(home / "vecs.parquet") == before
    assert rows(home / "vecs.errors.parquet") == {}


def test_a_dry_run_and_a_manifest_tell_of_a_closed_folder(home, audiorec):
    (home / "m/shut").chmod(0)
    code, stdout, stderr = audiorec("extract", "m", "--dry-run", cwd=home)
    assert (code, stdout) == (0, "open/a.wav\n")
    assert f"warning: {home}/m/shut: {CLOSED}" in stderr
    assert "1 cannot be read" in stderr
    stdout = audiorec("extract", "m", "--dry-run", "--json", cwd=home)[1]
    assert json.loads(stdout)["unseen"] == {"shut/": CLOSED}
    code, stdout, stderr = audiorec("manifest", "m", "--json", cwd=home)
    assert (code, json.loads(stdout)["songs"], json.loads(stdout)["unseen"]) == (3, 1, 1)
    assert f"warning: {home}/m/shut: {CLOSED}" in stderr
    code, _, _ = audiorec("shards", "manifest.parquet", "1", "-o", "parts", "-q", cwd=home)
    assert code == 3
    (row,) = rows(home / "parts/part-00000-of-00001.errors.parquet").values()
    assert (row["song_id"], row["stage"], row["message"]) == ("shut/", "walk", CLOSED)


def test_a_root_that_is_closed_and_one_in_a_closed_folder(home, audiorec):
    (home / "m/shut").chmod(0)
    code, _, stderr = audiorec("extract", "m/shut", "m/shut/b.wav", "m/open", "-q", "-j1", cwd=home)
    assert code == 3, stderr
    assert set(rows(home / "vecs.parquet")) == {"open/a.wav"}
    assert failed(home) == [
        ("b.wav", "walk", "unreadable", "permission denied"),
        ("shut/", "walk", "unreadable", CLOSED),
    ]
    assert audiorec("extract", "m/shut", "-o", "v.parquet", "-q", "-j1", cwd=home)[0] == 4


def deep_song(root: Path, levels: int) -> None:
    """Make folders below `root`, each with a long name, with a song in the last."""
    song = write_song(root / "song.wav", seed=3, seconds=1.2).read_bytes()
    (root / "song.wav").unlink()
    at = os.open(root, os.O_RDONLY)
    for level in range(levels):
        name = f"{level:02d}" + "x" * 198
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    with os.fdopen(os.open("song.wav", os.O_WRONLY | os.O_CREAT, dir_fd=at), "wb") as file:
        file.write(song)
    os.close(at)


def test_a_song_beyond_the_longest_path_is_a_failure(home, audiorec):
    deep_song(home / "m", levels=30)
    code, _, stderr = audiorec("extract", "m", "-q", "-j1", cwd=home)
    assert (code, "2 extracted" in stderr, "1 failed" in stderr) == (3, True, True)
    ((song_id, stage, status, message),) = failed(home)
    assert song_id.startswith("00xxx")
    assert (stage, status) == ("walk", "unreadable")
    assert message == "the folder cannot be listed: file name too long"
    assert audiorec("extract", "m", "--prune", "-q", "-j1", cwd=home)[0] == 3
    shutil.rmtree(home / "m" / ("00" + "x" * 198))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError(2, "No such file or directory"), "no such file or directory"),
        (OSError(5, "Input/output error"), "input/output error"),
        (OSError(40, "Too many levels of symbolic links"), "too many levels of symbolic links"),
    ],
)
def test_a_folder_that_fails_or_vanishes_during_the_walk(home, monkeypatch, error, reason):
    extract(find_songs([home / "m"]), home)
    real = os.scandir

    def failing(path="."):
        if str(path).endswith("shut"):
            error.filename = path
            raise error
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", failing)
        report = extract(find_songs([home / "m"]), home, prune=True)
    assert (report.failed, report.pruned, report.unchanged) == (1, 0, 1)
    assert failed(home) == [
        ("shut/", "walk", "unreadable", f"the folder cannot be listed: {reason}")
    ]
    assert len(rows(home / "vecs.parquet")) == 2
    assert extract(find_songs([home / "m"]), home).failed == 0
    assert failed(home) == []


def test_exclude_leaves_a_closed_folder_out(home, monkeypatch):
    def failing(path="."):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", failing)
    assert [(s.song_id, s.problem) for s in find_songs([home / "m"])] == [("m/", CLOSED)]
    (home / "m/shut").rename(home / "m/lost+found")
    monkeypatch.undo()
    real = os.scandir
    monkeypatch.setattr(
        os, "scandir", lambda p=".": failing(p) if str(p).endswith("found") else real(p)
    )
    assert [s.song_id for s in find_songs([home / "m"])] == ["lost+found/", "open/a.wav"]
    for pattern in ("lost+found", "lost+found/*", "*found*"):
        assert [s.song_id for s in find_songs([home / "m"], exclude=[pattern])] == ["open/a.wav"]


@pytest.mark.parametrize(
    ("pattern", "songs", "closed"),
    [
        ("m/**/*.wav", ["a.wav"], ["m/shut/"]),
        ("m/*/*.wav", ["a.wav"], ["m/shut/"]),
        ("m/s*/*.wav", [], ["m/shut/"]),
        ("m/o*/*.wav", ["a.wav"], []),
        ("m/open/*.wav", ["a.wav"], []),
        ("**/a.wav", ["a.wav"], ["m/shut/"]),
    ],
)
def test_a_closed_folder_does_not_hide_from_a_glob(home, monkeypatch, pattern, songs, closed):
    real = os.scandir

    def failing(path="."):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", failing)
    monkeypatch.chdir(home)
    found = find_songs([pattern])
    assert [s.song_id for s in found] == sorted([*songs, *closed])
    absolute = find_songs([f"{home}/{pattern}"])
    assert {s.uri for s in absolute} == {s.uri for s in found}


def test_a_file_that_vanishes_after_it_was_listed(home):
    def remove(path, default):
        if path.endswith("b.wav"):
            Path(path).unlink()
        return default

    sources = find_songs([home / "m"], song_id=remove)
    report = extract(sources, home)
    assert (report.extracted, report.failures) == (1, {"unreadable": 1})
    assert failed(home) == [("shut/b.wav", "walk", "unreadable", "no such file or directory")]


def test_songs_of_a_list_that_are_not_there_keep_their_vectors(home):
    """As on a disk that is not mounted; with --prune, what is surely gone goes."""
    lines = [f"{home}/m/open/a.wav", f"{home}/m/shut/b.wav"]
    extract(read_list(lines), home)
    before = rows(home / "vecs.parquet")
    (home / "m/shut/b.wav").rename(home / "b.wav")
    for options in ({}, {"prune": True}):
        report = extract(read_list(lines), home, **options)
        assert (report.failed, report.unchanged) == (1, 1)
        assert rows(home / "vecs.parquet") == before
        assert failed(home) == [
            (
                f"{home}/m/shut/",
                "walk",
                "unreadable",
                "b.wav: no such file or directory; vectors are kept",
            )
        ]
    (home / "m/shut/cover.jpg").write_bytes(b"")  # a folder in use: the song is gone
    assert extract(read_list(lines), home, prune=True).failed == 1
    assert set(rows(home / "vecs.parquet")) == {lines[0]}
    (home / "b.wav").rename(home / "m/shut/b.wav")
    assert extract(read_list(lines), home).extracted == 1
    assert failed(home) == []
    assert set(rows(home / "vecs.parquet")) == set(before)


def test_a_mount_that_is_empty_does_not_prune(home, audiorec):
    """Two libraries, one of them on a disk that is not mounted."""
    arguments = ("extract", "m/open", "m/shut", "--prune", "-q", "-j1")
    assert audiorec(*arguments, cwd=home)[0] == 0
    (home / "m/shut/b.wav").rename(home / "b.wav")
    for content in (None, "README"):  # an empty folder, and what an administrator left in it
        if content:
            (home / "m/shut" / content).write_text("not mounted")
        code, _, stderr = audiorec(*arguments, cwd=home)
        assert (code, len(rows(home / "vecs.parquet"))) == (0, 2)
        assert f"kept 1 of the rows below {home}/m/shut: it cannot be read" in stderr
    shutil.rmtree(home / "m/shut")
    assert audiorec("extract", "m/open", "m", "--prune", "-q", "-j1", cwd=home)[0] == 0
    assert set(rows(home / "vecs.parquet")) == {"open/a.wav", "m/open/a.wav"}


def test_fifty_closed_folders_do_not_end_a_run(home, monkeypatch):
    for i in range(60):
        (home / f"m/gate{i}").mkdir()
    (home / "m/open/broken.mp3").write_bytes(b"<html>" * 99)
    real = os.scandir

    def failing(path="."):
        if "/gate" in str(path):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", failing)
    report = extract(find_songs([home / "m"]), home)
    assert (report.stopped, report.extracted, report.failed) == (None, 2, 61)
    assert extract(find_songs([home / "m"]), home, max_failures=20).stopped == "max_failures"


def test_a_list_of_files_that_are_all_missing_is_a_wrong_folder(home):
    report = extract(read_list([f"/nowhere/{i}.mp3" for i in range(60)]), home)
    assert (report.stopped, report.failed) == ("max_failures", 50)


def test_a_file_that_cannot_be_read_may_be_a_song(home, audiorec):
    """Without an ending its first bytes would have to tell."""
    (home / "m/shut/b.wav").rename(home / "m/shut/b")
    (home / "m/shut/b").chmod(0)
    (home / "m/open/gone").symlink_to("nothing")
    assert audiorec("extract", "m", "-q", "-j1", cwd=home)[0] == 3
    assert failed(home) == [("shut/b", "read", "unreadable", "permission denied")]


def test_classify_tells_of_a_closed_folder(home, audiorec):
    (home / "m/shut").chmod(0)
    code, stdout, stderr = audiorec("classify", "m", "--json", cwd=home)
    assert (code, len(json.loads(stdout)["songs"])) == (3, 1)
    assert "m/shut: unreadable: " in stderr


DATES = {
    "2300-01-01": 10_413_792_000,
    "2301-01-01": 10_445_328_000,
    "1900-01-01": -2_208_988_800,
    "1969-12-31 23:59:59": -1,
    "9999-12-31": 253_402_214_400,
    "30828-09-14": 910_692_730_085,
}


def test_a_date_costs_nothing(home, audiorec):
    """As `touch -d` sets it, through the command: vectors, a second run, and a manifest."""
    assert audiorec("extract", "m", "-o", "calm.parquet", "-q", "-j1", cwd=home)[0] == 0
    for date, song in (("2300-01-01", "open/a.wav"), ("1900-01-01", "shut/b.wav")):
        subprocess.run(["touch", "-d", date, home / "m" / song], check=True)
    assert audiorec("extract", "m", "-q", "-j1", cwd=home)[0] == 0
    calm, found = rows(home / "calm.parquet"), rows(home / "vecs.parquet")
    assert {k: row["vector"] for k, row in found.items()} == {
        k: row["vector"] for k, row in calm.items()
    }
    assert "2 unchanged" in audiorec("extract", "m", "-q", "-j1", cwd=home)[2]
    assert audiorec("manifest", "m", cwd=home)[0] == 0
    assert (
        "0 songs (0.0 kB), 2 already known"
        in audiorec("manifest", "m", "--new-to", "vecs.parquet", cwd=home)[2]
    )
    assert audiorec("store", "verify", "--files", cwd=home)[0] == 0
    subprocess.run(["touch", "-d", "2301-01-01", home / "m/open/a.wav"], check=True)
    assert "1 moved or retagged, 1 unchanged" in audiorec("extract", "m", "-q", "-j1", cwd=home)[2]


@pytest.mark.parametrize("seconds", [*DATES.values(), 1 << 55, -(1 << 55)])
def test_every_date_is_a_number_of_its_own(home, monkeypatch, seconds):
    """Also one that this file system would not take, and the second after it."""

    class Dated:
        st_size = 5

        def __init__(self, seconds):
            self.st_mtime_ns = seconds * 10**9

    sources = []
    for later in (0, 0, 1):
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", lambda _path, at=seconds + later: Dated(at))
            sources.append(make_source("a.wav", "a"))
    first, again, changed = sources
    assert first == again != changed
    assert (first.problem, -(2**63) <= first.mtime_ns < 2**63) == ("", True)

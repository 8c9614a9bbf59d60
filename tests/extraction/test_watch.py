"""`extraction.watch`: when a file is whole, bursts, folders that go and come, and a clean stop."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import click
import pytest
from made_songs import write_song
from needs import needs
from waiting import until

from audiorec.errors import BusyStoreError, MissingFileError
from audiorec.extraction.catalogue import Source, find_songs
from audiorec.extraction.plan import RunOptions
from audiorec.extraction.watch import (
    Polling,
    SettledFiles,
    SystemChanges,
    best_change_source,
    watch,
)
from audiorec.store.store import VectorStore
from audiorec_cli.shared.console import Exit
from audiorec_cli.shared.extraction import keep_watching

SETTLE = 10.0
START = 1_700_000_000  # of the clock that files' times are compared with


class World:
    """A made-up folder and a made-up clock: every wait moves the clock, and plays what is due."""

    def __init__(self):
        self.files, self.time, self.batches, self.said = {}, 0.0, [], []
        self.is_there, self.stop = True, threading.Event()
        self.script = []  # (time, what is done then)
        self.answers = []
        self.waits = []

    def at(self, time_s, action):
        self.script.append((time_s, action))
        self.script.sort(key=lambda entry: entry[0])

    def write(self, name, size):
        self.files[name] = (size, int((START + self.time) * 1e9))

    def look(self):
        if not self.is_there:
            raise MissingFileError("music: no such file or folder")
        return [Source(n, n, f"/music/{n}", *about) for n, about in sorted(self.files.items())]

    def work(self, sources):
        self.batches.append((self.time, [(s.song_id, s.size) for s in sources]))
        return self.answers.pop(0) if self.answers else True

    def wait(self, seconds):
        """Go on to the next thing that happens, or to the end of the wait."""
        self.waits.append(seconds)
        end = self.time + seconds
        if self.script and self.script[0][0] <= end:
            self.time = max(self.time, self.script[0][0])
            self.script.pop(0)[1]()
        else:
            self.time = end
        if self.time > 10_000:
            self.stop.set()

    def pause(self, seconds):
        end = self.time + seconds
        while self.script and self.script[0][0] <= end:
            self.time = max(self.time, self.script[0][0])
            self.script.pop(0)[1]()
        self.time = end

    def run(self):
        watch(
            self.look,
            self.work,
            notices=self,
            stop=self.stop,
            settle_s=SETTLE,
            every_s=60,
            say=self.said.append,
            now=lambda: self.time,
            clock=lambda: START + self.time,
            pause=self.pause,
        )
        return self.batches


@pytest.fixture
def world():
    return World()


def test_a_file_is_read_once_and_only_when_it_is_whole(world):
    world.files["old.mp3"] = (5, (START - 99) * 10**9)
    for n in range(1, 9):  # a copy that takes 32 seconds
        world.at(100 + 4 * n, lambda n=n: world.write("new.mp3", n))
    batches = world.run()
    assert [songs for _, songs in batches] == [
        [("old.mp3", 5)],  # at once
        [("new.mp3", 8), ("old.mp3", 5)],
    ]
    assert 132 + SETTLE <= batches[1][0] <= 132 + 2 * SETTLE + 1


def test_what_was_written_just_before_the_first_look_has_to_wait(world):
    world.files["young.mp3"] = (5, (START - 3) * 10**9)
    world.files["from the future.mp3"] = (5, (START + 9999) * 10**9)
    batches = world.run()
    assert [[name for name, _ in songs] for _, songs in batches] == [
        ["from the future.mp3", "young.mp3"]
    ]
    assert batches[0][0] == SETTLE


def test_a_copy_that_keeps_an_old_date_has_to_stay_still_as_well(world):
    world.files["a.mp3"] = (5, (START - 99) * 10**9)
    world.at(100, lambda: world.files.update({"b.mp3": (1, (START - 99) * 10**9)}))
    world.at(105, lambda: world.files.update({"b.mp3": (9, (START - 99) * 10**9)}))
    batches = world.run()
    assert batches[1][1] == [("a.mp3", 5), ("b.mp3", 9)]
    assert batches[1][0] >= 115


def test_a_burst_of_two_thousand_files_is_one_batch(world):
    for n in range(2_000):  # twenty a second
        world.at(200 + n / 20, lambda n=n: world.write(f"{n:05}.mp3", 1))
    batches = world.run()
    assert sum(len(songs) for _, songs in batches[-1:]) == 2_000
    assert len(batches) <= 12  # one every ten seconds while it lasts, and the last
    assert sorted(name for name, _ in batches[-1][1]) == [f"{n:05}.mp3" for n in range(2_000)]


def test_a_folder_that_goes_stops_the_work_and_loses_nothing(world):
    world.files["a.mp3"] = (5, (START - 99) * 10**9)
    world.at(100, lambda: setattr(world, "is_there", False))
    world.at(900, lambda: setattr(world, "is_there", True))
    world.at(901, lambda: world.write("b.mp3", 3))
    batches = world.run()
    assert [len(songs) for _, songs in batches] == [1, 2]
    assert world.said == [
        "music: no such file or folder; waiting for it, the store is not changed",
        "the folder is back",
    ]


def test_the_first_look_at_a_folder_that_is_not_there_is_an_error(world):
    world.is_there = False
    with pytest.raises(MissingFileError):
        world.run()


def test_songs_that_go_or_change_start_a_batch_and_nothing_else_does(world):
    world.files = {f"{n}.mp3": (5, (START - 99) * 10**9) for n in range(3)}
    world.at(300, lambda: world.files.pop("1.mp3"))
    world.at(600, lambda: world.write("2.mp3", 6))
    batches = world.run()
    assert [len(songs) for _, songs in batches] == [3, 2, 1, 2]  # 2.mp3 is not whole at first
    assert len(world.waits) > 100  # looks, most of which found nothing new


def test_a_batch_that_could_not_begin_is_tried_again_and_one_that_ends_it_ends_it(world):
    world.files["a.mp3"] = (5, (START - 99) * 10**9)
    world.answers = [None, None, False]
    assert len(world.run()) == 3
    assert not world.stop.is_set()
    assert SettledFiles(1.0).split_complete([], now_s=0, clock_s=0) == ([], [])


def test_places_that_cannot_be_looked_at_do_not_wait(world):
    closed = Source("deep/", "deep", "/music/deep", -1, -1, "permission denied")
    assert SettledFiles(SETTLE).split_complete([closed], now_s=0, clock_s=START) == ([closed], [])


# ---------------------------------------------------------------------------------- the system's


def test_the_system_tells_of_changes_and_of_a_folder_that_is_back(tmp_path):
    needs("watchfiles")
    folder, stop = tmp_path / "music", threading.Event()
    folder.mkdir()
    notices = SystemChanges([folder], stop, print)
    notices.start()
    try:
        tells_of(notices, lambda: (folder / "a.mp3").write_text("x"))
        first = notices._thread
        shutil.rmtree(folder)
        first.join(60)
        assert not first.is_alive()
        notices.wait(0)  # forgets what it was told of so far
        folder.mkdir()
        tells_of(notices, lambda: (folder / "b.mp3").write_text("x"))
    finally:
        notices.close()


def tells_of(notices, change):
    """Change something until a wait ends early: the system is not listened to from the start."""

    def ends_early():
        timer = threading.Timer(0.3, change)
        timer.start()
        begun = time.monotonic()
        notices.wait(3)
        timer.join()
        return time.monotonic() - begun < 3

    until(ends_early)


def test_without_the_package_folders_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    said, stop = [], threading.Event()
    with best_change_source([tmp_path], stop, said.append) as notices:
        assert isinstance(notices, Polling)
        begun = time.monotonic()
        notices.wait(0.3)
        assert 0.25 < time.monotonic() - begun < 30
        stop.set()
        notices.wait(60)
    assert 'pip install "watchfiles' in said[0]


# ------------------------------------------------------------------------------ the whole command


@pytest.fixture
def watched(tmp_path):
    """A folder with a song, and the command that watches it."""
    songs = tmp_path / "songs"
    write_song(songs / "one.wav", seed=0, seconds=2.0)
    command = [sys.executable, "-m", "audiorec_cli.main", "extract", songs, "--watch"]
    command += ["--settle", "0.5", "--every", "1", "-j", "1", "--json", "--prune"]
    with (
        (tmp_path / "err").open("w") as told,
        subprocess.Popen(
            [*map(str, command), "--out", str(tmp_path / "vecs.parquet")],
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        ) as process,
    ):
        yield songs, tmp_path / "vecs.parquet", process
        if process.poll() is None:
            process.kill()


def ids(store):
    return set(VectorStore.open(store).ids) if store.exists() else set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_songs_come_in_as_they_come_and_a_signal_ends_it(watched, number, tmp_path):
    songs, store, process = watched
    until(lambda: ids(store) == {"one.wav"})
    write_song(tmp_path / "two.wav", seed=1, seconds=2.0)
    whole = (tmp_path / "two.wav").read_bytes()
    with (songs / "two.wav").open("wb") as file:  # slowly: it must not be read in between
        for start in range(0, len(whole), len(whole) // 8 + 1):
            file.write(whole[start : start + len(whole) // 8 + 1])
            file.flush()
            time.sleep(0.2)
    until(lambda: ids(store) == {"one.wav", "two.wav"})
    if number == signal.SIGTERM:
        songs.rename(tmp_path / "away")
        until(lambda: "waiting for it" in (tmp_path / "err").read_text())
        assert ids(store) == {"one.wav", "two.wav"}
        (tmp_path / "away").rename(songs)
        until(lambda: "is back" in (tmp_path / "err").read_text())
        (songs / "one.wav").unlink()
        until(lambda: ids(store) == {"two.wav"})
    process.send_signal(number)
    assert process.wait(60) == 0, (tmp_path / "err").read_text()
    told = (tmp_path / "err").read_text()
    assert "Traceback" not in told
    reports = read_documents(process.stdout.read())
    assert all(report["schema"] == "audiorec/extraction/1" for report in reports)
    assert sum(report["failed"] for report in reports) == 0  # nothing was read half
    assert not (store.parent / "vecs.parquet.run").exists()
    assert len(find_songs([songs])) == len(ids(store))


def test_a_batch_says_whether_the_watch_goes_on_and_what_it_ends_with(tmp_path):
    codes = [Exit.SOME_FAILED, BusyStoreError("held"), Exit.NOTHING_USABLE, Exit.INTERRUPTED]
    given = []

    def run(sources, _naming, options, _stop):
        given.append((len(sources), options.retry_failed, options.max_failures))
        code = codes.pop(0)
        if isinstance(code, Exception):
            raise code
        return code

    def look():  # always something new
        name = str(time.monotonic_ns())
        return [Source(name, name, name, 1, 1)], None

    with pytest.raises(click.exceptions.Exit) as ended:
        keep_watching(
            look,
            run,
            RunOptions(retry_failed=True),
            paths=[tmp_path],
            settle_s=0.0,
            every_s=0.01,
            quiet=True,
        )
    assert ended.value.exit_code == Exit.INTERRUPTED
    # All of a batch may fail, and what failed before is tried again once alone.
    assert given == [(1, True, 1.0), (1, False, 1.0), (1, False, 1.0), (1, False, 1.0)]


def read_documents(text):
    decoder, found = json.JSONDecoder(), []
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["songs", "--overwrite"], "discard it each time"),
        (["songs", "--dry-run"], "with --dry-run"),
        (["--from", "list.txt"], "needs folders"),
        (["gone"], "no such file or folder"),
    ],
)
def test_what_cannot_be_watched_is_refused(words, why, tmp_path):
    (tmp_path / "songs").mkdir()
    (tmp_path / "list.txt").write_text("")
    command = [sys.executable, "-m", "audiorec_cli.main", "extract", *words, "--watch"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert why in done.stderr
    assert not (Path(tmp_path) / "vecs.parquet").exists()

"""`audiorec.extraction.reader`: a file that kills its decoder costs an error, and nothing else."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from made_songs import write_song

import audiorec
from audiorec.errors import Failure, SongError, WeightsError
from audiorec.extraction import reader
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
from audiorec.extraction.reader import hash_reader, song_reader

NATIVE = ("av", "soundfile", "onnxruntime")


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Three good songs, and three whose names tell the handlers of `poison` to misbehave."""
    folder = tmp_path_factory.mktemp("songs")
    for i, name in enumerate(["a.wav", "b.flac", "c.wav", "segfault.wav", "hang.wav"]):
        write_song(folder / name, seed=i, seconds=4.0)
    return folder


@pytest.fixture
def poisoned(monkeypatch):
    monkeypatch.setattr(reader, "SONG_HANDLER", "poison:song_handler")
    monkeypatch.setattr(reader, "TAGGRAM_HANDLER", "poison:taggram_handler")


def test_a_song_is_what_an_extractor_makes_of_it(songs):
    expected = Extractor().song(songs / "a.wav", outputs=("msd.penultimate",))
    with song_reader(ExtractorConfig(), ("msd.penultimate",)) as songs_of:
        found = songs_of.read(songs / "a.wav")
    np.testing.assert_array_equal(found.vector, expected.vector)
    np.testing.assert_array_equal(
        found.features["msd.penultimate"], expected.features["msd.penultimate"]
    )
    assert (found.info, found.content_hash) == (expected.info, expected.content_hash)
    with hash_reader() as hashes:
        assert hashes.read(songs / "a.wav") == expected.content_hash


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.usefixtures("poisoned", "hangs_are_over_at_once")
def test_answers_come_in_order_and_bad_files_are_answers(songs, jobs):
    names = ["a.wav", "segfault.wav", "b.flac", "hang.wav", "gone.wav", "c.wav"]
    with song_reader(jobs=jobs) as songs_of:
        found = list(songs_of.read_each([songs / name for name in names]))
    failures = [answer.failure if isinstance(answer, SongError) else None for answer in found]
    gone = Failure.UNREADABLE
    assert failures == [None, Failure.CRASHED, None, Failure.TIMEOUT, gone, None]
    assert [a.path for a in found if isinstance(a, SongError)] == [
        str(songs / name) for name in ("segfault.wav", "hang.wav", "gone.wav")
    ]
    assert "SIGSEGV" in found[1].reason


def test_a_caller_may_change_its_folder_and_names_stay_as_they_were_given(songs, monkeypatch):
    monkeypatch.chdir(songs)
    with song_reader() as songs_of:
        first = songs_of.read("a.wav")
        monkeypatch.chdir("/")
        with pytest.raises(SongError, match=r"^a\.wav: unreadable"):
            songs_of.read("a.wav")
        monkeypatch.chdir(songs)
        again = songs_of.read(os.fsencode("a.wav"))
    np.testing.assert_array_equal(first.vector, again.vector)


def test_what_no_song_is_to_blame_for_is_raised_as_it_is(songs, tmp_path):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"no head")
    with (
        song_reader(ExtractorConfig(heads=(bad,))) as songs_of,
        pytest.raises(WeightsError, match=r"bad\.safetensors"),
    ):
        list(songs_of.read_each([songs / "a.wav"]))


def test_the_public_functions_outlive_a_crash(songs, poisoned):
    for function in (audiorec.vector, audiorec.scores, audiorec.taggram):
        good = function(songs / "a.wav")
        with pytest.raises(SongError, match="SIGSEGV") as caught:
            function(songs / "segfault.wav")
        assert caught.value.failure is Failure.CRASHED
        again = function(songs / "a.wav")
        np.testing.assert_array_equal(
            getattr(good, "scores", good), getattr(again, "scores", again)
        )


def test_one_worker_serves_all_calls_and_no_decoder_is_loaded_here(songs):
    script = (
        "import sys, audiorec\n"
        "from audiorec.extraction import reader\n"
        "for _ in range(2): audiorec.vector(sys.argv[1]); audiorec.scores(sys.argv[1])\n"
        "(shared,) = reader._shared.values()\n"
        "assert len(shared._workers._children) == 1\n"
        f"print([m for m in {NATIVE} if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(songs / "a.wav")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_forked_program_has_a_worker_of_its_own(songs):
    expected = audiorec.vector(songs / "a.wav")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks with threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if np.array_equal(audiorec.vector(songs / "a.wav"), expected) else 2
        finally:
            reader._close_shared()
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(audiorec.vector(songs / "a.wav"), expected)


def test_a_worker_that_was_ended_while_it_waited_is_replaced(songs):
    with song_reader() as songs_of:
        songs_of.read(songs / "a.wav")
        (child,) = songs_of._workers._children
        child._process.kill()
        child._process.wait()
        assert songs_of.read(songs / "b.flac").vector.shape == (84,)


def test_a_question_that_is_interrupted_ends_its_worker(songs, monkeypatch):
    with song_reader() as songs_of:
        songs_of.read(songs / "a.wav")
        (child,) = songs_of._workers._children

        def interrupt(_item):
            raise KeyboardInterrupt

        monkeypatch.setattr(child, "_exchange", interrupt)
        with pytest.raises(KeyboardInterrupt):
            songs_of.read(songs / "a.wav")
        assert not child.is_running
        assert songs_of.read(songs / "c.wav").vector.shape == (84,)

"""Runs that are killed or told to stop: rows of the table in `docs/faults.md`.

The parent killed by SIGKILL at three moments stands in ``tests/extraction/test_run.py``, and at
every step of a commit in ``tests/store/test_journal.py``.
"""

import os
import signal

import pytest

# What a shell starts in the background inherits an ignored SIGINT; a terminal's does not.
SLOW_DISK = """
import signal, sys, time
import audiorec.extraction.catalogue
signal.signal(signal.SIGINT, signal.default_int_handler)
def find_songs(*arguments, **options):
    print("listing", file=sys.stderr, flush=True)
    time.sleep(600)
audiorec.extraction.catalogue.find_songs = find_songs
"""
ASKED = "press Ctrl-C again to stop now"


def test_a_worker_that_is_killed_costs_its_song_alone(command):
    process = command.hangs()
    (worker,) = command.workers(process)
    os.kill(worker, signal.SIGKILL)
    ended = command.end(process)
    assert ended.code == 3
    assert ended.lines[0].startswith("3 extracted (3 short), 1 failed")
    assert "  failed: 1 oom (--memory MIB raises the limit)" in ended.lines
    command.goes_on("--retry-failed", unchanged=3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_end_finishes_the_song_in_flight(command, library, number):
    """One Ctrl-C, or SIGTERM, as a system that shuts down sends it."""
    process = command.hangs()
    process.send_signal(number)
    command.wait_for(ASKED, process)
    (library / "go").touch()
    ended = command.end(process)
    (library / "go").unlink()
    assert ended.code == 130
    assert sum(ASKED in line for line in ended.lines) == 1
    assert "run the same command to resume" in ended.lines[-1]
    assert not command.out.exists()
    assert command.kept() == 3
    command.goes_on(unchanged=3)


def test_a_second_ctrl_c_ends_at_once_and_keeps_what_was_finished(command):
    process = command.hangs()
    (worker,) = command.workers(process)
    process.send_signal(signal.SIGINT)
    command.wait_for(ASKED, process)
    ended = command.end(process, signal.SIGINT)
    assert ended.code == 130
    assert "finished work is kept" in ended.lines[-1]
    assert not command.out.exists()
    assert not os.path.exists(f"/proc/{worker}")  # noqa: PTH110
    assert command.kept() == 2
    command.goes_on(unchanged=2)


def test_ctrl_c_while_the_songs_are_listed_is_no_traceback(command):
    process = command.start(prelude=SLOW_DISK)
    command.wait_for("listing\n", process)
    ended = command.end(process, signal.SIGINT)
    assert ended.code == 130, ended.lines
    assert not command.out.parent.exists()


def test_ctrl_c_before_the_command_has_begun_is_no_traceback(command):
    interrupted = "raise KeyboardInterrupt"
    ended = command.run(
        prelude=f"import audiorec_cli.main as m\ndef call(words): {interrupted}\nm._call = call"
    )
    assert (ended.code, ended.lines) == (130, [])

"""Memory, the clock, and a second run: rows of the table in `docs/faults.md`."""

import os
import signal

CLOCK = """
import datetime, itertools, time
hours = itertools.count(1)
class Backwards(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(1_700_000_000 - 3600 * next(hours), tz)
datetime.datetime = Backwards
time.time = lambda: 1_700_000_000.0 - 3600 * next(hours)
"""


def test_a_song_that_needs_too_much_memory_costs_itself_alone(command):
    ended = command.run(handler="poison:eating_handler")
    assert ended.code == 3
    assert ended.lines[0].startswith("3 extracted (3 short), 1 failed")
    assert "  failed: 1 oom (--memory MIB raises the limit)" in ended.lines
    command.goes_on("--retry-failed", unchanged=3)


def test_a_clock_that_goes_backwards_changes_nothing(command):
    process = command.hangs(prelude=CLOCK)
    command.end(process, signal.SIGKILL)
    kept = command.kept()
    ended = command.run(prelude=CLOCK)
    assert ended.code == 0, ended.lines
    assert any(f"{kept} unchanged" in line for line in ended.lines)
    command.is_as_expected()


def test_a_newer_row_wins_whatever_its_time_says(command, library):
    """A song that changes between two runs, the second of which is in the past."""
    song = library / "z.flac"
    now, content = song.stat(), song.read_bytes()
    try:
        song.write_bytes((library / "b.flac").read_bytes())
        assert command.run().code == 0
        song.write_bytes(content)
        os.utime(song, ns=(now.st_atime_ns, now.st_mtime_ns))  # older than what is stored
        assert command.run(prelude=CLOCK).code == 0
    finally:
        song.write_bytes(content)
        os.utime(song, ns=(now.st_atime_ns, now.st_mtime_ns))
    command.goes_on(unchanged=4)


def test_a_second_run_on_one_output_is_refused_until_the_first_is_dead(command):
    first = command.hangs()
    second = command.run()
    assert second.code == 4
    assert len(second.lines) == 1
    assert "another run is writing this output; wait for it or stop it" in second.lines[0]
    assert command.kept() == 2
    command.end(first, signal.SIGKILL)
    command.goes_on(unchanged=2)

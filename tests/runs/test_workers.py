"""`audiorec.runs.workers`: a bad item costs itself, with the true reason, and nothing else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import until

from audiorec.errors import Failure
from audiorec.runs import workers
from audiorec.runs.workers import Limits, Workers

GOOD = [f"song-{i}" for i in range(6)]


@pytest.fixture(autouse=True)
def _importable_handlers(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


def run(items, *, jobs=1, **limits):
    with Workers("handlers:make", ("<",), jobs=jobs, limits=Limits(**limits)) as made:
        return {a.item: a for a in made.map_unordered(items)}


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_is_answered_once(jobs):
    answers = run(GOOD, jobs=jobs)
    assert {k: a.value for k, a in answers.items()} == {i: "<" + i for i in GOOD}


@pytest.mark.parametrize("jobs", [1, 3])
def test_answers_can_come_in_the_order_of_the_items(jobs):
    items = ["sleep:0.5", "b", "exit:7", "sleep:0.1", *GOOD]
    with Workers("handlers:make", ("<",), jobs=jobs) as made:
        answers = list(made.map(items))
    assert [a.item for a in answers] == items
    assert answers[1].value == "<b"
    assert answers[2].failure is Failure.CRASHED


def test_no_items_start_no_process():
    assert run([]) == {}


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(
    ("item", "failure", "message"),
    [
        ("segfault:", Failure.CRASHED, "SIGSEGV"),
        ("exit:7", Failure.CRASHED, "exit code 7"),
        ("kill:", Failure.OOM, "killed"),
        ("bug:x", Failure.CRASHED, "unexpected KeyError at handlers.py"),
    ],
)
def test_a_bad_item_takes_no_other_along(item, failure, message, jobs):
    answers = run([*GOOD[:3], item, *GOOD[3:]], jobs=jobs)
    bad = answers.pop(item)
    assert bad.failure is failure
    assert message in bad.message
    assert {k: a.value for k, a in answers.items()} == {i: "<" + i for i in GOOD}


def test_an_item_over_the_time_limit_is_ended():
    answers = run(["a", "sleep:60", "b"], timeout_s=5.0)
    assert answers["sleep:60"].failure is Failure.TIMEOUT
    assert answers["sleep:60"].message.startswith("took longer than ")
    assert answers["b"].value == "<b"


def test_an_item_over_the_memory_limit_is_oom():
    answers = run(["a", f"eat:{6 << 30}", "b"], memory_bytes=2 << 30)
    assert answers[f"eat:{6 << 30}"].failure is Failure.OOM
    assert answers["b"].value == "<b"


def test_a_system_without_limits_of_memory_has_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    workers._limit_memory(1 << 20)
    assert len(bytearray(64 << 20)) == 64 << 20


@pytest.mark.parametrize(
    ("factory", "message"),
    [("nowhere:make", "No module named 'nowhere'"), ("handlers:nothing", "no attribute 'nothing'")],
)
def test_a_handler_that_cannot_be_made_is_named(factory, message, capfd):
    with Workers(factory) as made:
        (answer,) = made.map_unordered(["a"])
    assert (answer.failure, capfd.readouterr().err) == (Failure.CRASHED, "")
    assert message in answer.message


def test_file_names_mean_the_same_in_a_child(tmp_path):
    """Also where the parent alone was told to read them as UTF-8."""
    script = (
        "from audiorec.runs.workers import Workers\n"
        "with Workers('handlers:make', ('<',)) as w: print(w.ask('utf8:').value)\n"
    )
    for told in ("0", "1"):
        env = {"PATH": os.environ["PATH"], "PYTHONUTF8": told, "LC_ALL": "C.ISO-8859-1"}
        env["PYTHONPATH"] = str(Path(__file__).parents[1])
        done = subprocess.run(
            [sys.executable, "-c", script + "import os, sys; print(sys.flags.utf8_mode)"],
            env=env, cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.splitlines() == [told, told]


def test_a_parent_without_a_stderr_is_served_as_well():
    script = (
        "from audiorec.runs.workers import Workers\n"
        "with Workers('handlers:make', ('<',)) as w: print(w.ask('shout:a').value)\n"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, script],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "<shout:a\n"


def test_errors_raised_on_purpose_come_back_whole():
    error = run(["refuse:x.mp3"])["refuse:x.mp3"].error
    assert (error.path, error.failure, error.reason) == ("x.mp3", Failure.NOT_AUDIO, "not a song")


def test_a_library_that_prints_does_not_write_into_the_answers(capfd):
    assert run(["print:x", "a"])["a"].value == "<a"


def test_items_are_drawn_only_as_they_are_needed():
    drawn = []

    def items():
        for name in GOOD:
            drawn.append(name)
            yield name

    with Workers("handlers:make", ("<",), jobs=1) as made:
        answers = made.map_unordered(items())
        next(answers)
        assert len(drawn) <= 3
        answers.close()


def test_close_leaves_no_process_behind():
    made = Workers("handlers:make", ("<",), jobs=1)
    pid = next(made.map_unordered(["pid:"])).value
    made.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("item", ["idle", "sleep:600"])
def test_children_end_when_the_parent_is_killed(tmp_path, item):
    script = tmp_path / "unguarded.py"  # no __main__ guard: must not start itself again
    script.write_text(
        "import sys\n"
        "from audiorec.runs.workers import Workers\n"
        "w = Workers('handlers:make', ('<',), jobs=1)\n"
        "for answer in w.map_unordered(['pid:', sys.argv[1]]):\n"
        "    print(answer.value, flush=True)\n"
        "import time; time.sleep(60)\n"
    )
    command = [sys.executable, str(script), item]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    if item == "idle":
        assert parent.stdout.readline() == "<idle\n"
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    def is_gone():
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return True
        return False

    until(is_gone)


def test_a_child_that_no_one_can_wake_ends_by_itself():
    """A library that holds the interpreter's lock, in a child whose parent was killed."""
    script = (
        "import ctypes, os\n"
        "from audiorec.runs.workers import _last_resort\n"
        "with open(os.devnull, 'w') as nowhere, _last_resort(0.5, nowhere):\n"
        "    ctypes.PyDLL(None).sleep(600)\n"
    )
    started = time.monotonic()
    result = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert result.returncode == 1
    assert time.monotonic() - started < 30

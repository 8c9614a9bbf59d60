"""`audiorec.audio.readers`: what C libraries print is caught, and never blocks."""

import os
import subprocess
import sys

import pytest

from audiorec.audio.readers import captured_stderr


def test_the_last_line_of_descriptor_2(capfd):
    with captured_stderr() as chatter:
        assert chatter.last_line == ""
        os.write(2, b"first\n")
        assert chatter.last_line == "first"
        os.write(2, b"second \x1b[31m\xff\n\n  \n")
        assert chatter.last_line == "second [31m�"
    assert chatter.last_line == "second [31m�"
    os.write(2, b"outside\n")
    assert capfd.readouterr().err == "outside\n"


def test_python_and_other_programs_write_to_the_same_place():
    with captured_stderr() as chatter:
        subprocess.run([sys.executable, "-c", "import os; os.write(2, b'child')"], check=True)
        assert chatter.last_line == "child"


def test_nothing_is_lost_or_doubled_around_the_switch():
    code = (
        "import sys, os\n"
        "from audiorec.audio.readers import captured_stderr\n"
        "sys.stderr.reconfigure(line_buffering=False, write_through=False)\n"
        "print('before', end=' ', file=sys.stderr)\n"
        "with captured_stderr() as chatter:\n"
        "    print('inside', end=' ', file=sys.stderr)\n"
        "print('after', chatter.last_line, file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr == "before after inside\n"


def test_megabytes_do_not_block():
    with captured_stderr() as chatter:
        for i in range(300):
            os.write(2, b"x" * 10_000 + b" %d\n" % i)
    assert chatter.last_line.endswith("x 299")
    assert len(chatter.last_line) < 5_000


def test_restored_after_an_error(capfd):
    def fail():
        os.write(2, b"why\n")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"), captured_stderr() as chatter:
        fail()
    assert chatter.last_line == "why"
    os.write(2, b"back\n")
    assert capfd.readouterr().err == "back\n"


def test_descriptors_are_given_back():
    def n_open() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = n_open()
    for _ in range(20):
        with captured_stderr():
            pass
    assert n_open() == before


def test_a_decoders_remark_is_caught(odd, capfd):
    from audiorec.audio.decode import decode

    with captured_stderr() as chatter:
        decode(odd["scratched.mp3"].path, lambda _: None)
    assert "resync" in chatter.last_line.lower()
    assert capfd.readouterr().err == ""

"""The end of a program: exit code, output and its last duties, whatever libraries tell then."""

import subprocess
import sys

import pytest

SCRIPT = """
import atexit, os, sys, types

if {loaded}:
    sys.modules["triton._C.libtriton"] = types.ModuleType("triton._C.libtriton")
atexit.register(print, "last duty")

class Told:
    def __del__(self, write=os.write):
        write(2, b"leaked\\n")

sys.kept = Told()
sys.argv = ["audiorec", *{words}]
from audiorec_cli.main import program
program()
"""


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["no-such-command"], 2)])
@pytest.mark.parametrize("loaded", [True, False])
def test_a_program_ends_without_the_leaks_of_a_library(tmp_path, words, code, loaded):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(words=words, loaded=loaded)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.endswith("last duty\n")
    assert ("leaked" in done.stderr) is not loaded

"""Python files in the folder of music are never run: not by a command, not by a program.

Each planted module leaves a mark when it is imported.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from made_songs import write_song
from needs import needs

COMMAND = Path(sys.executable).with_name("audiorec")
LIBRARIES = "av numpy onnxruntime pandas psutil pyarrow scipy soundfile soxr tinytag".split()
STANDARD = "csv json pickle queue statistics struct subprocess".split()
OURS = ["audiorec/__init__", "audiorec_cli/__init__", "sitecustomize", "usercustomize"]
EXTRACT = "extract . --out new/vecs.parquet"
COMMANDS = [
    "extract . --out new/vecs.parquet --jobs 2 --features new/features.parquet",
    "shards m.parquet 2 --out new",
    "classify one.wav --tags 3",
    "similar other/new.wav",
    "store export vecs.parquet --out new/vecs.csv",
    "doctor",
]


@contextmanager
def planted(names, *folders: Path) -> Iterator[Path]:
    """Plant modules in folders; gives the file that holds the names of those that were run."""
    marks = folders[0] / "MARKS"
    marks.touch()
    files = [folder / f"{name}.py" for folder in folders for name in names]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"open({str(marks)!r}, 'a').write(__name__ + '\\n')\n")
    try:
        yield marks
    finally:
        for file in [*files, marks]:
            file.unlink()


def run(*arguments, folder: Path, **variables: str) -> subprocess.CompletedProcess:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment = {**kept, **variables}
    return subprocess.run(
        [str(a) for a in arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Three songs with a store and a manifest, made before anything was planted."""
    folder = tmp_path_factory.mktemp("music")
    for i, name in enumerate(["one.wav", "two.flac", "three.wav"]):
        write_song(folder / name, seed=i, seconds=4.0)
    for command in ("extract . --out vecs.parquet", "manifest . --out m.parquet"):
        assert run(COMMAND, *command.split(), folder=folder).returncode == 0
    (folder / "other").mkdir()
    write_song(folder / "other" / "new.wav", seed=9, seconds=4.0)
    return folder


@pytest.fixture(autouse=True)
def _new(music):
    """A folder for what a test writes."""
    (music / "new").mkdir()
    yield
    shutil.rmtree(music / "new")


ALL = """
import shutil, sys
from pathlib import Path
from audiorec_cli.main import main
for command in sys.argv[1:]:
    sys.argv = ["audiorec", *command.split()]
    try:
        main()
    except SystemExit as end:
        assert not end.code, command
    assert not Path("MARKS").read_text(), command
    shutil.rmtree("new")
    Path("new").mkdir()
"""


def test_commands_run_nothing_that_lies_beside_the_music(music, tmp_path):
    """The first by its installed name; all in one process, where each imports what it lacks."""
    (tmp_path / "all.py").write_text(ALL)
    with planted([*LIBRARIES, *STANDARD, *OURS], music) as marks:
        for words in (
            [COMMAND, *COMMANDS[0].split()],
            [sys.executable, tmp_path / "all.py", *COMMANDS],
        ):
            done = run(*words, folder=music)
            assert marks.read_text() == ""
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("value", ["", "other"])
def test_a_relative_python_path_is_not_followed(music, value):
    """But for what Python imports before the command's first line."""
    with planted(LIBRARIES, music, music / "other") as marks:
        done = run(COMMAND, *EXTRACT.split(), folder=music, PYTHONPATH=value)
        assert marks.read_text() == ""
    assert done.returncode == 0, done.stderr


PROGRAM = """
import audiorec
from audiorec.search import Choice
assert audiorec.extract(".", out="new/vecs.parquet", jobs=2).failed == 0
assert audiorec.vector("one.wav").shape == (84,)
assert len(audiorec.taggram("one.wav"))
store = audiorec.open_store("vecs.parquet")
assert len(store.similar("one.wav", k=1, minimum=-1, choice=Choice(also=("non-music",)))) == 1
"""


def test_a_program_elsewhere_runs_nothing_that_lies_beside_the_music(music, tmp_path):
    variables = {"PYTHONUSERBASE": ".", "PYTHONSTARTUP": "csv.py"}
    (tmp_path / "program.py").write_text(PROGRAM)
    with planted([*LIBRARIES, *STANDARD, *OURS], music) as marks:
        done = run(sys.executable, tmp_path / "program.py", folder=music, **variables)
        assert marks.read_text() == ""
    assert done.returncode == 0, done.stderr


def test_a_program_in_the_folder_runs_its_own_modules_and_no_false_libraries(music):
    """With the folder first on its path, as Python has it for ``-c``."""
    with planted([*LIBRARIES, "mine"], music) as marks:
        done = run(sys.executable, "-c", PROGRAM + "import mine", folder=music)
        assert marks.read_text() == "mine\n"
    assert done.returncode == 0, done.stderr


def test_a_cluster_of_our_own_runs_nothing_that_lies_beside_the_music(music):
    needs("ray")
    command = "shards m.parquet 2 --out new --runner ray"
    names = [*LIBRARIES, *STANDARD, *OURS, "ray", "cloudpickle", "signal"]
    with planted(names, music) as marks:
        done = run(COMMAND, *command.split(), folder=music)
        assert marks.read_text() == ""
    assert done.returncode == 0, done.stderr

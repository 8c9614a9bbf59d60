"""`audiorec.runs.imports`: which folders modules may come from."""

import os
import site
import subprocess
import sys
from pathlib import Path

import pytest

from audiorec.runs import imports
from audiorec.runs.imports import (
    clean_environment,
    clean_start,
    forget_current_folder,
    trusted_path,
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with two more in it, and a path of its own to change."""
    for name in ("here", "here/lib", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path / "here"


def test_the_current_folder_is_left_out_however_it_is_written(here):
    link = here.parent / "link"
    link.symlink_to(here)
    kept = [str(here / "lib"), str(here.parent / "elsewhere")]
    sys.path[:0] = ["", ".", "lib", str(here), f"{here}/", str(link), b"/bytes", here, *kept]
    found = trusted_path()
    assert found[:2] == kept
    assert not {"", ".", "lib", str(here), f"{here}/", str(link)} & set(found)


def test_what_a_relative_part_of_the_variable_means_is_left_out(here, monkeypatch):
    elsewhere = str(here.parent / "elsewhere")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["lib", "", elsewhere]))
    sys.path[:0] = [str(here / "lib"), str(here)]  # as Python itself writes them
    assert not {str(here / "lib"), str(here)} & set(trusted_path())
    assert elsewhere in trusted_path()


def test_a_relative_user_base_is_left_out(here, monkeypatch):
    monkeypatch.setenv("PYTHONUSERBASE", ".")
    monkeypatch.setattr(site, "USER_BASE", None)
    monkeypatch.setattr(site, "USER_SITE", None)
    user_site = Path(site.getusersitepackages()).absolute()
    user_site.mkdir(parents=True)
    sys.path.insert(0, str(user_site))
    assert str(user_site) not in trusted_path()


def test_the_folder_of_the_running_audiorec_is_trusted_also_as_the_current_one(monkeypatch):
    monkeypatch.chdir(imports.OWN_FOLDER)
    monkeypatch.setattr(sys, "path", [imports.OWN_FOLDER, *sys.path])
    assert imports.OWN_FOLDER in trusted_path()


def test_a_current_folder_that_was_removed_is_no_fault(here):
    here.joinpath("lib").rmdir()
    here.rmdir()
    assert trusted_path()


def test_children_get_no_variables_of_python_but_one(monkeypatch):
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONPYCACHEPREFIX"):
        monkeypatch.setenv(name, ".")
    found = clean_environment()
    assert {k: v for k, v in found.items() if k.startswith("PYTHON")} == {"PYTHONSAFEPATH": "1"}
    assert found["PATH"] == os.environ["PATH"]


def test_a_clean_start_ends_as_it_began(here, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "lib")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    sys.path.insert(0, "")
    before = list(sys.path)
    with clean_start():
        assert "" not in sys.path
        assert os.environ["PYTHONPATH"] == os.pathsep.join(sys.path)
        assert os.environ["PYTHONSAFEPATH"] == "1"
        assert "PYTHONHASHSEED" not in os.environ
    assert (os.environ["PYTHONPATH"], os.environ["PYTHONHASHSEED"]) == ("lib", "7")
    assert "PYTHONSAFEPATH" not in os.environ
    assert sys.path == before


def test_a_program_of_ours_forgets_the_current_folder(here):
    sys.path.insert(0, "")
    forget_current_folder()
    assert list(dict.fromkeys(sys.path)) == trusted_path()
    assert "" not in sys.path


SCRIPT = """
import audiorec.runs.report
audiorec.runs.report.{body}
"""


@pytest.mark.parametrize(
    ("body", "printed"),
    [
        # A library that audiorec calls looks for a part that is not installed.
        ("__dict__['ask'] = lambda: 1; exec('import only_here', vars(audiorec.runs.report))", ""),
        # The program's own function is called by audiorec, and may import what it likes.
        ("call = lambda: __import__('only_here'); audiorec.runs.report.call()", "only_here\n"),
    ],
)
def test_only_the_program_itself_imports_from_its_folder(here, body, printed):
    Path("only_here.py").write_text("print(__name__)")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body=body)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == printed
    assert ("not trusted" in done.stderr) is not bool(printed)


def test_cycles_are_looked_for_seldom_and_threads_rest_soon_in_the_command_alone():
    script = (
        "import atexit, gc, os; atexit.register(lambda: print(gc.get_freeze_count() > 1_000)); "
        "before = gc.get_threshold(); import audiorec, audiorec.runs.workers; "
        "print(gc.get_threshold() == before and 'OPENBLAS_THREAD_TIMEOUT' not in os.environ); "
        "import audiorec_cli; print(gc.get_threshold()[0], os.environ['OPENBLAS_THREAD_TIMEOUT'])"
    )
    set_before = {k: v for k, v in os.environ.items() if k != "OPENBLAS_THREAD_TIMEOUT"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=set_before
    )
    assert done.stdout.split() == ["True", str(imports.SELDOM), "20", "True"]

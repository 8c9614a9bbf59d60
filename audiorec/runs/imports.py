"""Where modules may come from: never from the current folder, which may be anyone's.

    sys.path, PYTHON* variables ──trusted_path, clean_environment──▶ how a child is started

Python looks for modules in the current folder first when it runs ``python -c``, ``python -m``
or a notebook, and in whatever ``PYTHONPATH`` names relative to it. In a folder of music that
came from anywhere, a file called ``soundfile.py`` would then be run. Three rules:

==========================  ================================================================
a process that we start     gets `trusted_path` in place of Python's own search, and none of
                            the ``PYTHON*`` variables
the command ``audiorec``    forgets all other folders before it imports anything large
a program that imports us   keeps its ``sys.path`` for its own imports. What is imported
                            while code of audiorec runs comes from trusted folders
==========================  ================================================================

Not trusted are the current folder, now and when audiorec was imported, and those that
``PYTHONPATH`` or ``PYTHONUSERBASE`` name relative to it, empty parts included. Trusted are all
other absolute entries, and always the folder that the running audiorec lies in: whoever works
on audiorec stands there.

What Python imports before audiorec's first line is out of reach. Under ``python -c`` in a
hostile folder that is audiorec itself, under ``PYTHONPATH=.`` also ``sitecustomize``; for the
command without such variables, for a script elsewhere and for ``python -P`` it is nothing.
"""

# ruff: noqa: PTH109, PTH117, PTH118, PTH120
# pathlib takes longer to import than all of this, and the guard comes first.

import gc
import os
import site
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType

SELDOM = 10_000  # objects
OWN_FOLDER = os.path.realpath(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir))


def _current_folder() -> str:
    with suppress(OSError):  # it was removed
        return os.getcwd()
    return os.sep


_FOLDER_AT_IMPORT = _current_folder()


def trusted_path() -> list[str]:
    """Return the absolute entries of ``sys.path`` and ``PYTHONPATH`` that modules may come from."""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    refused = _refused_folders()
    return [entry for entry in dict.fromkeys((*sys.path, *named)) if _is_trusted(entry, refused)]


def clean_environment() -> dict[str, str]:
    """Return this process's environment for a child of it: without ``PYTHON*`` variables.

    ``PYTHONSAFEPATH`` alone is set, for what the child may start in its turn.
    """
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith("PYTHON")}
    return {**kept, "PYTHONSAFEPATH": "1"}


def forget_current_folder() -> None:
    """Leave what is not trusted out of this process's ``sys.path``: for a program of our own."""
    refused = _refused_folders()
    sys.path[:] = [entry for entry in sys.path if _is_trusted(entry, refused)]


def collect_seldom() -> None:
    """Look for cycles less often, in a program of our own: what is imported stays, and has none.

    With Python's usual threshold of 700 objects a tenth of the start of a command goes into it.
    """
    gc.set_threshold(SELDOM)


@contextmanager
def clean_start() -> Iterator[None]:
    """Let a library start Python processes as we do, for as long as the block runs.

    Meanwhile ``sys.path`` is the trusted one, which goes into ``PYTHONPATH`` as well, and the
    other ``PYTHON*`` variables are as in `clean_environment`: libraries hand both on.
    """
    path, environment = list(sys.path), dict(os.environ)
    trusted = trusted_path()
    try:
        sys.path[:] = trusted
        _set_variables({**clean_environment(), "PYTHONPATH": os.pathsep.join(trusted)})
        yield
    finally:
        _set_variables(environment)
        sys.path[:] = path


def install_guard() -> None:
    """From now on, find what is imported while audiorec runs in trusted folders only."""
    if not any(isinstance(finder, _Guard) for finder in sys.meta_path):
        at = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else 0
        sys.meta_path.insert(at, _Guard())


class _Guard:
    """Stands before Python's own finder and speaks only where it might be led astray."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None:  # inside a package that was found
            return None
        refused = _refused_folders()
        trusted = [entry for entry in sys.path if _is_trusted(entry, refused)]
        if len(trusted) == len(sys.path) or not _is_for_audiorec(refused):
            return None
        found = PathFinder.find_spec(name, trusted, target)
        if found is None and PathFinder.find_spec(name, None, target) is not None:
            reason = f"No module named {name!r} (one in the current folder is not trusted)"
            raise ModuleNotFoundError(reason, name=name)
        return found


def _is_for_audiorec(refused: frozenset[str]) -> bool:
    """Whether code of audiorec asks, itself or through a library; a caller's callback is not."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module, file = frame.f_globals.get("__name__", ""), frame.f_code.co_filename
        is_beside = os.path.isabs(file) and _real(os.path.dirname(file)) in refused
        if module == "__main__" or is_beside:
            return False
        if module.partition(".")[0] in ("audiorec", "audiorec_cli") and module != __name__:
            return True
        frame = frame.f_back
    return False


def _refused_folders() -> frozenset[str]:
    """Return the real paths of the current folder and of what variables name relative to it."""
    variables = os.environ.get("PYTHONPATH", ""), os.environ.get("PYTHONUSERBASE", "")
    return _refused(*variables, _current_folder())


@lru_cache(maxsize=4)  # asked at every import
def _refused(python_path: str, user_base: str, current: str) -> frozenset[str]:
    named = ["", *python_path.split(os.pathsep)]
    if user_base:
        named.append(site.getusersitepackages())
    relative = [name for name in named if not os.path.isabs(name)]
    bases = {_FOLDER_AT_IMPORT, current}
    return frozenset(os.path.realpath(os.path.join(b, name)) for b in bases for name in relative)


def _is_trusted(entry: object, refused: frozenset[str]) -> bool:
    if not isinstance(entry, str) or not os.path.isabs(entry):
        return False
    real = _real(entry)
    return real == OWN_FOLDER or real not in refused


@lru_cache(maxsize=256)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _set_variables(environment: dict[str, str]) -> None:
    """Take the ``PYTHON*`` variables of an environment; all others stay as they are."""
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        del os.environ[name]
    os.environ.update({k: v for k, v in environment.items() if k.startswith("PYTHON")})

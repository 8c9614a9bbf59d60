"""Restrict where modules are imported from: never the current folder, which may be untrusted.

    sys.path, PYTHON* variables ──trusted_path, clean_environment──▶ how a child is started

Python searches the current folder first when it runs ``python -c``, ``python -m`` or a notebook,
and also folders that ``PYTHONPATH`` names relative to it. In a folder of downloaded music, a file
called ``soundfile.py`` would then be run. So child processes get `trusted_path` and none of the
``PYTHON*`` variables, the command ``audiorec`` drops untrusted folders before it imports anything
large, and in a program that imports us `install_guard` watches over imports of audiorec's own code.
"""

# ruff: noqa: PTH109, PTH117, PTH118, PTH120
# Importing pathlib takes longer than this whole module, and the guard has to be installed first.

import atexit
import gc
import os
import site
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType

SELDOM = 50_000  # objects
OWN_FOLDER = os.path.realpath(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir))


def _current_folder() -> str:
    with suppress(OSError):  # the folder was removed
        return os.getcwd()
    return os.sep


_FOLDER_AT_IMPORT = _current_folder()


def trusted_path() -> list[str]:
    """Return the trusted, absolute entries of ``sys.path`` and ``PYTHONPATH``.

    Untrusted are the current folder, both now and when audiorec was imported, and folders that
    ``PYTHONPATH`` or ``PYTHONUSERBASE`` name relative to it, including empty entries. All others
    are trusted, and always the folder of the running audiorec itself, which is the current folder
    for those who develop it.
    """
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    refused = _refused_folders()
    return [entry for entry in dict.fromkeys((*sys.path, *named)) if _is_trusted(entry, refused)]


def clean_environment() -> dict[str, str]:
    """Return this process's environment for a child process, without ``PYTHON*`` variables.

    Only ``PYTHONSAFEPATH`` is set, for processes that the child may start.
    """
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith("PYTHON")}
    return {**kept, "PYTHONSAFEPATH": "1"}


def forget_current_folder() -> None:
    """Remove untrusted entries from this process's ``sys.path``; for audiorec's own commands."""
    refused = _refused_folders()
    sys.path[:] = [entry for entry in sys.path if _is_trusted(entry, refused)]


def start_lightly() -> None:
    """Spare a short program of our own a fifth of its CPU time; call it before numpy is loaded.

    Cycles are looked for less often than after 700 objects, since what is imported stays, and not
    once more at the end, when all of it would be visited. A thread of OpenBLAS without work spins
    for a millisecond, and not for thirty.
    """
    gc.set_threshold(SELDOM)
    atexit.register(gc.freeze)  # the first to be registered is the last to be called
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")  # 2^20 ticks


@contextmanager
def clean_start() -> Iterator[None]:
    """Make a library start Python processes as safely as we do, while the block runs.

    Inside it ``sys.path`` and ``PYTHONPATH`` are the trusted path, and the other ``PYTHON*``
    variables are as in `clean_environment`; libraries pass both on to the processes they start.
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
    """Install an import hook: while code of audiorec runs, import from trusted folders only.

    Other code keeps its ``sys.path``. What Python imports before audiorec's first line cannot be
    controlled. Under ``python -c`` in a hostile folder that is audiorec itself, under
    ``PYTHONPATH=.`` also ``sitecustomize``; for the command without such variables, for a script
    elsewhere and for ``python -P`` it is nothing.
    """
    if not any(isinstance(finder, _Guard) for finder in sys.meta_path):
        at = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else 0
        sys.meta_path.insert(at, _Guard())


class _Guard:
    """Import hook before Python's own finder; acts only if ``sys.path`` has untrusted entries."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None:  # inside a package already found
            return None
        refused = _refused_folders()
        trusted = [entry for entry in sys.path if _is_trusted(entry, refused)]
        if len(trusted) == len(sys.path) or not _is_for_audiorec(refused):
            return None
        result = PathFinder.find_spec(name, trusted, target)
        if result is None and PathFinder.find_spec(name, None, target) is not None:
            reason = f"No module named {name!r} (the one in the current folder is not trusted)"
            raise ModuleNotFoundError(reason, name=name)
        return result


def _is_for_audiorec(refused: frozenset[str]) -> bool:
    """Whether audiorec's code imports, directly or through a library; not a caller's callback."""
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
    """Return the real paths of the untrusted folders."""
    variables = os.environ.get("PYTHONPATH", ""), os.environ.get("PYTHONUSERBASE", "")
    return _refused(*variables, _current_folder())


@lru_cache(maxsize=4)  # called at every import
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
    """Replace this process's ``PYTHON*`` variables by those of `environment`; keep all others."""
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        del os.environ[name]
    os.environ.update({k: v for k, v in environment.items() if k.startswith("PYTHON")})

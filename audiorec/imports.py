"""Where modules may come from: never from the current folder, which may be anyone's.

    sys.path, PYTHON* variables ──trusted_path, clean_environment──▶ how a child is started

Python looks for modules in the current folder first when it runs ``python -c``, ``python -m``
or a notebook, and in whatever ``PYTHONPATH`` names relative to it. In a folder of music that
came from anywhere, a file called ``soundfile.py`` would then be run. Three rules:

==========================  ================================================================
a process that we start     gets `trusted_path` in place of Python's own search, and none of
                            the ``PYTHON*`` variables
the command ``audiorec``    forgets all other folders before it imports anything large
a program that imports us   keeps its ``sys.path``. From ``import audiorec`` on, `NEEDED` and
                            the standard library come from trusted folders, whoever asks for
                            them; a script's or a notebook's own ``import secrets`` may still
                            mean a file of its own
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

import os
import site
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

# Packages that audiorec and its dependencies import or try to import, installed or not.
NEEDED = frozenset(
    (
        "_cffi_backend _soundfile _soundfile_data audiorec audiorec_cli av cffi click cloudpickle "
        "coloredlogs cython dask distributed faiss flatbuffers fsspec google IPython ipywidgets "
        "joblib librosa lz4 markdown_it matplotlib mdurl ml_dtypes numba numpy numpydoc "
        "onnxruntime packaging pandas pkg_resources psutil pyarrow pycparser pygments ray rich "
        "s3fs safetensors scipy scikits setuptools shellingham sklearn soundfile soxr sparse "
        "sympy threadpoolctl tinytag torch torchaudio typer typing_extensions umap"
    ).split()
)
OWN_FOLDER = os.path.realpath(os.path.join(os.path.dirname(__file__), os.pardir))


def _current_folder() -> str:
    with suppress(OSError):  # it was removed
        return os.getcwd()
    return os.sep


_FOLDER_AT_IMPORT = _current_folder()


def trusted_path() -> list[str]:
    """Return the entries of ``sys.path``, and of ``PYTHONPATH``, that modules may come from.

    Returns
    -------
    path : list of str
        Absolute, in the order of ``sys.path``; see the module for what is left out.
    """
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
    """Find `NEEDED` modules and the standard library in trusted folders only, from now on."""
    if not any(isinstance(finder, _Guard) for finder in sys.meta_path):
        at = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else 0
        sys.meta_path.insert(at, _Guard())


class _Guard:
    """Stands before Python's own finder and speaks only where it might be led astray."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or not _is_guarded(name):
            return None
        refused = _refused_folders()
        trusted = [entry for entry in sys.path if _is_trusted(entry, refused)]
        if len(trusted) == len(sys.path):
            return None
        found = PathFinder.find_spec(name, trusted, target)
        if found is None and PathFinder.find_spec(name, None, target) is not None:
            reason = f"No module named {name!r} (one in the current folder is not trusted)"
            raise ModuleNotFoundError(reason, name=name)
        return found


def _is_guarded(name: str) -> bool:
    if name in NEEDED:
        return True
    return name in sys.stdlib_module_names and not _is_asked_by_the_program()


def _is_asked_by_the_program() -> bool:
    """Whether the import stands in the program itself: a script, a notebook, ``python -c``."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith((__name__, "importlib")):
        frame = frame.f_back
    return bool(frame.f_globals.get("__name__") == "__main__")


def _refused_folders() -> set[str]:
    """Return the real paths of the current folder and of what variables name relative to it."""
    named = ["", *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    if os.environ.get("PYTHONUSERBASE"):
        named.append(site.getusersitepackages())
    relative = [name for name in named if not os.path.isabs(name)]
    bases = {_FOLDER_AT_IMPORT, _current_folder()}
    return {os.path.realpath(os.path.join(base, name)) for base in bases for name in relative}


def _is_trusted(entry: object, refused: set[str]) -> bool:
    if not isinstance(entry, str) or not os.path.isabs(entry):
        return False
    real = os.path.realpath(entry)
    return real == OWN_FOLDER or real not in refused


def _set_variables(environment: dict[str, str]) -> None:
    """Take the ``PYTHON*`` variables of an environment; all others stay as they are."""
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        del os.environ[name]
    os.environ.update({k: v for k, v in environment.items() if k.startswith("PYTHON")})

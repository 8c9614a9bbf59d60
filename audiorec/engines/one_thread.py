"""Products of matrices in one thread, so that their last digits do not depend on the machine.

    with one_thread():
        similar = users @ songs.T

numpy's OpenBLAS divides a product among as many threads as there are cores, and adds up in another
order with each number of them. Blocks that are made by processes of one thread are then not those
that one process makes. Within the ``with`` statement it uses one, as if it had been started with
``OPENBLAS_NUM_THREADS=1``. Where numpy stands on another library, nothing happens.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

# By the versions of numpy's wheels, which give the library names of its own.
PREFIXES = ("scipy_openblas_", "openblas_")
ENDS = ("64_", "")
FOLDERS = ("../numpy.libs", ".libs", ".dylibs")  # on Linux and Windows, of old, on macOS
Threads = tuple[Callable[[], int], Callable[[int], None]]  # what reads and sets their number


@contextmanager
def one_thread() -> Iterator[None]:
    """Let numpy multiply matrices in one thread, in this whole process, until the end."""
    found = _openblas()
    if found is None:
        yield
        return
    get, put = found
    before = get()
    put(1)
    try:
        yield
    finally:
        put(before)


@cache
def _openblas() -> Threads | None:
    """Return what reads and sets the threads of the library that numpy has brought."""
    import numpy as np

    home = Path(np.__file__).parent
    for path in (path for name in FOLDERS for path in (home / name).glob("*openblas*")):
        try:
            library = ctypes.CDLL(str(path))  # is loaded already: this finds it
        except OSError:
            continue
        for begin in PREFIXES:
            for end in ENDS:
                get = getattr(library, f"{begin}get_num_threads{end}", None)
                put = getattr(library, f"{begin}set_num_threads{end}", None)
                if get is not None and put is not None:
                    return get, put
    return None

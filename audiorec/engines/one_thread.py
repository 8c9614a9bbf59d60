"""Matrix products on one thread, so that their last digits do not depend on the machine.

    with one_thread():
        similar = users @ songs.T

numpy's OpenBLAS splits a product among all cores, and the order of summation depends on their
number. Blocks computed by single-threaded workers would then differ from those of one process.
Within the ``with`` statement it uses one thread, as if started with ``OPENBLAS_NUM_THREADS=1``. If
numpy uses another BLAS library, nothing happens.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

# Prefixes and suffixes of OpenBLAS symbols in the various numpy wheels.
PREFIXES = ("scipy_openblas_", "openblas_")
ENDS = ("64_", "")
FOLDERS = ("../numpy.libs", ".libs", ".dylibs")  # Linux and Windows; older wheels; macOS
Threads = tuple[Callable[[], int], Callable[[int], None]]  # getter and setter of their number


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit numpy's matrix products to one thread, in the whole process."""
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
    """Return getter and setter of the thread count of numpy's OpenBLAS; None without it."""
    import numpy as np

    home = Path(np.__file__).parent
    for path in (path for name in FOLDERS for path in (home / name).glob("*openblas*")):
        try:
            library = ctypes.CDLL(str(path))  # a handle to the library that is already loaded
        except OSError:
            continue
        for begin in PREFIXES:
            for end in ENDS:
                get = getattr(library, f"{begin}get_num_threads{end}", None)
                put = getattr(library, f"{begin}set_num_threads{end}", None)
                if get is not None and put is not None:
                    return get, put
    return None

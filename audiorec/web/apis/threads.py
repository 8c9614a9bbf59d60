"""Limit BLAS to one thread per request; has to be set before numpy is loaded.

Requests are many and small. With one BLAS thread per core, eight clients took three times the CPU
time, because the threads spin while they wait for each other (``benchmarks/bench_serve.py``).
"""

import os

from audiorec.runs.workers import ONE_THREAD


def one_thread_each() -> None:
    """Make numpy compute in the calling thread; variables already set are kept."""
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)

"""One thread for each question, and none of BLAS' own: set before numpy is loaded.

Questions are small and many. With a thread a core for each of them, eight clients took three times
the CPU time: the threads wait for each other, spinning (``benchmarks/bench_serve.py``).
"""

import os

from audiorec.runs.workers import ONE_THREAD


def one_thread_each() -> None:
    """Let numpy compute in the thread that asks; what the environment says already, stays."""
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)

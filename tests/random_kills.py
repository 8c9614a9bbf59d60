"""Children that are killed at random moments: for trainings that must not lose anything by it."""

import os
import signal
import time

import numpy as np


def kill_at_random(start, begin_anew, *, begun=lambda: True, times=3, longest_s=0.4):
    """Kill the children of `start` some `times` in a row, each a moment after it has `begun`.

    A fast machine may end a child before it is killed. Then everything begins anew, with half the
    patience, so that what is left behind has always been killed `times` times.
    """
    rng, killed = np.random.default_rng(), 0
    for _ in range(100):
        child = start()
        deadline = time.monotonic() + 60
        while not (begun() or has_ended(child)) and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, longest_s))
        os.kill(child, signal.SIGKILL)
        if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            killed += 1
            if killed == times:
                return
        else:
            begin_anew()
            killed, longest_s = 0, longest_s / 2
    raise AssertionError("every child ended before it was killed")


def has_ended(child):
    """Say whether a child has ended, and leave it to be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

"""Wait for what another process or thread does, for as long as a busy machine needs."""

import time


def until(condition, *, told=lambda: "it took too long", seconds=600.0):
    """Wait until a condition holds, and return what it returned; `told` says why it may not."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, told()
        time.sleep(0.05)
    return found

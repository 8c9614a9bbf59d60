"""Cost of a judged channel: CPU seconds and peak memory.

cost = Cost.started()  ...fit...  cost.lap()  ...rank...  cost.lap(), peak_bytes()
"""

import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(slots=True)
class Cost:
    """A stopwatch for the CPU time of this process, all threads together."""

    since: float
    left_out: float = 0.0

    @classmethod
    def started(cls) -> "Cost":
        """Start the clock, and reset the peak memory where the system allows it (Linux)."""
        with suppress(OSError):  # the peak then covers the process so far
            CLEAR_REFS.write_text("5")
        return cls(time.process_time())

    def lap(self) -> float:
        """Return the CPU seconds since the last lap, minus `left_out`."""
        now = time.process_time()
        spent = now - self.since - self.left_out
        self.since, self.left_out = now, 0.0
        return spent


def peak_bytes() -> int:
    """Return the peak memory of this process since `Cost.started`, in bytes."""
    if sys.platform == "linux":
        return int(STATUS.read_text().split("VmHWM:")[1].split()[0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

"""What a judged channel costs: CPU seconds, and the most memory that it took.

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
    """A stopwatch of this process, all of its threads together."""

    since: float
    left_out: float = 0.0

    @classmethod
    def started(cls) -> "Cost":
        """Start, and let the peak of memory begin anew where the system can do that (Linux)."""
        with suppress(OSError):  # the peak is then that of the process so far
            CLEAR_REFS.write_text("5")
        return cls(time.process_time())

    def lap(self) -> float:
        """Return the CPU seconds since the last lap, without those that were left out."""
        now = time.process_time()
        spent = now - self.since - self.left_out
        self.since, self.left_out = now, 0.0
        return spent


def peak_bytes() -> int:
    """Return the most memory that this process has held since `Cost.started`."""
    if sys.platform == "linux":
        return int(STATUS.read_text().split("VmHWM:")[1].split()[0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

"""The memory that is free on this machine."""

from pathlib import Path

MEMORY = Path("/proc/meminfo")


def free_memory() -> int | None:
    """Return the available memory in bytes without swapping; None if the system does not say."""
    try:
        lines = MEMORY.read_text().splitlines()
        return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None

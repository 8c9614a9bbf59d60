"""The peak of this process's memory, measured around a block."""

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _mib(field: str) -> float:
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


@pytest.fixture
def peak_mib():
    """`with peak_mib() as peak: ...` then `peak.grown`: MiB above what was held before."""

    @contextmanager
    def measured():
        peak = SimpleNamespace(grown=0.0)
        CLEAR_REFS.write_text("5")
        before = _mib("VmRSS:")
        yield peak
        peak.grown = _mib("VmHWM:") - before

    return measured

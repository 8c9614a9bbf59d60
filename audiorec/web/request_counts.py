"""Metrics of the server in Prometheus' text format.

a finished request ──`RequestCounts.count`──▶ counters, times ──.text──▶ ``/metrics``
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class RequestCounts:
    """Counts and response times of requests, by API."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._refused: Counter[str] = Counter()
        self._times: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()
        self._started = time.time()
        self.in_flight = 0

    def count(self, api: str, status: int, seconds: float, refused: str = "") -> None:
        """Count a finished request.

        Parameters
        ----------
        api : str
        status : int
        seconds : float
        refused : str
            Why it was refused; empty if it was not.
        """
        with self._lock:
            self._requests[api, status] += 1
            self._refused[refused] += bool(refused)
            buckets = self._times.setdefault(api, [0] * (len(BOUNDS) + 1))
            place = next((n for n, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))
            buckets[place] += 1
            self._seconds[api] += seconds  # type: ignore[assignment]

    def refuse(self, why: str) -> None:
        """Count a refusal without a request: a connection that was closed."""
        with self._lock:
            self._refused[why] += 1

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """Return all metrics as text; `gauges` maps a name to its help text and value."""
        with self._lock:
            lines = [*self._counters(), *self._histogram()]
        known = {
            **gauges,
            "in_flight": ("Requests in progress.", self.in_flight),
            "start_time_seconds": ("Start of the server, in seconds since 1970.", self._started),
            "resident_memory_bytes": ("Resident memory of the process.", resident_bytes()),
        }
        for name, (meaning, value) in known.items():
            lines += _metric(f"audiorec_serve_{name}", "gauge", meaning, [("", value)])
        return "".join(f"{line}\n" for line in lines)

    def _counters(self) -> Iterator[str]:
        requests = sorted(self._requests.items())
        yield from _metric(
            "audiorec_serve_requests_total",
            "counter",
            "Requests answered, by API and status.",
            [(f'{{api="{api}",status="{status}"}}', n) for (api, status), n in requests],
        )
        yield from _metric(
            "audiorec_serve_refused_total",
            "counter",
            "Requests and connections refused, by reason.",
            [(f'{{reason="{reason}"}}', n) for reason, n in sorted(self._refused.items()) if n],
        )

    def _histogram(self) -> Iterator[str]:
        name = "audiorec_serve_request_seconds"
        yield f"# HELP {name} Time from the request's headers to the end of the response."
        yield f"# TYPE {name} histogram"
        for api, buckets in sorted(self._times.items()):
            total = 0
            for bound, n in zip([*map(str, BOUNDS), "+Inf"], buckets, strict=True):
                total += n
                yield f'{name}_bucket{{api="{api}",le="{bound}"}} {total}'
            yield f'{name}_sum{{api="{api}"}} {float(self._seconds[api]):.6f}'
            yield f'{name}_count{{api="{api}"}} {total}'


def resident_bytes() -> int:
    """Return the resident memory of this process, in bytes; 0 if the system does not report it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _metric(
    name: str, kind: str, meaning: str, samples: Sequence[tuple[str, float]]
) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield f"{name}{labels} {value:.17g}"

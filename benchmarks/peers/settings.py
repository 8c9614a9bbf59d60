"""Choose a model's settings on a validation part, with a budget of CPU seconds; write its lists.

    space, lists(settings, folder) ──search──▶ WORK/tuned-NAME.parquet, a line of what it cost

audiorec's models and those of others are given the same budget by this module, which needs numpy
and pyarrow alone. A folder holds ``learn.parquet`` and ``known.parquet`` (user, song, count) and
the same in order (``-order.parquet``); WORK/held is the validation part of what WORK learns from,
with ``wanted.parquet``. The first settings are the model's own defaults, or others that are named;
the next ones are drawn from the space. No new ones begin once the budget is spent, and the last may
end after it. The highest recall@20 of the validation part decides, and the model is fitted to
everything with these.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Settings = dict[str, Any]
Space = Mapping[str, list[Any]]
Lists = Callable[[Settings, Path], pa.Table]  # -> user_id, song_id, rank
MOST, K = 20, 20  # settings tried; place up to which a wanted song counts


def drawn(space: Space, first: Settings) -> Iterator[Settings]:
    """Yield the first settings, then different ones of the space, by one seed."""
    rng, seen = np.random.default_rng(0), {json.dumps(first)}
    yield first
    total = int(np.prod([len(values) for values in space.values()]))
    while len(seen) < min(total, MOST):
        one = {name: values[rng.integers(len(values))] for name, values in space.items()}
        text = json.dumps(one)
        if text not in seen:
            seen.add(text)
            yield one


def recall(lists: pa.Table, wanted: pa.Table) -> float:
    """Return the mean share of a user's wanted songs among the first twenty."""
    columns = (lists.column(name).to_pylist() for name in ("user_id", "song_id", "rank"))
    first = {(user, song) for user, song, rank in zip(*columns, strict=True) if rank <= K}
    hits: dict[str, list[bool]] = {}
    names = (wanted.column(name).to_pylist() for name in ("user_id", "song_id"))
    for user, song in zip(*names, strict=True):
        hits.setdefault(user, []).append((user, song) in first)
    return float(np.mean([np.mean(of) for of in hits.values()]))


def search(
    name: str, space: Space, lists: Lists, work: Path, budget: float, first: Settings | None = None
) -> None:
    """Choose settings, write the lists of the best ones, and print what it cost as JSON."""
    path, kept = work / f"tuned-{name}.parquet", work / f"tuned-{name}.json"
    if kept.exists():
        print(kept.read_text(), flush=True)
        return
    wanted = pq.read_table(work / "held" / "wanted.parquet")
    tried: list[tuple[float, Settings]] = []
    began = time.process_time()
    for settings in drawn(space, first or {}):
        tried.append((recall(lists(settings, work / "held"), wanted), settings))
        if time.process_time() - began > budget:
            break
    searched, began = time.process_time() - began, time.process_time()
    figure, best = max(tried, key=lambda one: one[0])
    pq.write_table(lists(best, work), path)
    line = {
        "model": name,
        "tried": len(tried),
        "CPU-s_to_choose": round(searched),
        "CPU-s": round(time.process_time() - began, 1),
        "validation,_first": round(tried[0][0], 3),
        "chosen": round(figure, 3),
        "settings": ", ".join(f"{field} {value}" for field, value in best.items()) or "default",
    }
    kept.write_text(json.dumps(line))
    print(kept.read_text(), flush=True)

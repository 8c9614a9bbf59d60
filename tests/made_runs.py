"""Runs of jobs, made up, and records of them."""

import numpy as np

from audiorec.runs.record import JobRun, write_run
from audiorec.runs.report import ScoreDistribution

BASE = {
    "run_id": "3fa91c000000",
    "job": "recall candidates",
    "output": "cands.parquet",
    "started_at": "2026-11-25T03:00:00+00:00",
    "ended_at": "2026-11-25T03:10:00+00:00",
    "exit_code": 0,
    "arguments": ("audiorec", "recall", "candidates", "model", "--out", "cands.parquet"),
    "versions": {"audiorec": "9.9", "python": "3.11.7"},
    "wall_s": 600.0,
    "cpu_s": 550.5,
    "counts": {"users": 100, "rows": 10_000},
}
CLASSES = ("genre/folk", "genre/jazz", "genre/rock")


def made_run(**values):
    """Return a run; `values` in place of its own."""
    return JobRun(**{**BASE, **values})


def two_nights(place, *, output, ids=("3fa91c000000", "77b02e000000")):
    """Write a record of two runs."""
    for day, run_id in enumerate(ids, start=25):
        started, ended = (f"2026-11-{day}T03:{minute:02}:00+00:00" for minute in (0, 10))
        run = made_run(run_id=run_id, output=output, started_at=started, ended_at=ended)
        write_run(str(place), run)


def heard(n, rng, *, shares=(1, 1, 1), album=1, sure=3.0, classes=CLASSES):
    """Return the scores of `n` songs: genres with these shares, `album` songs of one album."""
    shares = np.asarray(shares, float) / np.sum(shares)
    albums = -(-n // album)
    logits = rng.normal(size=(albums, len(classes)))
    logits[np.arange(albums), rng.choice(len(classes), size=albums, p=shares)] += sure
    logits = np.repeat(logits, album, axis=0)[:n]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = ScoreDistribution()
    for row, song in enumerate(scores):
        name = f"album {row // album}" if album > 1 else ""
        found.add(dict(zip(classes, song.tolist(), strict=True)), album=name)
    return found

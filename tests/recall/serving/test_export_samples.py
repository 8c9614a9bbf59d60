"""`recall.serving.export.folder`: labels, by hand and by plain loops."""

import math
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from made_export import (
    DAY,
    START,
    events,
    manifest,
    read,
    write_log,
)
from made_logs import log_of

from audiorec.recall.serving.export.exporting import ExportRecipe, export_recall
from audiorec.recall.serving.export.features import EventHistory
from audiorec.recall.serving.export.folder import (
    OUTCOMES,
    SampleCounts,
    ShownSongs,
    exposure_samples,
)
from audiorec.recall.serving.export.sources import ExportSources


def test_an_exposure_is_positive_if_the_song_is_finished_in_the_days_after(out):
    found = read(out, "samples_ranking").to_pylist()
    log, newest = events(), max(r[2] for r in events())
    for row in found:
        at = row["happened_at"].timestamp()
        assert at + 3 * DAY <= newest
        later = [r for r in log if r[0] == row["user_id"] and r[1] == row["song_id"]
                 and at < r[2] <= at + 3 * DAY]  # fmt: skip
        finished = [r[2] for r in later if r[3] in ("finish", "play")]
        same = [o["happened_at"].timestamp() for o in found
                if (o["user_id"], o["song_id"]) == (row["user_id"], row["song_id"])]  # fmt: skip
        ends = min((moment for moment in same if moment > at), default=math.inf)
        finished = [moment for moment in finished if moment <= ends]
        assert row["label"] == bool(finished)
        if finished:
            assert row["played_at"].timestamp() == min(finished)
            assert row["outcome"] == "finish"
        elif any(r[3] == "skip" for r in later if r[2] <= ends):
            assert row["outcome"] == "skip"
        else:
            assert row["outcome"] == "none"


def test_counts_of_exposures_add_up(out):
    counts = manifest(out)["samples"]["ranking"]
    assert counts["by"] == "exposures"
    assert counts["shown"] == 75  # not the one of radio
    parts = ("pending", "positive", "negative", "shown_twice_at_once")
    assert sum(counts[name] for name in parts) == counts["shown"]
    assert counts["positive"] and counts["negative"]  # noqa: PT018
    assert len(read(out, "samples_ranking")) == counts["positive"] + counts["negative"]


HAND = [
    ("u", "a", START + 100, "finish", None, "daily"),
    ("u", "b", START + 200, "skip", 0.1, "daily"),
    ("u", "c", START + 200, "dislike", None, None),
    ("u", "a", START + 5 * DAY, "finish", None, "daily"),
    ("u", "z", START + 9 * DAY, "finish", None, "radio"),
]


def hand_export(folder, shown, days=2.0, rows=HAND, **recipe):
    """Export a log of one user, what was shown to her given as (song, seconds after the start)."""
    folder.mkdir(parents=True, exist_ok=True)
    write_log(folder / "plays.parquet", rows)
    lines = ["user_id,song_id,shown_at"]
    lines += [f"u,{song},{START + second}" for song, second in shown]
    (folder / "shown.csv").write_text("\n".join(lines) + "\n")
    sources = ExportSources(
        interactions=folder / "plays.parquet", exposures=folder / "shown.csv" if shown else None
    )
    export_recall(sources, folder / "out", ExportRecipe(days=days, **recipe))
    found = read(folder / "out", "samples_ranking").to_pylist()
    return [(row["song_id"], row["label"], row["outcome"]) for row in found]


def test_exposures_are_a_folder_of_tables_and_end_with_the_day(tmp_path):
    shown = [("a", 0), ("b", 0), ("c", 0), ("d", 0)]
    expected = hand_export(tmp_path / "1", shown)
    folder = tmp_path / "shown"
    for n, (song, second) in enumerate([*shown, ("a", 4 * DAY), ("b", 5 * DAY)]):
        day = folder / f"dt=2026-01-{n + 1:02}"
        day.mkdir(parents=True)
        one = {"user_id": ["u"], "song_id": [song], "shown_at": [START + second]}
        pq.write_table(pa.table(one), day / "part.parquet")
    sources = ExportSources(
        interactions=tmp_path / "1" / "plays.parquet", exposures=folder, ends_s=START + 4.0 * DAY
    )
    report = export_recall(sources, tmp_path / "out", ExportRecipe(days=2.0))
    found = read(tmp_path / "out", "samples_ranking").to_pylist()
    assert [(row["song_id"], row["label"], row["outcome"]) for row in found] == expected
    assert report.manifest["samples"]["ranking"]["shown"] == 4
    for late in ("dt=2026-01-05", "dt=2026-01-06"):
        shutil.rmtree(folder / late)
    again = export_recall(sources, tmp_path / "out", ExportRecipe(days=2.0))
    assert not again.is_new  # a day that is made again reads nothing later


def test_outcomes_by_hand(tmp_path):
    shown = [("a", 0), ("b", 0), ("c", 0), ("d", 0)]
    expected = [("a", 1, "finish"), ("b", 0, "skip"), ("c", 0, "dislike"), ("d", 0, "none")]
    assert hand_export(tmp_path / "1", shown) == expected
    # Played at the very moment is before it, not after; three days later is too late.
    assert hand_export(tmp_path / "2", [("a", 100), ("a", 2 * DAY)]) == [
        ("a", 0, "none"),
        ("a", 0, "none"),
    ]
    # A play counts for the last exposure before it, once.
    assert hand_export(tmp_path / "3", [("a", 0), ("a", 50), ("a", 50)]) == [
        ("a", 0, "none"),
        ("a", 1, "finish"),
    ]
    # Not over at the end of the log: no sample, though it was played.
    assert hand_export(tmp_path / "4", [("z", 8 * DAY)]) == []


def test_without_exposures_the_listenings_of_one_product_are_samples(tmp_path):
    assert hand_export(tmp_path / "1", [], entry="daily") == [
        ("a", 1, "finish"),
        ("b", 0, "skip"),
        ("a", 1, "finish"),
    ]
    assert hand_export(tmp_path / "2", [], entry="radio") == [("z", 1, "finish")]
    found = manifest(tmp_path / "2" / "out")["samples"]
    assert found["ranking"]["by"] == "listening"
    assert found["recall"] == {"without_time": 0, "positive": 3, "negative": 2}


@settings(deadline=None, max_examples=40)
@given(
    plays=st.lists(
        st.tuples(
            st.sampled_from("ab"), st.integers(0, 8), st.sampled_from(["finish", "skip", "dislike"])
        ),
        min_size=1,
        max_size=12,
    ),
    shown=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 8)), min_size=1, max_size=8),
    days=st.integers(1, 4),
)
def test_outcomes_are_those_of_plain_loops(plays, shown, days):
    """Days are whole numbers: an exposure of day 3 with two days sees what is played on 4 and 5."""
    rows = [("u", song, day * DAY, event) for song, day, event in [*plays, ("z", 8, "finish")]]
    log = log_of(*rows)
    names = sorted({song for song, _ in shown})
    known = {song: n for n, song in enumerate(log.song_ids)}
    song = np.array([known.get(s, -1) for s, _ in shown], np.int64)
    name = np.array([names.index(s) for s, _ in shown], np.int64)
    at = np.array([day * DAY for _, day in shown], float)
    nobody = np.zeros(len(shown), np.int64)
    exposures = ShownSongs(nobody, song, name, at, nobody)
    found = exposure_samples(EventHistory(log).of(0, 1), exposures, float(days), SampleCounts())
    expected = []
    for own, day in sorted(set(shown), key=lambda one: (one[1], one[0])):
        later = [other for s, other in shown if s == own and other > day]
        end = min([day + days, *later])
        if end > 8:
            continue
        events_of = [e for s, d, e in plays if s == own and day < d <= end]
        outcome = next((o for o in ("finish", "dislike", "skip") if o in events_of), "none")
        expected.append((own, day * DAY, outcome == "finish", outcome))
    assert expected == [
        (names[name[row]], moment, label, OUTCOMES[outcome])
        for row, moment, label, outcome in zip(
            found.row, found.at, found.label.tolist(), found.outcome, strict=True
        )
    ]

"""Voices of many kinds: sung and spoken by the same people, chant, opera, rap, beatbox, songs.

The folders of ``version2`` each have a ``manifest.csv`` (file, class, group). What changes within a
file (an aria, a song with notes, the stems of a record) is told by ``windows.csv``: of each three
seconds, every 1.5 s, how much of them is sung and played, and which class a mix of them is, if any.
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from head_data import ACCOMPANIED, INSTRUMENTAL, OTHER, UNLABELLED, VOCAL, Clip

CLASSES = {"V": VOCAL, "I": INSTRUMENTAL, "M": ACCOMPANIED, "O": OTHER, "": UNLABELLED}
FOLDERS = (
    "beatbox", "csd_child_song", "everything_is_free_cc0", "gtsinger", "jingju_arias", "m4singer",
    "mpop600_golf", "rap", "svcc2023_nnsvs", "svqtd_tenor", "torah_chant", "ultrastar_coulton",
)  # fmt: skip
LOOPS = "waivops_loops"  # of genre2: drums alone
SPEECH = ("gtsinger", "rap", "svcc2023_nnsvs")  # folders that hold spoken lines too
LEAST = 0.5  # share of three seconds in which a stem sounds, if they are to be judged
EVERY_S = 3.0  # between the segments; windows lie 1.5 s apart

Row = dict[str, str]


def voice_clips(data: Path) -> list[Clip]:
    """Return the clips of ``<data>/version2`` and the drum loops of ``<data>/genre2``."""
    clips = [clip for name in FOLDERS for clip in _clips(data / "version2" / name)]
    return [*clips, *_clips(data / "genre2" / LOOPS)]


def _clips(folder: Path) -> Iterator[Clip]:
    rows = _rows(folder / "manifest.csv")
    windows: dict[str, list[Row]] = defaultdict(list)
    if (folder / "windows.csv").exists():
        for row in _rows(folder / "windows.csv"):
            windows[row["song"]].append(row)
    for row in rows:
        stem = Path(row["file"]).stem
        song = next((name for name in windows if stem.startswith(name)), "")
        label = CLASSES.get(row["cls"], UNLABELLED)
        yield Clip(
            corpus=folder.name,
            group=f"{folder.name}/{_group(folder.name, row)}",
            track=f"{folder.name}/{stem}",
            label=label,
            path=folder / row["file"],
            spans=_spans(windows[song], _judge(label)) if song else (),
        )


def _group(folder: str, row: Row) -> str:
    """Return what must not stand on both sides of a split."""
    if folder == "ultrastar_coulton":  # songs of one singer: by song
        return Path(row["file"]).stem
    return "all" if folder == "m4singer" else row["group"]  # most of its singers are not named


def _judge(label: int) -> Callable[[Row], int]:
    """Return how a window says what three seconds of a stem, or of a mix, are."""
    if label in (VOCAL, INSTRUMENTAL):
        column = "voice_frac" if label == VOCAL else "inst_frac"
        return lambda row: label if float(row[column]) >= LEAST else UNLABELLED
    return lambda row: CLASSES[row.get("mix_label") or row.get("label") or ""]


def _spans(rows: list[Row], judge: Callable[[Row], int]) -> tuple[int, ...]:
    """Return the class of every segment of which there is a window; the others have none."""
    found = {float(row["start"]): judge(row) for row in rows}
    count = int(max(found) // EVERY_S) + 1
    return tuple(found.get(EVERY_S * i, UNLABELLED) for i in range(count))


def _rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))

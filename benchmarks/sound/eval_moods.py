"""Judge the columns of moods by what people wrote about the songs: areas under their curves.

    python -m benchmarks eval_moods CAPTIONS.csv TAGGRAM.npz [TAGGRAM.npz ...]

CAPTIONS has a song's name and a text, as Brain2Music's captions of GTZAN (540 songs, written by
people). A song has a mood if the text has one of its words. TAGGRAMs hold what the backbone hears:
``X`` (windows, 50) and ``IDS``, the song of each window; the mean over a song is its mood column.
The area says of two songs, one with the mood and one without, how often the first has more of it;
`of_a_genre` compares songs of one genre only. 95 % intervals over songs.
"""

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.tagger.weights import MSD
from audiorec.types import BoolArray, Float64Array

CALM = r"calm\w*|sooth\w*"
EASY = rf"relax\w*|laid-back|peaceful\w*|chill|lazy|{CALM}"
WORDS = {
    "happy": r"cheer\w*|joy\w*|jolly|happy|fun|bright|jubilant|light-hearted|euphoria|positive\w*",
    "sad": r"sad|melanchol\w*|lonely|lament\w*|wistful|somber|desperate|desolate",
    "chill": EASY,
    "chillout": EASY,
    "Mellow": rf"mellow|gentl\w*|soft\w*|quiet\w*|\w*warm\w*|{CALM}",
    "party": r"part(?:y|ies)|danc\w*|\w*clubs?|festiv\w*|carnival",
    "sexy": r"sensual|seductive|enticing\w*|romantic",
    "catchy": r"catchy|ear-catching|catch(?:es)? (?:the|your) ears?",
    "beautiful": r"beaut\w*|lovely|gorgeous|graceful\w*|elegan\w*",
}
RESAMPLES = 1_000


def captions(path: Path) -> dict[str, str]:
    """Return the text of each song; ``blues.00000_15s`` is of the song ``blues.00000``."""
    with path.open(encoding="utf-8", newline="") as file:
        return {name.partition("_")[0]: text for name, text in list(csv.reader(file))[1:]}


def heard(paths: list[Path]) -> dict[str, Float64Array]:
    """Return the mean tags (50,) of each song."""
    songs: dict[str, Float64Array] = {}
    for path in paths:
        with np.load(path, allow_pickle=False) as held:
            windows, ids = held["X"], held["IDS"]
        songs |= {Path(str(of)).stem: windows[ids == of].mean(axis=0) for of in np.unique(ids)}
    return songs


def area(scores: Float64Array, has: BoolArray) -> float:
    """Return how often a song that has the mood scores above one that has it not."""
    gaps = scores[has][:, None] - scores[~has]
    return float(np.mean((gaps > 0) + 0.5 * (gaps == 0))) if gaps.size else np.nan


def table(texts: dict[str, str], songs: dict[str, Float64Array]) -> Iterator[dict[str, Any]]:
    """Yield a line for each mood."""
    names = [name for name in texts if name in songs]
    genres = np.array([name.partition(".")[0] for name in names])
    rng = np.random.default_rng(0)
    for mood, words in WORDS.items():
        scores = np.array([songs[name][MSD.tags.index(mood)] for name in names])
        has = np.array([bool(re.search(rf"\b(?:{words})\b", texts[name], re.I)) for name in names])
        drawn = rng.integers(len(names), size=(RESAMPLES, len(names)))
        bounds = np.nanpercentile([area(scores[d], has[d]) for d in drawn], (2.5, 97.5))
        of_one = [genres == genre for genre in np.unique(genres)]
        pairs = np.array([has[of].sum() * (~has[of]).sum() for of in of_one])
        areas = np.array([area(scores[of], has[of]) for of in of_one])
        yield {
            "mood": mood,
            "songs": len(names),
            "with it": int(has.sum()),
            "area": [round(float(v), 3) for v in (area(scores, has), *bounds)],
            "of_a_genre": round(float(np.nansum(areas * pairs) / pairs.sum()), 3),
        }


def main() -> None:
    """Print a line of JSON for each mood."""
    text, *taggrams = map(Path, sys.argv[1:])
    for line in table(captions(text), heard(taggrams)):
        print(json.dumps(line))


if __name__ == "__main__":
    main()

"""Count the audio that a segment head could learn from if it were to learn from free audio alone.

    python scripts/heads/free_segments.py --data DIR --extra DIR

Folders as of `train_heads.py`. Free are CC0, CC BY, CC BY-SA, public domain and packages of Debian.
One JSON line for each class of the version head, free or not: pieces, groups (a performer, an
album), minutes and corpora.
"""

import argparse
import json
from pathlib import Path

import soundfile
from head_data import OTHER_CORPORA, VERSION_CLASSES, Clip
from head_packages import ELSEWHERE, SONGS, package_clips
from head_tables import labelled_clips
from head_voices import EVERY_S, FOLDERS

FREE = ("superpowers", "everything_is_free_cc0", "cmu_arctic")  # of the data; the rest is research


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option in ("data", "extra"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    args = parser.parse_args()
    clips = [*labelled_clips(args.data, args.extra), *package_clips(args.extra, SONGS + ELSEWHERE)]
    for free in (True, False):
        for label, name in enumerate(VERSION_CLASSES):
            own = [
                c for c in clips if is_free(c.corpus) == free and label in (c.spans or (c.label,))
            ]
            counts = {
                "pieces": len({clip.track for clip in own}),
                "groups": len({clip.group for clip in own}),
                "minutes": round(sum(seconds(clip, label) for clip in own) / 60, 1),
                "corpora": sorted({clip.corpus for clip in own}),
            }
            print(json.dumps({"class": name, "free": free, **counts}))


def is_free(corpus: str) -> bool:
    """Return whether anybody may use a corpus."""
    return corpus in FREE or corpus not in {"mir1k", "tune", "gtzan", *OTHER_CORPORA, *FOLDERS}


def seconds(clip: Clip, label: int) -> float:
    """Return how much of a clip is of a class."""
    if clip.spans:
        return EVERY_S * clip.spans.count(label)
    return min(clip.max_s, max(0.0, soundfile.info(clip.path).duration - clip.skip_s))


if __name__ == "__main__":
    main()

"""Rebuild the shipped heads and print every figure that their model card quotes.

    uv run --group heads python scripts/train_heads.py --data DIR --extra DIR --cache DIR --out DIR

`--data` is the folder with ``version/`` and ``gtzan/``; `--extra` holds unpacked Debian
packages, one folder each, as `unpack_packages.sh` leaves them; `--cache` keeps features
between runs (the first run takes about half an hour on one core, later ones minutes).
Figures go to stdout as text and to ``<out>/head_figures.json``.
"""

import argparse
import json
from pathlib import Path

import torch
from head_data import (
    ACCOMPANIED,
    INSTRUMENTAL,
    OTHER,
    VOCAL,
    Clip,
    gtzan_clips,
    version_clips,
)
from head_features import Extractor, Table, concatenate
from head_figures import Figures
from head_genre_figures import genre
from head_mixing import Sources, augmented
from head_packages import package_clips
from head_version_figures import version

CHUNKS = 2  # files of augmented rows
PER_CHUNK = [VOCAL] * 4 + [INSTRUMENTAL] * 4 + [ACCOMPANIED] * 5 + [OTHER] * 4
REPEATS = 110  # of PER_CHUNK in a file
AUGMENTATION = "v6"


def main() -> None:
    """Train, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("data", "extra", "cache", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # sums in one order: the same head on every machine

    extractor = Extractor(args.cache)
    clips = labelled_clips(args.data, args.extra)
    clean, songs = clean_tables(extractor, clips, args.data)
    figures: Figures = {"genre": genre(extractor, args.data, clean, songs, args.out)}
    table = concatenate([clean, augmented_table(extractor, clips, args.data), songs])
    figures["version"] = version(extractor, clips, table, clean, args.out)
    (args.out / "head_figures.json").write_text(json.dumps(figures, indent=1, sort_keys=True))


def labelled_clips(data: Path, extra: Path) -> list[Clip]:
    """Return the clips of the version task, those of the packages last."""
    return [*version_clips(data), *package_clips(extra)]


def clean_tables(extractor: Extractor, clips: list[Clip], data: Path) -> tuple[Table, Table]:
    """Return the segments of all clips as they are, and those of GTZAN."""
    by_corpus: dict[str, list[Clip]] = {}
    for clip in clips:
        by_corpus.setdefault(clip.corpus, []).append(clip)
    tables = [extractor.clips(corpus, found) for corpus, found in by_corpus.items()]
    return concatenate(tables), extractor.clips("gtzan", gtzan_clips(data))


def augmented_table(extractor: Extractor, clips: list[Clip], data: Path) -> Table:
    """Return the augmented segments; nothing of ``tune`` goes into them."""
    heard = [clip for clip in clips if clip.corpus != "tune" and clip.label >= 0]
    sources, labels = Sources(heard + gtzan_clips(data)), PER_CHUNK * REPEATS
    return concatenate(
        [
            extractor.waveforms(
                f"augmented-{chunk}",
                f"{AUGMENTATION}-{chunk}",
                lambda chunk=chunk: augmented(sources, labels, chunk),  # type: ignore[misc]
            )
            for chunk in range(CHUNKS)
        ]
    )


if __name__ == "__main__":
    main()

"""Rebuild the shipped heads and print every figure that their model card quotes.

    uv run --group heads python scripts/train_heads.py --data DIR --extra DIR --cache DIR --out DIR

`--data` is the folder with ``version/`` and ``gtzan/``; `--extra` holds unpacked packages,
one folder each, as `unpack_packages.sh` leaves them; `--cache` keeps features
between runs (the first run takes about half an hour on one core, later ones ten minutes).
Figures go to stdout as text and to ``<out>/head_figures.json``.
"""

import argparse
import inspect
import json
from dataclasses import replace
from pathlib import Path

import head_augment
import head_mixing
import head_singing
import numpy as np
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
from head_packages import ELSEWHERE, SONGS, package_clips
from head_version import QUIET
from head_version_figures import version

from audiorec.types import FloatArray

CHUNKS = 2  # files of augmented rows
PER_CHUNK = [VOCAL] * 4 + [INSTRUMENTAL] * 4 + [ACCOMPANIED] * 5 + [OTHER] * 4
REPEATS = 110  # of PER_CHUNK in a file
QUIETER_DB = (6.0, 26.0)  # by how much a clip is turned down


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
    sung, elsewhere = sung_tables(extractor, args.extra)
    made = [quiet_table(extractor, clips), augmented_table(extractor, clips, args.data)]
    table = concatenate([clean, *made, songs, sung])
    figures["version"] = version(extractor, clips, table, clean, elsewhere, args.out)
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


def sung_tables(extractor: Extractor, extra: Path) -> tuple[Table, Table]:
    """Return the segments of the packages' songs, and of singing that is only judged."""
    learnt, judged = package_clips(extra, SONGS), package_clips(extra, ELSEWHERE)
    return extractor.clips("songs", learnt), extractor.clips("elsewhere", judged)


def quiet_table(extractor: Extractor, clips: list[Clip]) -> Table:
    """Return segments of what may be learnt from, each clip turned down by a gain of its own."""
    rng = np.random.default_rng(0)

    def turned_down(waveform: FloatArray) -> FloatArray:
        gain = 10 ** (-rng.uniform(*QUIETER_DB) / 20)
        return (waveform * gain).astype(np.float32)

    heard = [clip for clip in clips if clip.corpus != "tune" and clip.label >= 0]
    table = extractor.clips(f"quiet-{QUIETER_DB[1]:.0f}-dB", heard, turned_down)
    table = table.rows(np.arange(0, len(table), 2))  # half of them do as well as all
    return replace(table, track=np.full(len(table), QUIET))


def augmented_table(extractor: Extractor, clips: list[Clip], data: Path) -> Table:
    """Return the augmented segments; nothing of ``tune`` goes into them."""
    heard = [clip for clip in clips if clip.corpus != "tune" and clip.label >= 0]
    heard += gtzan_clips(data)
    sources, labels = Sources(heard), PER_CHUNK * REPEATS
    # All that the rows depend on, so that a cache of other clips or other code is never read.
    code = [inspect.getsource(module) for module in (head_augment, head_mixing, head_singing)]
    recipe = f"{[(c.track, c.label, c.skip_s, c.max_s) for c in heard]}{labels}{code}"
    return concatenate(
        [
            extractor.waveforms(
                f"augmented-{chunk}",
                f"{recipe}-{chunk}",
                lambda chunk=chunk: augmented(sources, labels, chunk),  # type: ignore[misc]
            )
            for chunk in range(CHUNKS)
        ]
    )


if __name__ == "__main__":
    main()

"""The rows that the heads learn from and are judged on: clips as they are, and mixes."""

from pathlib import Path

import numpy as np
from head_augment import low_pass, telephone
from head_data import (
    ACCOMPANIED,
    INSTRUMENTAL,
    OTHER,
    SAMPLE_RATE,
    VOCAL,
    Clip,
    gtzan_clips,
    version_clips,
)
from head_features import Change, Extractor, Table, concatenate
from head_mixing import MIXES, Sources, augmented
from head_packages import ELSEWHERE, MUSIC, SONGS, package_clips
from head_voices import voice_clips

CHUNKS = 12  # files of mixes
PER_CHUNK = [VOCAL] * 13 + [INSTRUMENTAL] * 10 + [ACCOMPANIED] * 17 + [OTHER] * 10
REPEATS = 20  # of PER_CHUNK in a file: 12,000 mixes in all
COPIED, COPIED_S = 6, 18.0  # pieces of a package, seconds of each
BANDS: dict[str, Change] = {
    "as it is": lambda waveform: waveform,
    "4 kHz": lambda waveform: low_pass(waveform, 4000.0),
    "5.5 kHz": lambda waveform: low_pass(waveform, 5500.0),
    "telephone": telephone,
}
JUDGED_ALONE = "tune"  # a corpus that nothing is ever learnt from


def labelled_clips(data: Path, extra: Path) -> list[Clip]:
    """Return the clips of the version task: single corpora, many voices, packages."""
    return [*version_clips(data), *voice_clips(data), *package_clips(extra)]


def clean_table(extractor: Extractor, clips: list[Clip]) -> Table:
    """Return the segments of clips as they are, corpus by corpus."""
    by_corpus: dict[str, list[Clip]] = {}
    for clip in clips:
        by_corpus.setdefault(clip.corpus, []).append(clip)
    return concatenate([extractor.clips(corpus, found) for corpus, found in by_corpus.items()])


def song_tables(extractor: Extractor, data: Path, extra: Path) -> tuple[Table, Table, Table]:
    """Return the segments of GTZAN, of the packages' songs, and of singing only judged."""
    learnt, judged = package_clips(extra, SONGS), package_clips(extra, ELSEWHERE)
    return (
        clean_table(extractor, gtzan_clips(data)),
        clean_table(extractor, learnt),
        clean_table(extractor, judged),
    )


def mixes_table(extractor: Extractor, clips: list[Clip], *, chunks: int = CHUNKS) -> Table:
    """Return the augmented segments; nothing of ``tune`` goes into them."""
    heard = [clip for clip in clips if clip.corpus != JUDGED_ALONE]
    sources, labels = Sources(heard, extractor.waves.read), PER_CHUNK * REPEATS
    recipe = f"{MIXES}{[clip.key for clip in heard]}{labels}"
    made = [
        extractor.made(
            f"mixes-{chunk}",
            f"{recipe}-{chunk}",
            lambda chunk=chunk: augmented(sources, labels, chunk),  # type: ignore[misc]
        )
        for chunk in range(chunks)
    ]
    return concatenate(made)


def copies(extractor: Extractor, name: str, clips: list[Clip]) -> dict[str, Table]:
    """Return the segments of the beginnings of clips, as they are and through each of `BANDS`.

    Row i of each table is of the same segment.
    """
    length = int(COPIED_S * SAMPLE_RATE)

    def table(band: str, change: Change) -> Table:
        cut = lambda waveform: change(np.array(waveform[:length]))  # noqa: E731
        return extractor.clips(f"{name}-{band}".replace(" ", "-"), clips, cut)

    return {band: table(band, change) for band, change in BANDS.items()}


def copied_music(extractor: Extractor, clips: list[Clip]) -> dict[str, Table]:
    """Return copies of a few pieces of each package of music: what a band limit does to them."""
    names, found = [corpus.name for corpus in MUSIC], []
    for name in names:
        own = [clip for clip in clips if clip.corpus == name]
        found += own[:: -(-len(own) // COPIED)]
    return copies(extractor, "copied-music", found)


def without(names: np.ndarray, unwanted: tuple[str, ...]) -> np.ndarray:
    """Return which of the ``+``-joined names hold none of the unwanted ones."""
    unique, of_row = np.unique(names, return_inverse=True)
    held = np.array([not set(unwanted) & set(name.split("+")) for name in unique])
    return held[of_row]

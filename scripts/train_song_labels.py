"""Learn the head for genre and styles of whole songs; the same data gives the same bytes.

    PYTHONPATH=scripts python scripts/train_song_labels.py --data DIR --extra DIR --cache DIR \
        --out DIR

`--data`, `--extra` and `--cache` are those of `train_heads.py`, with which it shares what the
network says of each clip. `--out` gets ``song_labels.safetensors``, whose SHA-256
`audiorec.tagger.song_labels` has to state, and ``song_labels.json``, the figures of the model card.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from head_data import OTHER, gtzan_clips, short_gtzan_clips, version_clips
from head_features import Extractor
from head_genre import GENRES
from head_gtzan import load_taggrams
from head_outside import MAKERS, pieces
from head_packages import CORPORA, ELSEWHERE, SONGS, package_clips
from head_song_figures import curve, limit_of, outside_parts, shares, style_figures
from head_songs import (
    NO_GENRE,
    PART,
    LeftOut,
    Songs,
    gtzan_left_out,
    head_of,
    joined,
    makers_left_out,
    of_gtzan,
    of_pieces,
    of_sounds,
    of_taggrams,
    temperature_of,
)
from head_tables import clean_table
from head_voices import voice_clips
from threadpoolctl import threadpool_limits

CORPORA_INSIDE = ("gtzan", "gtzan_actcv")  # with audio


def main() -> None:
    """Read, learn, judge, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("data", "extra", "cache", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    songs = read(Extractor(args.cache), args.data, args.extra)
    with threadpool_limits(1):  # sums in one order
        outside, artists = makers_left_out(songs), gtzan_left_out(songs)
        tracks = gtzan_left_out(songs, by_track=True)
        temperature = temperature_of([outside, artists])
        figures = judged(outside, artists, tracks, temperature)
        limits = [found["limit"] for found in figures["styles"].values()]
        head = head_of(songs, temperature, figures["limit"], limits)
    figures["sha256"] = head.save(args.out / "song_labels.safetensors")
    (args.out / "song_labels.json").write_text(json.dumps(figures, sort_keys=True) + "\n")
    print(json.dumps({name: figures[name] for name in ("sha256", "temperature", "limit")}))


def read(extractor: Extractor, data: Path, extra: Path) -> Songs:
    """Return everything that is learnt from, from the cache or the audio."""
    voices, makers = voice_clips(data), {maker.corpus for maker in MAKERS}
    packaged = [c for c in (*CORPORA, *SONGS, *ELSEWHERE) if c.name in makers]
    made = [c for c in voices if c.corpus in makers] + package_clips(extra, packaged)
    sounds = [
        c for c in (*version_clips(data), *voices) if c.label == OTHER or c.corpus in NO_GENRE
    ]
    half = clean_table(extractor, gtzan_clips(data))
    outside = pieces([clean_table(extractor, made)])
    parts = [of_gtzan(half, data, part=PART), of_pieces(*outside, part=PART)]
    return Songs(
        half=of_gtzan(half, data),
        short=of_gtzan(clean_table(extractor, short_gtzan_clips(data)), data),
        listed=of_taggrams(load_taggrams(data, "train", phases=3)),
        outside=of_pieces(*outside),
        sounds=of_sounds(clean_table(extractor, sounds)),
        parts=joined(parts),
    )


def judged(
    outside: LeftOut, artists: LeftOut, tracks: LeftOut, temperature: float
) -> dict[str, Any]:
    """Return all figures."""
    said = outside.calibrated(temperature)
    parts = outside_parts(outside)
    curves = {name: curve(said[part], outside.rows.genre[part]) for name, part in parts.items()}
    inside = {
        f"{corpus}, {name} left out": curve(*_of_corpus(folds, corpus, temperature))
        for name, folds in (("artists", artists), ("tracks", tracks))
        for corpus in (*CORPORA_INSIDE, "taggrams")
    }
    heard = [inside[f"{corpus}, artists left out"] for corpus in CORPORA_INSIDE]
    limit = limit_of(curves["not electronic, without drum loops"], heard)
    return {
        "temperature": temperature,
        "limit": limit,
        "outside": curves,
        "inside": inside,
        "outside of the ten": _no_genre(artists, temperature, limit),
        "styles": style_figures(artists, artists.calibrated(temperature)),
    }


def _of_corpus(folds: LeftOut, corpus: str, temperature: float) -> tuple[Any, Any]:
    """Return the probabilities and genres of the songs of one corpus that are of the ten."""
    part = (folds.rows.corpus == corpus) & (folds.rows.genre < len(GENRES))
    return folds.calibrated(temperature)[part], folds.rows.genre[part]


def _no_genre(folds: LeftOut, temperature: float, limit: float) -> dict[str, Any]:
    """Return how many songs of no class of the ten are clear all the same."""
    part = folds.rows.genre >= len(GENRES)
    found = shares(folds.calibrated(temperature)[part], folds.rows.genre[part], limit)
    return {name: found[name] for name in ("rows", "clear")}


if __name__ == "__main__":
    main()

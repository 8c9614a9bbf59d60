"""Learn the head for genre and styles of whole songs; the same data gives the same bytes.

    python scripts/heads/train_song_labels.py --data DIR --extra DIR --cache DIR \
        --out DIR

`--data`, `--extra` and `--cache` are those of `train_heads.py`, with which it shares what the
network says of each clip. `--out` gets ``song_labels.safetensors``, whose SHA-256
`audiorec.tagger.song_labels` has to state, and ``song_labels.json``, the figures of the model card
(`song_labels_page.py`). GTZAN's 290 test tracks are looked at only with ``--test``.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from head_data import OTHER, gtzan_clips, short_gtzan_clips, version_clips
from head_features import Extractor
from head_genre import GENRES
from head_gtzan import GTZAN_GENRES, load_taggrams
from head_outside import MAKERS, pieces
from head_packages import CORPORA, ELSEWHERE, LOOPS, MUSIC, SONGS, TAGGED, package_clips
from head_song_figures import curve, limit_of, outside_parts, shares, style_figures
from head_songs import (
    CLASSES,
    NO_GENRE,
    PART,
    TAGGED_MAKERS,
    LeftOut,
    Songs,
    fit,
    groups_of,
    gtzan_left_out,
    head_of,
    joined,
    learn,
    learn_tags,
    left_out,
    makers_left_out,
    of_gtzan,
    of_music,
    of_pieces,
    of_sounds,
    of_taggrams,
    temperature_of,
    with_embedding,
)
from head_tables import clean_table
from head_voices import voice_clips
from threadpoolctl import threadpool_limits

from audiorec.tagger.song_labels import CLEAR_SEGMENTS

WITH_AUDIO = ("gtzan", "gtzan_actcv")
INSIDE = (*WITH_AUDIO, "taggrams")
OF_GTZAN = tuple(CLASSES.index(name) for name in GTZAN_GENRES)
Figures = dict[str, Any]


def arguments(description: str | None) -> argparse.Namespace:
    """Parse the options of a training of song heads, and make its folder."""
    parser = argparse.ArgumentParser(description=description)
    for option in ("data", "extra", "cache", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--test", action="store_true", help="look at the test tracks")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    return args


def main() -> None:
    """Read, learn, judge, save."""
    args = arguments(__doc__)
    songs = read(Extractor(args.cache), args.data, args.extra)
    with threadpool_limits(1):  # sums in one order
        outside, artists = makers_left_out(songs), gtzan_left_out(songs)
        temperature = temperature_of([outside, artists])
        figures = judged(songs, temperature, outside, artists)
        limits = [found["limit"] for found in figures["styles"].values()]
        head = head_of(fit(songs.all), temperature, figures["limit"], limits)
        if args.test:
            figures["test"] = on_test(songs, args.data, temperature, figures["limit"])
    figures["sha256"] = head.save(args.out / "song_labels.safetensors")
    (args.out / "song_labels.json").write_text(json.dumps(figures, sort_keys=True) + "\n")
    print(json.dumps({name: figures[name] for name in ("sha256", "temperature", "limit")}))


def read(extractor: Extractor, data: Path, extra: Path) -> Songs:
    """Return everything that is learnt from, from the cache or the audio."""
    voices, makers = voice_clips(data), {maker.corpus for maker in MAKERS}
    packaged = [c for c in (*CORPORA, *SONGS, *ELSEWHERE) if c.name in makers]
    made = [c for c in voices if c.corpus in makers] + package_clips(extra, packaged)
    sounds = [
        *(c for c in (*version_clips(data), *voices) if c.label == OTHER or c.corpus in NO_GENRE),
        *package_clips(extra, LOOPS),
    ]
    unnamed = [c for c in MUSIC if c.name not in makers]
    half = clean_table(extractor, gtzan_clips(data))
    outside = pieces([clean_table(extractor, made)])
    tagged = pieces([clean_table(extractor, package_clips(extra, TAGGED))], TAGGED_MAKERS)
    parts = [of_gtzan(half, data, part=PART), of_pieces(*outside, part=PART)]
    return Songs(
        half=of_gtzan(half, data),
        short=of_gtzan(clean_table(extractor, short_gtzan_clips(data)), data),
        listed=of_taggrams(load_taggrams(data, "train", phases=3)),
        outside=of_pieces(*outside),
        sounds=of_sounds(clean_table(extractor, sounds)),
        parts=joined(parts),
        tagged=of_pieces(*tagged),
        unnamed=of_music(clean_table(extractor, package_clips(extra, unnamed))),
    )


def judged(songs: Songs, temperature: float, outside: LeftOut, artists: LeftOut) -> Figures:
    """Return all figures but those of the test tracks."""
    curves, parts = outside_curves(outside, temperature), outside_parts(outside)
    folds = {"artists": artists, "tracks": gtzan_left_out(songs, by_track=True)}
    inside = {
        f"{corpus}, {name} left out": curve(*_of_corpus(found, corpus, temperature))
        for name, found in folds.items()
        for corpus in INSIDE
    }
    heard = [inside[f"{corpus}, artists left out"] for corpus in WITH_AUDIO]
    limit = limit_of(curves["without drum loops"], curves["all"], *heard)
    return {
        "temperature": temperature,
        "limit": limit,
        "outside": curves,
        "inside": inside,
        "before": before(songs, parts),
        "without a genre": without_genre(songs, artists, temperature, limit),
        "styles": style_figures(artists, artists.calibrated(temperature)),
    }


def outside_curves(outside: LeftOut, temperature: float) -> Figures:
    """Return the curve of each set of pieces outside GTZAN."""
    said, genre = outside.calibrated(temperature), outside.rows.genre
    long = outside.rows.segments >= CLEAR_SEGMENTS
    parts = outside_parts(outside)
    return {name: curve(said[part], genre[part], long[part]) for name, part in parts.items()}


def before(songs: Songs, parts: dict[str, Any]) -> Figures:
    """Return who is right by the recipe of the vector's head, left out in the same way."""
    outside = makers_left_out(songs, learn_tags)
    found = {
        name: shares(outside.calibrated(1.0)[part], outside.rows.genre[part], limit=1.0)
        for name, part in parts.items()
    }
    for name, by_track in (("artists", False), ("tracks", True)):
        folds = gtzan_left_out(songs, learn_tags, by_track=by_track)
        for corpus in INSIDE:
            row = f"{corpus}, {name} left out"
            found[row] = shares(*_of_corpus(folds, corpus, 1.0), limit=1.0)
    return {row: {n: each[n] for n in ("rows", "first", "two")} for row, each in found.items()}


def on_test(songs: Songs, data: Path, temperature: float, limit: float) -> Figures:
    """Look once at GTZAN's 290 test tracks, of which the tags are known.

    Learnt from all; and, among GTZAN's own ten, from its training tracks alone and with the clips
    of the validation list.
    """
    test = of_taggrams(load_taggrams(data, "test", phases=1))
    ten = test.genre < len(GENRES)
    said = LeftOut(rows=test, logits=learn(songs.all)(test)).calibrated(temperature)
    found: Figures = {"all": shares(said[ten], test.genre[ten], limit)}
    found["none of the ten, clear"] = shares(said[~ten], test.genre[~ten], limit)["clear"]
    heard = {"443": songs.listed, "443 and 53": songs.gtzan}
    for name, rows in heard.items():
        learnt = with_embedding(rows, songs.all)
        logits = learn(learnt)(with_embedding(test, songs.all))[:, list(OF_GTZAN)]
        right = np.array(OF_GTZAN)[logits.argmax(axis=1)] == test.genre
        found[f"GTZAN's ten, {name}"] = round(float(right.mean()), 4)
    return found


def _of_corpus(folds: LeftOut, corpus: str, temperature: float) -> tuple[Any, Any]:
    """Return the probabilities and genres of the songs of one corpus that are of the ten."""
    part = (folds.rows.corpus == corpus) & (folds.rows.genre < len(GENRES))
    return folds.calibrated(temperature)[part], folds.rows.genre[part]


def without_genre(
    songs: Songs, artists: LeftOut, temperature: float, limit: float
) -> dict[str, Figures]:
    """Return how many songs of no class of the ten are clear all the same, by corpus.

    Of GTZAN's styles the artists were left out, of sounds their corpus; of music whose makers name
    no genre nothing is ever learnt.
    """
    sounds = left_out(songs.sounds, songs.sounds.group, groups_of, songs.all, learn)
    styles = artists.rows.genre >= len(GENRES)
    sets = {"disco and reggae": (artists.rows.rows(styles), artists.logits[styles])}
    for corpus in np.unique(sounds.rows.corpus):
        part = sounds.rows.corpus == corpus
        sets[str(corpus)] = (sounds.rows.rows(part), sounds.logits[part])
    sets["music without a genre"] = (songs.unnamed, learn(songs.all)(songs.unnamed))
    found = {}
    for name, (rows, logits) in sets.items():
        said = LeftOut(rows=rows, logits=logits).calibrated(temperature)
        clear = said[:, : len(GENRES)].max(axis=1) >= limit
        first = Counter(GENRES[i] for i in said[clear, : len(GENRES)].argmax(axis=1))
        share = round(float(clear.mean()), 3)
        found[name] = {"rows": len(rows), "clear": share, "as": dict(sorted(first.items()))}
    return found


if __name__ == "__main__":
    main()

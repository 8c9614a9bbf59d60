"""Learn both heads of segments from free audio alone, and judge them beside the shipped ones.

    python scripts/heads/train_open_heads.py --data DIR --extra DIR --cache DIR --out DIR [--test]

Options as of `train_heads.py`, but that `--test` looks at GTZAN's test tracks. Free are CC0, CC BY,
CC BY-SA, public domain and packages of Debian. Voices alone are mostly speech that is made to sing
(`head_sung`; WORLD is installed by ``uv pip install pyworld==0.3.5``). `--out` gets
``head_version_open.safetensors``, ``head_genre_open.safetensors`` and ``heads_open.json``, the
figures in the model card: all that is for research only judges, and nothing is learnt from it.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from head_data import ACCOMPANIED, INSTRUMENTAL, OTHER_CORPORA, Clip
from head_dense import DenseRecipe
from head_features import Extractor, Table, concatenate
from head_figures import Figures, save
from head_genre import GENRES, genre_rows, ten_of_gtzan
from head_genre_figures import eight, places
from head_gtzan import Taggrams, balanced, concatenate_taggrams, load_taggrams, taggrams_of
from head_open import TAG_LOGIT, TAGS_L2, fit_tags
from head_outside import pieces
from head_packages import SONGS, WEAK, package_clips
from head_sung import sung_clips
from head_tables import (
    JUDGED_ALONE,
    clean_table,
    labelled_clips,
    mixes_table,
    song_tables,
    without,
)
from head_version import JUDGED, VERSION, folders_left_out, train_version, usable
from head_version_figures import both, elsewhere_answers, kept
from head_voices import FOLDERS
from train_song_labels import arguments

from audiorec.labelling.train import fit_calibration
from audiorec.tagger.heads import OPEN, Head, softmax, training_record
from audiorec.types import BoolArray

FREE = ("superpowers", "everything_is_free_cc0", "cmu_arctic")  # of the data; the rest is research
MIXED = 2  # files of mixes: sources are few
RECIPE = DenseRecipe(networks=2)  # half the size of the shipped head
INFO = {
    "sources": "Superpowers (CC0), Everything Is Free (CC0), CMU ARCTIC, WaivOps loops (CC BY), "
    "Schubert Winterreise Dataset (CC BY 3.0), Debian packages of game music, sounds, speech and "
    "songs; speech of these made to sing by WORLD",
    "licence": "Apache-2.0 for the weights; trained on free audio alone, none of it included",
}


def main() -> None:
    """Read, learn, judge, save."""
    args = arguments(__doc__)
    torch.set_num_threads(1)  # sums in one order
    extractor = Extractor(args.cache)
    clips = labelled_clips(args.data, args.extra)
    clean = clean_table(extractor, clips)
    gtzan, lieder, elsewhere = song_tables(extractor, args.data, args.extra)
    free = [as_song(clip) for clip in clips if is_free(clip.corpus)]
    free += sung_clips(free, args.cache / "sung")
    songs = package_clips(args.extra, SONGS)
    mixes = mixes_table(extractor, [*free, *songs], chunks=MIXED)
    train = usable(concatenate([clean_table(extractor, free), lieder, mixes]))
    figures: Figures = {"version": version(extractor, train, usable(clean), elsewhere, args.out)}
    gtzan = [load_taggrams(args.data, "train", phases=3), taggrams_of(args.data, gtzan)]
    judged = {"inside": concatenate_taggrams(gtzan)}
    if args.test:
        judged["test"] = load_taggrams(args.data, "test", phases=1)
    free = [free_rows(table) for table in (clean, lieder, elsewhere)]
    figures["genre"] = genre(extractor, free, judged, args.out)
    (args.out / "heads_open.json").write_text(json.dumps(figures, sort_keys=True) + "\n")


def is_free(corpus: str) -> bool:
    """Return whether anybody may use a corpus."""
    return corpus in FREE or corpus not in {"mir1k", "tune", "gtzan", *OTHER_CORPORA, *FOLDERS}


def free_rows(table: Table) -> Table:
    """Return the rows of free corpora."""
    return table.rows(np.array([is_free(corpus) for corpus in table.corpus], np.bool_))


def as_song(clip: Clip) -> Clip:
    """Return a clip of sung metal as a song, a weak label, and any other as it is."""
    return replace(clip, label=ACCOMPANIED) if clip.corpus in WEAK else clip


def version(
    extractor: Extractor, train: Table, judged: Table, elsewhere: Table, out: Path
) -> Figures:
    """Train and save the version head; judge it as the shipped one, folders left out whole."""
    strong = judged.rows(np.isin(judged.corpus, JUDGED))
    make = partial(folders_left_out, ways=unheard, recipe=RECIPE)
    folders = kept(extractor, "open-folders", train, strong, make)
    rows = strong.rows(folders.rows)
    own = np.isin(rows.corpus, FREE)  # what is for research only does not even calibrate
    # Rows weigh the same: by cells, one maker's hidden voices would be half of all voices.
    calibration = fit_calibration(folders.logits[own], rows.label[own], kind="temperature")
    head = train_version(train, calibration, extractor.sha256, info=INFO, recipe=RECIPE)
    scores = softmax(folders.logits * calibration[0] + calibration[1])
    figures = {
        name: both(f"version, {name}", scores[part], rows.rows(part))
        for name, part in {
            "folders": np.ones(len(rows), np.bool_),
            "chosen by": np.isin(rows.corpus, VERSION) & (rows.corpus != JUDGED_ALONE),
            "others": np.isin(rows.corpus, (*FOLDERS, JUDGED_ALONE)),
        }.items()
    }
    figures["elsewhere"] = elsewhere_answers(head, elsewhere)
    save(head, figures, out, OPEN)
    return figures


def unheard(train: Table, judged: Table) -> Iterator[tuple[BoolArray, BoolArray]]:
    """Yield what to learn from and what to judge: all research, then each free folder left out.

    MIR-1K's accompaniment is judged by none of the heads in this way: the others know its singers.
    """
    karaoke = (judged.corpus == "mir1k") & (judged.label == INSTRUMENTAL)
    yield np.ones(len(train), np.bool_), ~np.isin(judged.corpus, FREE) & ~karaoke
    for name in FREE:
        yield without(train.corpus, (name,)), judged.corpus == name


def genre(
    extractor: Extractor, free: list[Table], judged: dict[str, Taggrams], out: Path
) -> Figures:
    """Train and save the genre head; judge it with makers left out, and on all of GTZAN."""
    none, (table, names) = judged["inside"].rows(np.zeros(0, np.int64)), pieces(free)
    rows = genre_rows(none, None, (table, names), free[0])
    labels = np.array([GENRES.index(name) for name in names])
    logits = np.zeros((len(table), len(GENRES)))
    for maker in np.unique(table.corpus):
        own = table.corpus == maker
        logits[own] = fit_tags(rows.rows(rows.group != maker)).logits(table.msd.tags[own])
    weights = balanced(table.corpus, labels)
    scale, bias = fit_calibration(logits, labels, kind="temperature", row_weights=weights)
    model = fit_tags(rows)
    head = Head(
        task="genre",
        classes=GENRES,
        inputs=("msd.tags",),
        backbones=extractor.sha256,
        mean=model.mean.astype(np.float32),
        scale=model.scale.astype(np.float32),
        layers=((model.weight.astype(np.float32), model.bias.astype(np.float32)),),
        calibration_scale=scale.astype(np.float32),
        calibration_bias=bias.astype(np.float32),
        info=INFO
        | training_record(rows.tags, rows.targets, {"tag_logit": TAG_LOGIT, "l2": TAGS_L2})
        | {"versions": {"numpy": np.__version__}},
    )
    scores = softmax(logits * scale + bias)
    figures: Figures = {"outside": places("outside, maker left out", scores, labels, table)}
    for name, part in judged.items():
        ten = part.rows(ten_of_gtzan(part.genre) >= 0)
        figures[name] = eight(f"genre, {name}", head.scores_of_columns(ten.tags), ten)
    save(head, figures, out, OPEN)
    return figures


if __name__ == "__main__":
    main()

"""Learn AudioSet's labels from a song's embedding; the same data gives the same bytes.

    PYTHONPATH=scripts:benchmarks python scripts/train_labels.py MUSIC DATA --cache CACHE --out FILE
        [--page docs/labels.md]

MUSIC is a folder of unpacked packages, DATA the labelled corpora with the teacher (`label_data`).
A ridge regression maps the embedding of a window to the teacher's logits. Corpora are left out
whole, in six folds; a label is kept if at least `LEAST` of the variance of its logit is explained
there. Prints one JSON line with the file's SHA-256, which `audiorec.words.labels` has to state;
``--page`` writes the table of all labels.
"""

import argparse
import csv
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from label_data import Heard, hear, windows
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits

from audiorec.tagger.vectors import shipped_sound
from audiorec.tagger.weights import MSD, weights_path
from audiorec.types import BoolArray, Float64Array
from audiorec.words.labels import TAG, Labels

PENALTY = 1.5
FOLDS = 6
LEAST = 0.05  # of the variance explained
MIXED = "mixed"
PAGE = """What [find](find.md) can hear of AudioSet's {all} labels: the share of the variance of the
teacher's logit that a linear map of the store's `embedding` explains on corpora that were left out
whole, in six folds over {corpora} corpora and {windows} windows of ten seconds
(`scripts/train_labels.py MUSIC DATA --cache CACHE --out FILE --page docs/labels.md`). The {kept}
labels with {least} or more are kept, half of them with {median:.2f} or more. A figure says how well
the teacher is followed, not how often it is right."""


def prepared(heard: Heard) -> Float64Array:
    """Return the embeddings as the projection of sound prepares them: (n, 624)."""
    return shipped_sound().prepared(heard.embedding)


def regression(x: Float64Array, y: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the matrix and bias of a ridge regression."""
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    apart = x - mean_x
    inner = apart.T @ apart + PENALTY * np.eye(x.shape[1])
    matrix = np.linalg.solve(inner, apart.T @ (y - mean_y))
    return matrix, mean_y - mean_x @ matrix


def explained(heard: Heard) -> Float64Array:
    """Return the share of each label's variance that is explained on corpora left out: (527,)."""
    corpus = np.array([name.partition(":")[0] for name in heard.corpus])
    names = np.random.default_rng(0).permutation(sorted(set(corpus.tolist()) - {MIXED})).tolist()
    fold = np.array([names.index(name) % FOLDS if name != MIXED else -1 for name in corpus])
    x, y = prepared(heard), heard.logits.astype(np.float64)
    wrong = np.zeros(y.shape[1])
    for left_out in range(FOLDS):
        learnt = (fold >= 0) & (fold != left_out)  # a mix may hold what is left out
        matrix, bias = regression(x[learnt], y[learnt])
        wrong += np.square(y[fold == left_out] - x[fold == left_out] @ matrix - bias).sum(axis=0)
    plain = y[fold >= 0]
    found: Float64Array = 1 - wrong / (len(plain) * plain.var(axis=0))
    return found


def learn(heard: Heard, names: Sequence[str], kept: BoolArray) -> Labels:
    """Learn the labels that are kept; the tags of the network are its own last layer."""
    logits = heard.logits[:, kept].astype(np.float64)
    matrix, bias = regression(prepared(heard), logits)
    tag_matrix, tag_bias = _tags()
    tags = heard.embedding[:, : len(tag_matrix)] @ tag_matrix + tag_bias
    both = np.concatenate([logits, tags], axis=1)
    return Labels(
        names=(*np.array(names)[kept].tolist(), *(f"{TAG}{tag}" for tag in MSD.tags)),
        sound_sha256=shipped_sound().sha256,
        matrix=matrix.astype(np.float16).astype(np.float32),
        tags=tag_matrix.astype(np.float32),
        bias=np.concatenate([bias, tag_bias]).astype(np.float32),
        usual=both.mean(axis=0).astype(np.float32),
        spread=both.std(axis=0).astype(np.float32),
    )


def _tags() -> tuple[Float64Array, Float64Array]:
    """Return the last layer of the network: from the penultimate to the logits of its tags."""
    tensors = load_file(weights_path("msd"))
    matrix, bias = tensors["output.weight"], tensors["output.bias"]
    return matrix.T.astype(np.float64), bias.astype(np.float64)


def label_names(data: Path) -> list[str]:
    """Return the names of AudioSet's labels, in the teacher's order."""
    path = data / "backbones" / "efficientat_mn04" / "class_labels_indices.csv"
    with path.open(newline="") as file:
        return [row["display_name"] for row in csv.DictReader(file)]


def page(names: Sequence[str], said: Float64Array, corpora: int, windows: int) -> str:
    """Return the page of all labels, those that carry over best first."""
    kept = said >= LEAST
    rows = [
        f"| `{names[i]}` | {said[i]:.2f} | {'' if kept[i] else 'left out'} |"
        for i in np.argsort(-said, kind="stable").tolist()
    ]
    about = {"all": len(names), "corpora": corpora, "windows": f"{windows:,}", "least": LEAST}
    about |= {"kept": int(kept.sum()), "median": float(np.median(said[kept]))}
    text = textwrap.fill(PAGE.format(**about), 120, break_long_words=False, break_on_hyphens=False)
    table = ["| label | variance explained | |", "|---|---|---|", *rows]
    return "\n\n".join(["# Labels of sounds", text, "\n".join(table)]) + "\n"


def main() -> None:
    """Listen, learn, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("music", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    args = parser.parse_args()
    heard = hear(windows(args.music, args.data), args.data, args.cache)
    names = label_names(args.data)
    with threadpool_limits(1):  # sums in one order
        said = explained(heard)
        learnt = learn(heard, names, said >= LEAST)
    corpora = len({name.partition(":")[0] for name in heard.corpus} - {MIXED})
    if args.page:
        args.page.write_text(page(names, said, corpora, int((heard.corpus != MIXED).sum())))
    line = {
        "windows": len(heard.corpus),
        "corpora": corpora,
        "kept": int((said >= LEAST).sum()),
        "median_explained": round(float(np.median(said)), 3),
        "median_explained_kept": round(float(np.median(said[said >= LEAST])), 3),
        "sha256": learnt.save(args.out),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()

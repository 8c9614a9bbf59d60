"""Learn AudioSet's labels from a song's embedding; the same data gives the same bytes.

    PYTHONPATH=benchmarks/sound python scripts/heads/train_labels.py MUSIC DATA \
        --cache CACHE --out FILE [--page docs/benchmarks/labels.md] [--free]

MUSIC is a folder of unpacked packages, DATA the labelled corpora with the teacher (`label_data`).
A regression on a radial kernel maps the embedding of a window to the teacher's logits; its matrices
have few columns and are stored as 8-bit integers. Corpora are left out whole, in six folds; a label
is kept if at least `LEAST` of the variance of its logit is explained there. Prints one JSON line
with the file's SHA-256, which `audiorec.words.labels` has to state; ``--page`` writes the page
and table of all labels; ``--free`` learns from audio that anybody may use alone.
"""

import argparse
import csv
import io
import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from label_data import Heard, all_free, hear, windows
from safetensors.numpy import load_file
from scipy.cluster.vq import kmeans2
from threadpoolctl import threadpool_limits

from audiorec.tagger.vectors import shipped_sound
from audiorec.tagger.weights import MSD, weights_path
from audiorec.types import BoolArray, Float64Array, FloatArray
from audiorec.words.labels import PACKED, TAG, Labels, nearness, packed

NARROW, CENTRES, RANK = 128, 768, 96  # numbers of a place, kinds of sound, numbers for labels
WIDTH = 0.7  # of the kernel, in median distances
PENALTY = 0.3
PAIRS, ROUNDS, SMALL = 4000, 15, 1e-4
FOLDS = 6
LEAST = 0.05  # of the variance explained
MIXED = "mixed"
PAGE = """What [find](../find.md) can hear of AudioSet's {all} labels: the share of the variance of
the teacher's logit that is explained from the store's `embedding` on corpora that were
left out whole, in six folds over {corpora} corpora and {windows} windows of ten seconds
(`scripts/heads/train_labels.py MUSIC DATA --cache CACHE --out FILE --page
docs/benchmarks/labels.md`). The {kept} labels with {least} or more are kept, half of them
with {median:.2f} or more. A figure says how well the teacher is followed, not how often
it is right."""


def prepared(heard: Heard) -> Float64Array:
    """Return the embeddings as the projection of sound prepares them: (n, 624)."""
    return shipped_sound().prepared(heard.embedding, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learnt:
    """What leads from prepared embeddings to logits in deviations, as `Labels` has it."""

    narrow: Float64Array
    centres: Float64Array
    inner: Float64Array
    outer: Float64Array
    offset: Float64Array

    def of(self, x: Float64Array) -> Float64Array:
        """Return the logits of prepared embeddings, in deviations: (n, L)."""
        return nearness(x @ self.narrow, self.centres) @ self.inner @ self.outer + self.offset


def regression(x: Float64Array, y: Float64Array) -> Learnt:
    """Regress on how near prepared embeddings x lie to some of them.

    Each matrix is rounded as it is stored before the next one is learnt.
    """
    narrow = rounded(np.linalg.eigh(x.T @ x)[1][:, ::-1][:, :NARROW])
    rng = np.random.default_rng(0)
    one, other = x[rng.choice(len(x), (2, PAIRS))] @ narrow
    narrow /= WIDTH * np.median(np.linalg.norm(one - other, axis=1))
    found, _ = kmeans2(x @ narrow, CENTRES, iter=ROUNDS, minit="points", rng=rng)
    centres = rounded(found)
    near = nearness(x @ narrow, centres)
    usual, apart = near.mean(axis=0), near - near.mean(axis=0)
    inside = apart.T @ apart + PENALTY * nearness(centres, centres) + SMALL * np.eye(CENTRES)
    full = np.linalg.solve(inside, apart.T @ y)
    said = apart @ full
    directions = np.linalg.eigh(said.T @ said)[1][:, ::-1][:, :RANK]
    inner = rounded(full @ directions)
    outer = rounded(np.linalg.lstsq(apart @ inner, said, rcond=None)[0])
    offset = y.mean(axis=0) - usual @ inner @ outer
    return Learnt(narrow=narrow, centres=centres, inner=inner, outer=outer, offset=offset)


def rounded(matrix: Float64Array) -> Float64Array:
    """Return a matrix as it is read back from a file of `Labels`."""
    whole, scale = packed(matrix)
    return whole * scale.astype(np.float64)


def explained(heard: Heard) -> Float64Array:
    """Return the share of each label's variance that is explained on corpora left out: (527,)."""
    corpus = np.array([name.partition(":")[0] for name in heard.corpus])
    names = np.random.default_rng(0).permutation(sorted(set(corpus.tolist()) - {MIXED})).tolist()
    fold = np.array([names.index(name) % FOLDS if name != MIXED else -1 for name in corpus])
    x, y = prepared(heard), deviations(heard.logits)
    wrong = np.zeros(y.shape[1])
    for left_out in range(FOLDS):
        learnt = (fold >= 0) & (fold != left_out)  # a mix may hold what is left out
        of = regression(x[learnt], y[learnt]).of(x[fold == left_out])
        wrong += np.square(y[fold == left_out] - of).sum(axis=0)
    plain = y[fold >= 0]
    found: Float64Array = 1 - wrong / (len(plain) * plain.var(axis=0))
    return found


def deviations(values: FloatArray | Float64Array) -> Float64Array:
    """Return values (n, L) less their mean, over their deviation."""
    exact = values.astype(np.float64)
    return (exact - exact.mean(axis=0)) / exact.std(axis=0)


def learn(heard: Heard, names: Sequence[str], kept: BoolArray) -> Labels:
    """Learn the labels that are kept; the tags of the network are its own last layer."""
    learnt = regression(prepared(heard), deviations(heard.logits[:, kept]))
    tag_matrix, tag_bias = _tags()
    tags = heard.embedding[:, : len(tag_matrix)] @ tag_matrix + tag_bias
    usual, spread = tags.mean(axis=0), tags.std(axis=0)
    exact = {name: getattr(learnt, name) for name in PACKED}
    exact["tags"] = (tag_matrix / spread).astype(np.float16)
    exact["offset"] = np.concatenate([learnt.offset, (tag_bias - usual) / spread])
    return Labels(
        names=(*np.array(names)[kept].tolist(), *(f"{TAG}{tag}" for tag in MSD.tags)),
        sound_sha256=shipped_sound().sha256,
        **{name: values.astype(np.float32) for name, values in exact.items()},
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
    """Return the page of the labels."""
    kept = said >= LEAST
    about = {"all": len(names), "corpora": corpora, "windows": f"{windows:,}", "least": LEAST}
    about |= {"kept": int(kept.sum()), "median": float(np.median(said[kept]))}
    text = textwrap.fill(PAGE.format(**about), 120, break_long_words=False, break_on_hyphens=False)
    return f"# Labels of sounds\n\n{text}\n\n[labels.csv](labels.csv) has every label.\n"


def table(names: Sequence[str], said: Float64Array) -> str:
    """Return the CSV of all labels, those that carry over best first."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(("label", "variance_explained", "kept"))
    for i in np.argsort(-said, kind="stable").tolist():
        write((names[i], f"{said[i]:.2f}", "yes" if said[i] >= LEAST else "no"))
    return out.getvalue()


def main() -> None:
    """Listen, learn, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("music", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--free", action="store_true")
    args = parser.parse_args()
    heard = hear(windows(args.music, args.data), args.data, args.cache)
    heard = heard.take(all_free(heard, args.data)) if args.free else heard
    names = label_names(args.data)
    with threadpool_limits(1):  # sums in one order
        said = explained(heard)
        learnt = learn(heard, names, said >= LEAST)
    corpora = len({name.partition(":")[0] for name in heard.corpus} - {MIXED})
    if args.page:
        args.page.write_text(page(names, said, corpora, int((heard.corpus != MIXED).sum())))
        args.page.with_suffix(".csv").write_text(table(names, said))
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

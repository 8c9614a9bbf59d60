"""Learn what words mean from captions; the same captions give the same bytes.

    python scripts/heads/train_words.py CAPTIONS NAMES --out FILE

CAPTIONS is MusicCaps (``musiccaps.csv``, CC BY-SA 4.0), NAMES the table of AudioSet's labels
(``class_labels_indices.csv``). Of each word and pair of words that `LEAST` captions have, the file
holds how much more often its captions have each label than others do: the logarithm of the ratio,
shrunk towards 0 by `SHRINKAGE` captions, where the difference is `SURE` standard errors; the
`MOST` largest of a row, of length 1. What follows "no" or "without" does not count. Prints one JSON
line with the file's SHA-256, which `audiorec.words.vocabulary` has to state. The file stands under
the licence of the captions.
"""

import argparse
import ast
import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from audiorec.types import Float64Array, Int64Array
from audiorec.words.labels import shipped_labels
from audiorec.words.vocabulary import CAPTIONS_KEY, Phrase, key, tokens

LEAST, SHRINKAGE, SURE, MOST = 8, 12.0, 3.0, 10
DENIALS = {"no", "without", "not"}
DENIED = 3  # words after a denial
COMMON = 0.4  # a label that more clips have says nothing: Music, Musical instrument


def phrases_of(text: str) -> set[Phrase]:
    """Return the words and pairs of words of a caption."""
    found: set[Phrase] = set()
    before, skip = "", 0
    for word in tokens(text):
        if word in DENIALS:
            skip = DENIED + 1
        skip = 0 if word in ".;:" else max(0, skip - 1)
        if skip or not word[0].isalnum():
            before = ""
            continue
        found.add(key([word]))
        if before:
            found.add(key([before, word]))
        before = word
    return found


def clips(path: Path, names: dict[str, str]) -> Iterator[tuple[set[Phrase], set[str]]]:
    """Yield phrases and labels of each clip."""
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            text = ". ".join([row["caption"], *ast.literal_eval(row["aspect_list"])])
            labels = {names[mid] for mid in row["audioset_positive_labels"].split(",")}
            yield phrases_of(text), labels


def weights(
    counts: Float64Array, sizes: Float64Array, share: Float64Array
) -> tuple[Int64Array, Float64Array]:
    """Return which labels each phrase has, and their weights, both (n, `MOST`).

    Given are how many of each phrase's clips have each label, how many clips it has, and the share
    of all clips that have each label.
    """
    expected = sizes[:, None] * share
    ratio = np.log((counts + SHRINKAGE * share) / (expected + SHRINKAGE * share))
    error = np.sqrt(expected * (1 - share)) + 1e-9
    sure = (np.abs(counts - expected) > SURE * error) & (np.maximum(counts, expected) >= 5)
    found = np.where(sure, ratio, 0.0)
    which = np.argsort(-np.abs(found), axis=1, kind="stable")[:, :MOST]
    largest = np.take_along_axis(found, which, axis=1)
    length = np.sqrt(np.square(largest).sum(axis=1, keepdims=True))
    return which, largest / np.maximum(length, 1e-9)


def main() -> None:
    """Read, count, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("captions", type=Path)
    parser.add_argument("names", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    with args.names.open(newline="") as file:
        names = {row["mid"]: row["display_name"] for row in csv.DictReader(file)}
    read = list(clips(args.captions, names))
    labels = [name for name in shipped_labels().names if name in set(names.values())]
    has = np.array([[name in own for name in labels] for _, own in read], np.float64)
    share = has.mean(axis=0)
    usable = (share > 0) & (share < COMMON)
    often = Counter(phrase for own, _ in read for phrase in own)
    phrases = sorted(phrase for phrase, count in often.items() if count >= LEAST)
    place = {phrase: i for i, phrase in enumerate(phrases)}
    counts = np.zeros((len(phrases), len(labels)))
    for (own, _), row in zip(read, has, strict=True):
        counts[[place[phrase] for phrase in own if phrase in place]] += row
    sizes = np.array([often[phrase] for phrase in phrases], np.float64)
    which, found = weights(counts[:, usable], sizes, share[usable])
    told = np.flatnonzero(found.any(axis=1))
    about = {
        "phrases": [" ".join(phrases[i]) for i in told.tolist()],
        "labels": np.array(labels)[usable].tolist(),
    }
    content = save(
        {"weights": found[told].astype(np.float16), "which": which[told].astype(np.int16)},
        {CAPTIONS_KEY: json.dumps(about, sort_keys=True)},
    )
    args.out.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    print(json.dumps({"captions": len(read), "phrases": len(told), "sha256": sha256}))


if __name__ == "__main__":
    main()

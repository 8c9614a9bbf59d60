"""Judge the words strong, some and weak: how many of the answers that are called so fit.

    python -m benchmarks eval_strength DATA --work WORK

DATA holds the labelled corpora; WORK has, or gets, the pool of `eval_find` and its stores. The
curves of `audiorec.words.strength` were fitted to the sentences that served building and every
other song (``fit``), with sounds that the library lacks; ``told`` are the other sentences among the
other songs, ten answers each, with and without the genre head, which knows GTZAN. One JSON line a
half and word: how many answers, the share that fits with a 95 % bootstrap interval over answers,
and the curves that a fit gives today (``--fit``).
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from eval_find import Pool, WithoutGenre, interval, sentences
from find_pool import GTZAN, clips_of_pool, write_pool
from scipy.optimize import minimize

from audiorec.extraction.run import extract
from audiorec.search.bars import word
from audiorec.search.questions import Choice
from audiorec.types import BoolArray
from audiorec.words.find import scored, understood
from audiorec.words.hearing import Hearing
from audiorec.words.sentence import read_sentence
from audiorec.words.strength import CURVE, IN_PARTS, level, together

K = 10
ABSENT = {  # of GTZAN's clips
    "fit": (
        "sitar", "erhu", "didgeridoo", "gregorian chant", "church bells", "theremin", "ukulele",
        "children singing", "yodeling", "rain", "bagpipes", "opera", "techno", "beatboxing",
    ),
    "told": (
        "a cappella choir", "accordion", "harp", "古筝", "steelpan", "gamelan", "dog barking",
        "tabla", "trance", "dubstep", "marching band", "thunder", "mandolin",
    ),
}  # fmt: skip
Clause = tuple[str, bool, float]  # its kind, whether it is denied, how much is heard
Answer = tuple[list[Clause], bool]  # and whether it fits
Curves = Sequence[tuple[float, ...]]  # of concepts, and of those that are heard in parts


def answers(text: str, pool: Pool, hearing: Hearing, right: BoolArray, odd: int) -> list[Answer]:
    """Return the first ten songs of every other row: what is heard of terms, whether they fit."""
    sentence = read_sentence(text)
    terms = understood(sentence, hearing)
    if not terms:
        return []
    also = ("non-music",) if sentence.sounds else ()
    allowed = pool.library.chosen(Choice(also=also)).allowed & (np.arange(len(right)) % 2 == odd)
    order = np.argsort(-scored(terms, hearing).sum(axis=0), kind="stable")
    rows = order[allowed[order]][:K]
    clear = [one for one in terms if one.term.weight == 1]
    heard = [(one.term, level(hearing, one.ways, rows)) for one in clear]
    heard = [(term, levels) for term, levels in heard if np.isfinite(levels).all()]
    said = [[(t.kind, t.denied, float(of[i])) for t, of in heard] for i in range(len(rows))]
    return [(clauses, bool(right[row])) for clauses, row in zip(said, rows, strict=True) if clauses]


def told(half: str, pools: dict[str, Pool], odd: int) -> list[Answer]:
    """Return the answers to the sentences of a half, with and without the genre head."""
    result = []
    for kind in (Hearing, WithoutGenre):
        hears = {name: kind(pool.library) for name, pool in pools.items()}
        for one in sentences(half):
            pool = pools[one.pool]
            result += answers(one.text, pool, hears[one.pool], pool.among(one.right), odd)
    return result


def absent(texts: Sequence[str], pool: Pool) -> list[Answer]:
    """Return the answers to what no song is, of all rows."""
    none, hearing = np.zeros(len(pool.what), np.bool_), Hearing(pool.library)
    return [one for t in texts for odd in (0, 1) for one in answers(t, pool, hearing, none, odd)]


def probability(clauses: Sequence[Clause], curves: Curves) -> float:
    """Return how likely an answer fits, as `audiorec.words.find.strengths_of` says it."""
    likely = []
    for kind, denied, much in clauses:
        steep, half = curves[1] if kind in IN_PARTS else curves[0]
        one = 1 / (1 + np.exp(-steep * (much - half)))
        likely.append(np.array([1 - one if denied else one]))
    return float(together(likely)[0])


def fitted(learnt: Sequence[Answer]) -> list[float]:
    """Return the two curves with the smallest mean log loss."""

    def loss(numbers: npt.NDArray[np.floating]) -> float:
        curves = (tuple(numbers[:2]), tuple(numbers[2:]))
        p = np.clip([probability(clauses, curves) for clauses, _ in learnt], 0.01, 0.99)
        return float(-np.mean(np.log(np.where([fits for _, fits in learnt], p, 1 - p))))

    found = minimize(loss, [*CURVE, *IN_PARTS["use"]], method="Nelder-Mead")
    return [round(float(one), 2) for one in found.x]


def report(name: str, judged: Sequence[Answer]) -> None:
    """Print how many answers there are of each word, and how many of them fit."""
    curves = (CURVE, IN_PARTS["use"])
    words = np.array([word(probability(clauses, curves)) for clauses, _ in judged])
    fits = np.array([fits for _, fits in judged], float)
    for one in ("strong", "some", "weak"):
        of = fits[words == one]
        line = {"answers": name, "word": one, "count": len(of)}
        line |= {"fit": round(float(of.mean()), 3), "interval": interval(of)} if len(of) else {}
        print(json.dumps(line))


def main() -> None:
    """Prepare the pool, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--fit", action="store_true", help="print the curves of a new fit as well")
    args = parser.parse_args()
    clips = clips_of_pool(args.data)
    write_pool(clips, args.work / "pool")
    what = {name: clip.what for clip in clips for name in (clip.name, clip.name.split("/", 1)[1])}
    pools = {}
    for name, songs in ((GTZAN, args.work / "pool" / GTZAN), ("kinds", args.work / "pool")):
        store = args.work / f"{name}.parquet"
        if not store.exists():
            extract([songs], out=store)
        pools[name] = Pool(store, what)
    learnt = told("build", pools, odd=0)
    missing = {part: absent(texts, pools[GTZAN]) for part, texts in ABSENT.items()}
    if args.fit:
        print(json.dumps({"curves": fitted([*learnt, *missing["fit"]])}))
    report("fit", learnt)
    report("fit, absent", missing["fit"])
    report("told", told("once", pools, odd=1))
    report("told, absent", missing["told"])


if __name__ == "__main__":
    main()

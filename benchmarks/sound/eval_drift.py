"""How often the warnings of a run are wrong, and what they see.

    python -m benchmarks eval_drift [--data DATA] [--draws 200]

Two runs are drawn again and again, and the share of draws with a warning is printed with its 95 %
interval (Wilson). Made up: ten genres, softmax of normal logits, three more for a song's genre;
songs stand alone, or ten to an album, which share their logits but for a little. ``same`` draws
both runs alike: every warning is false. Failures: songs that fail one by one, at a usual share and
at another. Real, with ``--data`` in place of what is made up: the published tag scores of GTZAN's
443 training tracks through the genre head; each run draws 1,000 times one of the 125 artists, with
all tracks (``same``), the second without a genre or half of them. GTZAN has no albums: an artist
counts as one. One JSON line a figure.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiorec.runs.record import JobRun, run_warnings
from audiorec.runs.report import LARGE, ScoreDistribution, drifts

GENRES = 10
DRAWN = 1000  # artists of a run
SIZES = (60, 200, 1000, 5000)
CHANGES = {  # shares of the first genre; 1 / how sure the scores are; songs an album
    "same": (0.1, 1.0, 1),
    "same, albums of ten": (0.1, 1.0, 10),
    "a genre twice as often": (0.2, 1.0, 1),
    "a genre four times as often": (0.4, 1.0, 1),
    "a genre four times as often, albums of ten": (0.4, 1.0, 10),
    "scores less sure (logits / 1.5)": (0.1, 1.5, 1),
}
FAILURES = [(1000, 0.005, 0.005), (1000, 0.005, 0.02), (200, 0.005, 0.005), (200, 0.005, 0.05),
            (200, 0.05, 0.05), (200, 0.05, 0.15)]  # fmt: skip
Draw = Callable[[np.random.Generator], "tuple[ScoreDistribution, ScoreDistribution]"]
Scores = npt.NDArray[np.float64]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the folder with gtzan/")
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    if options.data is not None:
        real(options.data, options.draws)
        return
    for size in SIZES:
        for name, (share, unsure, album) in CHANGES.items():

            def draw(
                rng: np.random.Generator,
                n: int = size,
                now: tuple[float, float, int] = (share, unsure, album),
            ) -> tuple[ScoreDistribution, ScoreDistribution]:
                return made(n, rng, 0.1, 1.0, now[2]), made(n, rng, *now)

            report({"scores": "made up", "songs": size, "what": name}, draw, options.draws)
    for opened, usual, share in FAILURES:
        count = sum(warned(opened, usual, share, seed) for seed in range(options.draws))
        about = {"failures": f"{usual:.1%} before, {share:.1%} now", "songs": opened}
        print(json.dumps({**about, **shared(count, options.draws)}))


def made(
    n: int, rng: np.random.Generator, share: float, unsure: float, album: int
) -> ScoreDistribution:
    """Return the scores of songs that are made up."""
    shares = np.full(GENRES, (1 - share) / (GENRES - 1))
    shares[0] = share
    albums = -(-n // album)
    logits = rng.normal(size=(albums, GENRES))
    logits[np.arange(albums), rng.choice(GENRES, size=albums, p=shares)] += 3
    logits = np.repeat(logits, album, axis=0)[:n]
    if album > 1:
        logits += rng.normal(scale=0.3, size=logits.shape)
    return distribution(softmax(logits / unsure), np.arange(n) // album)


def softmax(logits: Scores) -> Scores:
    """Return scores that sum to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Scores = powers / powers.sum(axis=1, keepdims=True)
    return found


def distribution(scores: Scores, group: npt.NDArray[np.int64]) -> ScoreDistribution:
    """Return the distribution of songs in groups."""
    found = ScoreDistribution()
    for row, of in zip(scores.tolist(), group.tolist(), strict=True):
        found.add({f"genre/{i}": score for i, score in enumerate(row)}, album=str(of))
    return found


def warned(opened: int, usual: float, share: float, seed: int) -> bool:
    """Return whether a run with this share of failures is warned of after one of the usual."""
    rng = np.random.default_rng(seed)
    runs = [
        JobRun(
            run_id="",
            job="extract",
            output="",
            started_at="2026-01-01T00:00:00",
            ended_at="",
            exit_code=3,
            counts={"opened": opened, "failed": int(rng.binomial(opened, p))},
        )
        for p in (usual, share)
    ]
    return bool(run_warnings(runs[1], runs[:1]))


def report(about: dict[str, object], draw: Draw, draws: int) -> None:
    """Print how often a draw is a warning, and the usual largest PSI."""
    alarms, largest = 0, []
    for seed in range(draws):
        found = drifts(*draw(np.random.default_rng(seed)))
        alarms += any(one.is_drift for one in found)
        largest.append(found[0].psi if found else 0.0)
    figures = {"psi_median": round(float(np.median(largest)), 3), "large": LARGE}
    print(json.dumps({**about, **figures, **shared(alarms, draws)}), flush=True)


def shared(count: int, draws: int) -> dict[str, object]:
    """Return a share with its 95 % interval."""
    z, p = 1.96, count / draws
    middle = (p + z**2 / (2 * draws)) / (1 + z**2 / draws)
    half = z / (1 + z**2 / draws) * np.sqrt(p * (1 - p) / draws + z**2 / (4 * draws**2))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return {"warned": [round(low, 3), round(p, 3), round(high, 3)], "draws": draws}


def real(data: Path, draws: int) -> None:
    """Print the figures of GTZAN's training tracks."""
    from head_gtzan import GTZAN_GENRES, load_taggrams

    from audiorec.tagger.heads import Head, shipped_head

    tracks = load_taggrams(data, "train", phases=1)
    head = Head.load(shipped_head("genre"))
    rows = head.scores_of_columns(tracks.tags)
    names, first = np.unique(tracks.series, return_index=True)
    scores = np.array([rows[tracks.series == name].mean(axis=0) for name in names])
    artists, artist = np.unique(tracks.artist[first], return_inverse=True)
    genre = tracks.genre[first]

    def drawn(rng: np.random.Generator, gone: tuple[int, ...]) -> ScoreDistribution:
        chosen = [
            np.flatnonzero(artist == one) for one in rng.integers(artist.max() + 1, size=DRAWN)
        ]
        songs = np.concatenate(chosen)
        of = np.repeat(np.arange(DRAWN), [len(one) for one in chosen])
        kept = ~np.isin(genre[songs], gone)
        return distribution(scores[songs[kept]], of[kept])

    first_half = tuple(range(len(GTZAN_GENRES) // 2))
    for gone in ((), first_half, *((n,) for n in range(len(GTZAN_GENRES)))):
        named = ", ".join(GTZAN_GENRES[n] for n in gone)
        about: dict[str, object] = {"scores": "GTZAN", "songs": DRAWN * len(names) // len(artists)}
        about["what"] = f"without {named}" if gone else "same"
        report(about, lambda rng, gone=gone: (drawn(rng, ()), drawn(rng, gone)), draws)


if __name__ == "__main__":
    main()

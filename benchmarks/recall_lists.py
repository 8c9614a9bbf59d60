"""Whole playlists, recommended to whoever made half of one: on the lists of a real curator.

    python benchmarks/recall_lists.py DATA [--least 20] [--most 500]

Of every playlist half of the songs, drawn by seed, are somebody's plays; the other half stays a
playlist among all others, and is the wanted one. Near-copies of a list (`list_groups`) lose the
same songs, and any of them is wanted. Channels are fitted to what stays; a list is ranked by the
songs that a channel proposes and by those that are known (`ListRanking`). Beside it: known songs
alone, and the lists with most songs that many lists have. DATA holds ``hari_playlists/``.

Prints, for each channel, the share of people whose wanted list is first, among the first ten, and
the mean reciprocal rank; with intervals of 95 % over groups of near-copies.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from table import tables

from audiorec.evaluation.full_rank import clustered_interval
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.judging.splits import list_groups
from audiorec.recall.registry import channel_class
from audiorec.recall.serving.playlists import FLATNESS, ListRanking

CHANNELS = ("popular", "item-knn", "vs-knn", "rules", "als")
DEPTH = 200
SHARE = 0.5


def lists_of(data: Path, least: int, most: int) -> Sequences:
    """Return the playlists of so many different songs; a few of thousands hold most others."""
    lines = (data / "hari_playlists" / "playlists.tsv").read_text().splitlines()
    rows = [(name, list(dict.fromkeys(songs.split()))) for name, songs in
            (line.split("\t") for line in lines)]  # fmt: skip
    kept = [(name, songs) for name, songs in rows if least <= len(songs) <= most]
    return Sequences.from_lists([songs for _, songs in kept], [name for name, _ in kept])


def main() -> None:
    """Read the arguments, rank the lists by each channel, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--least", type=int, default=20)
    parser.add_argument("--most", type=int, default=500)
    of = parser.parse_args()
    lists = lists_of(of.data, of.least, of.most)
    group = list_groups(lists)
    n = len(lists.song_ids)
    key = group[lists.owner] * n + lists.song
    entries, place = np.unique(key, return_inverse=True)
    hidden = (np.random.default_rng(0).random(len(entries)) < SHARE)[place]
    rest, plays = lists.keep(~hidden), lists.keep(hidden)
    there = np.flatnonzero((rest.lengths > 0) & (plays.lengths > 0))
    ranking = ListRanking(rest)
    asked = plays.take(there)
    known = ranking.songs_of(
        asked.owner, [asked.song_ids[s] for s in asked.song], np.ones(len(asked.song)), len(asked)
    )
    nothing = known * 0
    common = np.bincount(rest.song, minlength=n)
    liked = np.bincount(rest.owner, common[rest.song], len(rest)) / np.sqrt(ranking.sizes + 10)
    found = {"most common songs": np.tile(np.argsort(-liked, kind="stable"), (len(asked), 1))}
    found["known songs alone"] = ranking.best(nothing, known, len(rest))[0]
    for name in CHANNELS:
        channel = channel_class(name)().fit(RecallData(rest))
        made = channel.recall(Queries(asked), DEPTH, exclude=asked)
        owner, rank = np.nonzero(made.song >= 0)
        songs = [made.song_ids[s] for s in made.song[owner, rank]]
        proposed = ranking.songs_of(owner, songs, 1 / (FLATNESS + rank + 1), len(asked))
        found[name] = ranking.best(proposed, known, len(rest))[0]
    lines = []
    for name, order in found.items():
        hit = (group[order] == group[there][:, None]) & (order >= 0)
        rank = np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, np.inf)
        values = {"hit@1": rank == 1, "hit@10": rank <= 10, "mrr": 1 / rank}
        shown = {
            measure: str(
                clustered_interval(v.astype(float), group[there], np.random.default_rng(0))
            )
            for measure, v in values.items()
        }
        lines.append(
            json.dumps({"ranked_by": name, "people": len(asked), "lists": len(rest), **shown})
        )
        print(lines[-1], flush=True)
    print("\n".join(tables(lines)))


if __name__ == "__main__":
    main()

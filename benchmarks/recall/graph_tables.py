"""Song2vec with the graph beside what stands against it: the tables of docs/benchmarks/graph.md.

    python -m benchmarks graph_tables run   ROW ... --data DATA --cache DIR [--seeds 5]
    python -m benchmarks graph_tables table --data DATA --cache DIR

===================  =======================================================================
``gamma=1``          Song2vec with any gamma, and other settings;
                     ``gamma=1,words=true``: with the words of the titles as facts
``eges``             or another channel, with settings: ``graphsage,max_epochs=40``
``artist``           gamma 0, new songs at the mean of their artist's others, by cosines
``artist-both``      the same by all that gamma 0 answers with, vectors and contexts
``artist-1``         the same in the vectors and contexts of gamma 1, without its relations
``gensim``           from what `graph_peers.py` writes into DIR; contexts with the mean vector
``gensim-cosine``    the same by cosines
``pykeen``           TransE of lists and artists, from what `graph_peers.py` writes: by the
                     relation; ``pykeen-cosine``: by cosines with the mean of the list's songs
===================  =======================================================================

A fifth of each of 244 playlists is hidden, near-copies together; facts are (song, by, artist), from
the names of the tracks. Each model of the graph chooses its number of epochs on validation lists
of its own and learns everything for as many (``choose=false``: as its recipe says). Figures are
capped recall: the share found, of min(k, hidden). Every run is kept in DIR, so that what was
stopped goes on. Strata, by the lists that a hidden song stands in:

=========  ===========================================================================
joint      all hidden songs among all songs
apart      all hidden songs among those of some list: what `recall` proposes without ``cold``
warm       songs of two lists or more, among themselves; so are ``one`` and ``never``
=========  ===========================================================================
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from recall_tables import playlists

from audiorec.evaluation.ranking import clustered_interval, mean_ranks
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import Triples
from audiorec.recall.contract.data import Context, Queries, RecallData
from audiorec.recall.graph.facts import joined, title_facts, triples_from_rows
from audiorec.recall.graph.song_vectors import SongVectors
from audiorec.recall.judging.splits import JudgingSplit, split
from audiorec.recall.registry import channel_class
from audiorec.types import normalised_name

KS = (10, 100)
POOLS = ("joint", "apart", "warm", "one", "never")
PEERS = ("gensim", "pykeen")
RIVALS = ("eges", "graphsage", "pykeen", "pykeen-cosine")


def graph_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser of the arguments that all tables of the graph share."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="The first seed.")
    choosing = "Hide a fifth of what is left, and judge by that: what settings are chosen by."
    parser.add_argument("--choosing", action="store_true", help=choosing)
    return parser


def parsed_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the arguments; figures for choosing have a cache of their own."""
    args = parser.parse_args()
    args.cache = args.cache / "choosing" if args.choosing else args.cache
    args.cache.mkdir(parents=True, exist_ok=True)
    return args


def main() -> None:
    """Read the arguments, run or print."""
    parser = graph_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    args = parsed_arguments(parser)
    if args.what == "table":
        print_table(args.cache)
        return
    lists = whole(args.data)
    for seed in range(args.first, args.first + args.seeds):
        for row in args.rows:
            path = args.cache / f"{row}-{seed}.npz"
            if not path.exists():
                cut = split(lists, "lists", seed=seed)
                cut = split(cut.learn, "lists", seed=seed) if args.choosing else cut
                run(row, cut, seed, args, path)


def whole(data: Path) -> Sequences:
    """Return the lists uncut."""
    cut = playlists(data).cut
    shown, hidden = cut.learn, cut.wanted.among(cut.learn.song_ids)
    place = {name: at for at, name in enumerate(hidden.owner_ids)}
    found = []
    for at, name in enumerate(shown.owner_ids):
        own = shown[at].tolist() + (hidden[place[name]].tolist() if name in place else [])
        found.append([shown.song_ids[s] for s in own])
    return Sequences.from_lists(found, shown.owner_ids)


def names_of(data: Path) -> Iterator[tuple[str, str, str]]:
    """Yield each track with the names of its artists and its title, where these are known."""
    for line in (data / "hari_playlists" / "tracks.tsv").open(encoding="utf-8"):
        track, _, name = line.rstrip("\n").partition("\t")
        artists, dash, title = name.partition(" - ")
        if dash:
            yield track, artists, title


def artists_of(data: Path) -> dict[str, list[str]]:
    """Return the artists of each track, by plain names."""
    named = ((track, artists.split(",")) for track, artists, _ in names_of(data))
    return {track: list(dict.fromkeys(normalised_name(a) for a in own)) for track, own in named}


def facts_of(data: Path, song_ids: tuple[str, ...], *, words: bool = False) -> Triples:
    """Return whose the songs are; with `words` also what titles say."""
    artists = artists_of(data)
    pairs = [(song, artist) for song in song_ids for artist in artists.get(song, ())]
    heads, tails = [f"song:{s}" for s, _ in pairs], [f"artist:{a}" for _, a in pairs]
    by = triples_from_rows(heads, ["by"] * len(heads), tails)
    titles = {track: title for track, _, title in names_of(data)} if words else {}
    return joined([by, title_facts(song_ids, [titles.get(s) for s in song_ids])])


def run(row: str, cut: JudgingSplit, seed: int, args: argparse.Namespace, path: Path) -> None:
    """Train one row on one split, and keep what it finds of every list."""
    learn = cut.learn
    name, settings = settings_of(row)
    words = bool(settings.pop("words", False))
    told: dict[str, object] = {}
    began = time.process_time()
    if name.startswith("artist"):
        similar, song_ids = by_artist(name, cut, args, seed), learn.song_ids
    elif name.partition("-")[0] in PEERS:
        similar, song_ids = of_peer(name, cut, args, seed), learn.song_ids
    else:
        kind: Any = channel_class(name)
        graph = name in ("song2vec", "eges", "graphsage")
        recipe = {"seed": seed, **settings} if graph else settings
        channel = kind(kind.Recipe(**recipe)) if recipe else kind()
        triples = facts_of(args.data, learn.song_ids, words=words) if graph else None
        data, clock = RecallData(learn, (), Context(triples=triples)), Clock()
        began = time.process_time()
        channel.fit(data, progress=clock if graph else None)
        told = {"cpu": time.process_time() - began, **clock.told(channel)}
        similar = np.concatenate(list(channel.blocks(Queries(cut.histories))))
        song_ids = channel.song_ids
        if graph:
            places = channel.song_vectors
            kept = {n: getattr(places, n) for n in ("ahead", "behind", "has_place", "parts")}
            np.savez(args.cache / f"places-{row}-{seed}.npz", **kept)
    peer = args.cache / f"peer-{name.partition('-')[0]}-{seed}.npz"
    if peer.exists():
        told = {"cpu": float(np.load(peer)["cpu"])}
    found = strata(similar, cut, song_ids)
    told = {"cpu": time.process_time() - began, "epochs": 0, "choosing": 0.0, **told}
    np.savez(path, cluster=cut.cluster, **told, **found)
    shown = {n: round(100 * float(np.nanmean(v)), 1) for n, v in found.items()}
    cost = f"{told['cpu']:.1f} CPU-s, {told['epochs']} epochs"
    print(row, seed, cost, json.dumps(shown), flush=True)


class Clock:
    """Hears the lines of a training: what choosing the number of epochs cost, and its curve."""

    def __init__(self) -> None:
        self.began = self.chosen = time.process_time()
        self.curve: list[float] = []

    def __call__(self, line: dict[str, object]) -> None:
        """Hear a line."""
        if "held_out_recall" in line:
            self.chosen = time.process_time()
            self.curve.append(float(line["held_out_recall"]))  # type: ignore[arg-type]

    def told(self, channel: object) -> dict[str, object]:
        """Return what is kept of it."""
        trained = getattr(channel, "trained", None)
        epochs = 0 if trained is None else trained.epochs
        return {"choosing": self.chosen - self.began, "curve": self.curve, "epochs": epochs}


def settings_of(row: str) -> tuple[str, dict[str, object]]:
    """Return the channel and its settings: ``gamma=1,words=true``."""
    words = row.split(",")
    name = words.pop(0) if "=" not in words[0] else "song2vec"
    settings: dict[str, object] = {}
    for word in words:
        key, _, value = word.partition("=")
        settings[key] = json.loads(value)
    gamma = settings.get("gamma")
    if gamma is not None:
        settings["gamma"] = float(gamma)  # type: ignore[arg-type]
    return name, settings


def strata(
    similar: np.ndarray, cut: JudgingSplit, song_ids: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Return capped recall of each list by pool and k; NaN where nothing of it is wanted."""
    n = len(song_ids)
    learn, known, wanted = (s.among(song_ids) for s in (cut.learn, cut.histories, cut.wanted))
    in_lists = np.bincount(np.unique(learn.owner * n + learn.song) % n, minlength=n)
    similar = similar.copy()
    similar[known.owner, known.song] = -np.inf
    pools = {
        "joint": np.ones(n, bool),
        "apart": in_lists > 0,
        "warm": in_lists > 1,
        "one": in_lists == 1,
        "never": in_lists == 0,
    }
    found = {}
    for name, pool in pools.items():
        block = np.where(pool, similar, -np.inf).astype(np.float32)
        asked = np.ones(len(wanted.song), bool) if name == "apart" else pool[wanted.song]
        owner, song = wanted.owner[asked], wanted.song[asked]
        ranks = mean_ranks(block, owner, song)
        counts = np.bincount(owner, minlength=len(wanted))
        for k in KS:
            hits = np.bincount(owner, weights=ranks <= k, minlength=len(wanted))
            share = hits / np.maximum(1, np.minimum(k, counts))
            found[f"{name}@{k}"] = np.where(counts > 0, share, np.nan)
    return found


def by_artist(name: str, cut: JudgingSplit, args: argparse.Namespace, seed: int) -> np.ndarray:
    """Return similarities where songs of no list are the mean of their artist's other songs.

    In the places of gamma 0, or of gamma 1, that were kept when its row ran.
    """
    learn = cut.learn
    row = "gamma=1" if name.endswith("-1") else "gamma=0"
    kept = np.load(args.cache / f"places-{row}-{seed}.npz")
    ahead, behind = kept["ahead"].copy(), kept["behind"].copy()
    width = int(kept["parts"][0])
    n = len(learn.song_ids)
    warm = np.bincount(learn.song, minlength=n) > 0
    ahead[~warm] = behind[~warm] = 0
    length = float(np.median(np.linalg.norm(behind[warm, :width], axis=1)))
    artists = artists_of(args.data)
    members: dict[str, list[int]] = {}
    for at, song in enumerate(learn.song_ids):
        for artist in artists.get(song, ()):
            if warm[at]:
                members.setdefault(artist, []).append(at)
    placed = warm.copy()
    for at in np.flatnonzero(~warm).tolist():
        own = [m for a in artists.get(learn.song_ids[at], ()) for m in members.get(a, ())]
        if own:
            placed[at] = True
            behind[at] = behind[own].mean(axis=0)
            near = behind[at, :width]
            near *= length / max(1e-9, float(np.linalg.norm(near)))
            behind[at, 2 * width :] = 0  # as often in lists as what stands in one
    if name == "artist":
        ahead, behind, parts = ahead[:, :width], behind[:, :width], (width,)
    else:
        parts = tuple(kept["parts"].tolist())
    places = SongVectors(ahead=ahead, behind=behind, parts=parts, has_place=placed)
    return places.similarities(cut.histories.among(learn.song_ids))


def of_peer(name: str, cut: JudgingSplit, args: argparse.Namespace, seed: int) -> np.ndarray:
    """Return what a peer's vectors say: contexts against the mean vector, or cosines.

    The lists are written for the peer, which runs in a venv of its own (`graph_peers.py`).
    """
    learn = cut.learn
    kind = name.partition("-")[0]
    made = args.cache / f"peer-{kind}-{seed}.npz"
    if not made.exists():
        lists = [[learn.song_ids[s] for s in learn[at].tolist()] for at in range(len(learn))]
        artists = artists_of(args.data)
        by = [(song, artist) for song in learn.song_ids for artist in artists.get(song, ())]
        (args.cache / f"lists-{seed}.json").write_text(json.dumps({"lists": lists, "by": by}))
        raise SystemExit(f"PEERS/bin/python -m benchmarks graph_peers {kind} {args.cache} {seed}")
    peer = np.load(made)
    if name == "pykeen":
        return of_transe(peer, cut)
    if kind == "pykeen":
        peer = {"ids": peer["songs"], "v": peer["heads"], "u": peer["heads"]}
    place = {song: at for at, song in enumerate(peer["ids"].tolist())}
    vectors, contexts = (np.zeros((len(learn.song_ids), peer[n].shape[1])) for n in "vu")
    for at, song in enumerate(learn.song_ids):
        if song in place:
            vectors[at], contexts[at] = peer["v"][place[song]], peer["u"][place[song]]
    known = cut.histories.among(learn.song_ids)
    if name.endswith("-cosine"):
        return cosines(vectors, known)
    means = np.zeros((len(known), vectors.shape[1]))
    np.add.at(means, known.owner, vectors[known.song])
    found = (means @ contexts.T).astype(np.float32)
    found[:, ~vectors.any(axis=1)] = -np.inf
    return found


def of_transe(peer: "np.lib.npyio.NpzFile", cut: JudgingSplit) -> np.ndarray:
    """Return how near songs are to being in a list, by TransE: -|song + in_list - list|."""
    norm = int(peer["norm"])
    learn = cut.learn
    place = {song: at for at, song in enumerate(peer["songs"].tolist())}
    rows = np.array([place.get(song, -1) for song in learn.song_ids])
    ends = peer["heads"][rows] + peer["step"]
    found = np.full((len(cut.histories), len(rows)), -np.inf, np.float32)
    number = {name: at for at, name in enumerate(learn.owner_ids)}
    for at, name in enumerate(cut.histories.owner_ids):
        found[at] = -np.linalg.norm(ends - peer["lists"][number[name]], ord=norm, axis=1)
    found[:, rows < 0] = -np.inf
    return found


def cosines(rows: np.ndarray, known: Sequences) -> np.ndarray:
    """Return cosines of the mean of each history with all songs; -inf without a vector."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units = rows / np.where(lengths > 0, lengths, 1)
    means = np.zeros((len(known), rows.shape[1]))
    np.add.at(means, known.owner, units[known.song])
    found = (means @ units.T).astype(np.float32)
    found[:, lengths[:, 0] == 0] = -np.inf
    return found


def kept(cache: Path) -> Iterator[tuple[str, list[dict[str, np.ndarray]]]]:
    """Yield the runs of each row."""
    made = {path.stem.rpartition("-")[0] for path in cache.glob("*-?.npz")}
    names = sorted(n for n in made if not n.startswith(("places-", "peer-", "world-")))
    for name in names:
        yield name, [dict(np.load(p)) for p in sorted(cache.glob(f"{name}-?.npz"))]


def interval(
    values: list[np.ndarray], runs: list[dict[str, np.ndarray]], *, bare: bool = False
) -> str:
    """Return the mean over seeds in percent and, unless `bare`, its interval over lists."""
    cluster = np.concatenate([run["cluster"] for run in runs])
    at = clustered_interval(np.concatenate(values), cluster, np.random.default_rng(0))
    told = f" [{100 * at.low:.1f}, {100 * at.high:.1f}]"
    return f"{100 * at.value:.1f}" + ("" if bare else told)


def print_table(cache: Path) -> None:
    """Print a row each: means over seeds, intervals over lists, CPU-seconds to choose and learn."""
    heads = ["row", "seeds", *(f"{pool}@{k}" for pool in POOLS for k in KS)]
    heads += ["epochs", "CPU-s to choose", "to learn"]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for name, runs in kept(cache):
        cells = [f"`{name}`", str(len(runs))]
        for pool in POOLS:
            cells += [interval([r[f"{pool}@{k}"] for r in runs], runs, bare=k == KS[0]) for k in KS]
        choosing = np.mean([run.get("choosing", 0.0) for run in runs])
        cpu = np.mean([run["cpu"] for run in runs]) - choosing
        epochs = ", ".join(str(int(run.get("epochs", 0))) for run in runs)
        print("| " + " | ".join([*cells, epochs, f"{choosing:.0f}", f"{cpu:.0f}"]) + " |")
    print()
    print_ahead(cache)


# What is held against what, on the same lists and seeds: a row, its base, the pools.
AHEAD = (
    *((f"gamma={g}", "gamma=0", ("joint", "apart", "warm", "one")) for g in ("0.1", "1", "5")),
    ("gamma=0", "gensim", ("apart", "warm", "one")),
    ("gamma=1", "item-knn", ("apart", "warm", "one")),
    *((f"gamma={g}", base, ("never",)) for g in ("1", "5") for base in ("artist", "artist-both")),
    ("gamma=1", "artist-1", ("never",)),
    *(("gamma=1", base, ("joint", "apart", "never")) for base in RIVALS),
)


def print_ahead(cache: Path) -> None:
    """Print how far rows are ahead of others, on the same lists and seeds."""
    for row, base, pools in AHEAD:
        found = [
            (np.load(path), np.load(other))
            for path in sorted(cache.glob(f"{row}-?.npz"))
            if (other := cache / f"{base}-{path.stem[-1]}.npz").exists()
        ]
        for name in (f"{pool}@{k}" for pool in pools for k in KS if found):
            gaps = [a[name] - b[name] for a, b in found]
            told = interval(gaps, [b for _, b in found])
            print(f"{row} over {base}, {name}: {told}, {len(found)} seeds")


if __name__ == "__main__":
    main()

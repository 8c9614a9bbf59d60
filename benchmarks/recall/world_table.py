"""All channels that the joined world can feed, and their fused list, on its real parts.

    python -m benchmarks world_table WORLD WORK [CHANNEL ...]

WORLD is what ``scripts/samples/make_recall_world.py`` wrote; WORK keeps models and candidates. Two
tables:

* Playlists: a fifth of each is hidden, near-copies together. Songs by how many lists hold them in
  what is learnt from (none: cold; one; more: warm), lists by how much of them is known. *Alone* are
  hidden songs that no other channel found. Settings of the fusion are learnt on a fifth of what is
  left.
* Counts of Last.fm: a user's artists, known by the most listed song of each, a fifth of them
  hidden; a hidden artist is found by any of its songs. No channel has learnt from these users.

Channels learn from playlists alone. Sessions are made up by the audio and prove nothing.
"""

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from make_recall_world import letters
from recall_tables import world_sound

from audiorec.errors import AudiorecError
from audiorec.evaluation.ranking import clustered_interval
from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.listening.side import read_side
from audiorec.recall.contract.batch_recall import write_candidates
from audiorec.recall.contract.candidates import Lists
from audiorec.recall.contract.data import Context, Queries, RecallData
from audiorec.recall.judging.judge import evaluate
from audiorec.recall.judging.splits import JudgingSplit, split
from audiorec.recall.registry import CHANNELS, channel_class, load_channel
from audiorec.recall.serving.exclusions import traits_of
from audiorec.recall.serving.fuse import fuse
from audiorec.recall.serving.rules import FusionRecipe
from audiorec.recall.serving.tune import tune

K, COLD = 100, 50  # songs that each channel is asked for, and beside them new ones
HIDDEN = 0.2  # of a user's artists
FEWEST = 5  # artists of a user that is judged
WARM, LONG = ("played once", "played more"), ("short history", "long history")
LACKS = {
    "external": "a table that something else made",
    "replay": "proposes heard songs alone, and they are left out",
    "ease": "takes up to 20,000 songs, and there are 24,725",
    "user-audio": "needs embeddings of users or likes and dislikes, which playlists are not",
}


def context_of(world: Path) -> Context:
    """Return sound and side information of the songs.

    Without the column that says which collection a song is from: lists are of one, so it leaks.
    """
    side = read_side(world / "songs.parquet")
    kept = {name: found for name, found in side.categories.items() if name != "source"}
    return Context(sound=world_sound(world), side=replace(side, categories=kept))


def asked(
    name: str, cut: JudgingSplit, queries: Sequences, context: Context, folder: Path, of: str
) -> Path | None:
    """Write what a channel proposes, fitted on a part; what is there is not made again."""
    path = folder / f"{of}-{name}.parquet"
    model = folder / name
    if path.is_file():
        return path
    if not model.is_dir():
        channel = channel_class(name)().fit(RecallData(cut.learn, context.song_ids, context))
        channel.save(model)
    heard = queries.among(context.song_ids)
    write_candidates(path, load_channel(model), Queries(heard), K, exclude=heard, cold=COLD)
    return path


def users_of(world: Path, lists: Sequences) -> tuple[Sequences, list[set[str]]]:
    """Return users by the most listed song of each known artist, and their hidden artists."""
    table = pq.read_table(world / "songs.parquet", columns=["song_id", "artist"]).to_pylist()
    plays = dict(zip(lists.song_ids, np.bincount(lists.song, minlength=9).tolist(), strict=False))
    songs: dict[str, list[str]] = defaultdict(list)
    for row in table:
        songs[_letters(row["artist"])].append(row["song_id"])
    first = {name: max(sorted(of), key=lambda s: plays.get(s, 0)) for name, of in songs.items()}
    counts: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for row in pq.read_table(world / "counts.parquet").to_pylist():
        if row["artist"] in first:
            counts[row["user_id"]].append((-row["plays"], row["artist"]))
    rng, known, hidden, names = np.random.default_rng(0), [], [], []
    for user, of in sorted(counts.items()):
        if len(of) < FEWEST:
            continue
        out = set(rng.permutation(len(of))[: max(1, round(HIDDEN * len(of)))].tolist())
        ordered = sorted(of, reverse=True)  # the least played first, as the oldest
        names.append(user)
        known.append([first[a] for n, (_, a) in enumerate(ordered) if n not in out])
        hidden.append({a for n, (_, a) in enumerate(ordered) if n in out})
    return Sequences.from_lists(known, names), hidden


def _letters(name: str | None) -> str:
    return str(letters(name or ""))


def artist_recall(table: pa.Table, users: Sequences, hidden: list[set[str]], world: Path) -> str:
    """Return the share of hidden artists that have a song in the list, with its interval."""
    side = pq.read_table(world / "songs.parquet", columns=["song_id", "artist"]).to_pylist()
    artist = {row["song_id"]: _letters(row["artist"]) for row in side}
    found: dict[str, set[str]] = defaultdict(set)
    warm = table.filter(pa.compute.less_equal(table.column("rank"), K))
    for user, song in zip(
        warm.column("user_id").to_pylist(), warm.column("song_id").to_pylist(), strict=True
    ):
        found[user].add(artist.get(song, ""))
    pairs = zip(users.owner_ids, hidden, strict=True)
    values = np.array([len(found[user] & of) / len(of) for user, of in pairs])
    return str(clustered_interval(values, np.arange(len(values)), np.random.default_rng(0)))


def row_of(name: str, table: pa.Table, cut: JudgingSplit, context: Context, alone: str) -> str:
    """Return a line of the table of playlists."""
    found = evaluate(
        Lists.of_table(table.filter(pa.compute.less_equal(table.column("rank"), K)), name),
        cut,
        ks=[10, K],
        context=context,
    )
    strata = [found.song_strata[name] for name in WARM] + [found.user_strata[n] for n in LONG]
    cells = [
        name,
        str(found.means["capped_recall", K]),
        f"{found.means['capped_recall', 10].value:.3f}",
        *(f"{value:.3f}" if n else "none" for value, n in strata),
        new_found(table, cut),
        f"{found.spread['popularity']:.1f}",
        f"{found.spread['diversity_artist']:.2f}",
        f"{pa.compute.mean(table.column('cold').cast(pa.float64())).as_py() or 0:.2f}",
        alone,
    ]
    head = ["list", "capped_recall@100", "@10", *WARM, *LONG, "never played, apart"]
    head += ["plays of a song", "diversity by artist", "cold", "alone"]
    if name == "`popular`":
        print("| " + " | ".join(head) + " |", "|---" * len(head) + "|", sep="\n")
        sizes = {**found.song_strata, **found.user_strata}
        print("<!-- " + ", ".join(f"{n}: {of[1]:,}" for n, of in sizes.items()) + " -->")
    return "| " + " | ".join(cells) + " |"


def new_found(table: pa.Table, cut: JudgingSplit) -> str:
    """Return the share of hidden songs that nobody else has which the new ones of a list hold."""
    learnt = set(np.array(cut.learn.song_ids, object)[np.unique(cut.learn.song)].tolist())
    wanted = cut.wanted
    total = sum(wanted.song_ids[song] not in learnt for song in wanted.song.tolist())
    found = hits_of(table.filter(table.column("cold")), cut)
    return f"{len(found) / max(1, total):.3f}"


def hits_of(table: pa.Table, cut: JudgingSplit) -> set[tuple[str, str]]:
    """Return which hidden songs a table holds, by list."""
    wanted = cut.wanted
    pairs = zip(wanted.owner.tolist(), wanted.song.tolist(), strict=True)
    asked_for = {(wanted.owner_ids[o], wanted.song_ids[s]) for o, s in pairs}
    there = zip(
        table.column("user_id").to_pylist(), table.column("song_id").to_pylist(), strict=True
    )
    return asked_for & set(there)


def all_asked(
    channels: list[str],
    parts: dict[str, tuple[JudgingSplit, Sequences]],
    context: Context,
    work: Path,
) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """Return the candidates by part and channel, and why other channels have none."""
    files: dict[str, dict[str, Path]] = {part: {} for part in parts}
    missing = []
    for name in channels:
        if name in LACKS:
            missing.append(f"`{name}` ({LACKS[name]})")
            continue
        own = {}
        try:
            for part, (cut, queries) in parts.items():
                folder = work / ("valid" if part == "valid" else "test")
                folder.mkdir(parents=True, exist_ok=True)
                own[part] = asked(name, cut, queries, context, folder, part)
        except AudiorecError as error:
            missing.append(f"`{name}` ({error})")
            continue
        for part, path in own.items():
            files[part][name] = path
    return files, missing


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("channels", nargs="*", default=list(CHANNELS))
    args = parser.parse_args()
    context = context_of(args.world)
    cut = split(
        to_sequences(read_interactions(args.world / "playlists.parquet"), by="list"), "lists"
    )
    valid = split(cut.learn, "lists", seed=1)
    users, hidden = users_of(args.world, cut.learn)
    parts = {"valid": (valid, valid.histories), "test": (cut, cut.histories), "users": (cut, users)}
    files, missing = all_asked(args.channels, parts, context, args.work)
    names = list(files["test"])
    tables = {n: pq.read_table(files["test"][n]) for n in names}
    hits = {n: hits_of(table, cut) for n, table in tables.items()}
    print(f"{len(cut):,} lists, {len(cut.wanted.song):,} hidden songs, {len(users):,} users\n")
    for name in names:
        others = set().union(*(hits[n] for n in names if n != name))
        alone = f"{len(hits[name] - others):,} of {len(hits[name]):,}"
        print(row_of(f"`{name}`", tables[name], cut, context, alone), flush=True)
    paths = [files["valid"][n] for n in names]
    tuned = tune(paths, valid, FusionRecipe(k=K), by=("ndcg", K), names=names).recipe
    facts = traits_of(cut.learn, context.side)
    equal = FusionRecipe(k=K)

    fusions = {
        "all alike": equal,
        f"learnt ({tuned.method}, cold share {tuned.cold_share:g})": tuned,
        "learnt, without new songs": replace(tuned, cold_share=0.0),
    }
    for name, recipe in fusions.items():
        fused = fuse(list(tables.values()), recipe, facts)
        found = hits_of(fused, cut)
        print(row_of(name, fused, cut, context, f"{len(found):,}"), flush=True)
    if tuned.points:
        for name, row in zip(names, tuned.points, strict=True):
            print(f"points of {name}: {', '.join(f'{value:g}' for value in row)}")
    else:
        print(f"weights: {dict(zip(names, tuned.weights, strict=True))}, {tuned.flatness:g}")
    print("\n| list | artists found, users of Last.fm |", "|---|---|", sep="\n")
    of_users = {n: pq.read_table(files["users"][n]) for n in names}
    for name in names:
        print(f"| `{name}` | {artist_recall(of_users[name], users, hidden, args.world)} |")
    for name, recipe in fusions.items():
        fused = fuse(list(of_users.values()), recipe, facts)
        print(f"| {name} | {artist_recall(fused, users, hidden, args.world)} |", flush=True)
    print("\nNot judged: " + "; ".join(missing))


if __name__ == "__main__":
    main()

"""Every channel on public listening, judged alike: the tables of docs/benchmarks/recall.md.

    python -m benchmarks recall_tables NAME DATA [CHANNEL[:FIELD=VALUE] ...] [--drawn 10000]

===============  ===========================================================================
lastfm           S3-Rec's split: the last artist is wanted, the one before it not learnt from
beauty           the same of Amazon's beauty products
sports, toys     the same of two more of Amazon's categories
comirec          beauty by users: 8 : 1 : 1, of a judged one the first 80 % are known
playlists        a fifth of each of 244 playlists is hidden, near-copies together
playlists-plain  a fifth of each of 288, those of one artist too, near-copies not together
nowplaying       all 89,824 given prefixes, or some that are drawn; repeats kept
===============  ===========================================================================

DATA holds ``lastfm_seq/``, ``beauty_s3/``, ``hari_playlists/`` and so on as their repositories have
them. Repeats are left out but for nowplaying.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import AudiorecError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Context
from audiorec.recall.judging.judge import NOTHING, Judgement, Labels, judge
from audiorec.recall.judging.splits import HIDDEN_SHARE, JudgingSplit, given_split, split
from audiorec.recall.registry import CHANNELS, channel_class

QUERIES = 10_000  # that the cost of ranking is given for, where a set has that many
SHORTEST, LONGEST = 10, 2_000  # tracks of a playlist
# Nothing to learn and nothing to ask; everything else is tried, and says itself what it lacks.
LACKS = {"external": "a table that something else made"}


@dataclass(frozen=True, slots=True)
class Task:
    """What channels are judged on, and which measures are shown."""

    cut: JudgingSplit
    shown: tuple[tuple[str, int], ...]
    kinds: Labels = field(default_factory=dict)
    keep_heard: bool = False
    context: Context = NOTHING
    intervals: int = 1  # of so many measures, the first


S3_SHOWN = (("hit_rate", 10), ("ndcg", 10), ("hit_rate", 100))
HIDDEN_SHOWN = (("capped_recall", 100), ("capped_recall", 10), ("ndcg", 10))


def s3(data: Path, name: str) -> Task:
    """Read what S3-Rec's authors published; an item's kind is the attribute it has most often."""
    folder = data / name
    lists = s3_lists(folder)
    cut = given_split(
        Sequences.from_lists([songs[:-2] for songs in lists]),
        Sequences.from_lists([songs[:-1] for songs in lists]),
        Sequences.from_lists([songs[-1:] for songs in lists]),
    )
    return Task(cut, S3_SHOWN, s3_kinds(folder))


def s3_lists(folder: Path) -> list[list[str]]:
    """Return one list of items a user."""
    path = next(path for path in sorted(folder.glob("*.txt")) if "sample" not in path.name)
    return [line.split()[1:] for line in path.open()]


def s3_kinds(folder: Path) -> Labels:
    """Return each item's attribute, the one that it has most often, the first of equals."""
    attributes = json.loads(next(folder.glob("*attributes.json")).read_text())
    return {"kind": {item: str(Counter(a).most_common(1)[0][0]) for item, a in attributes.items()}}


def comirec(data: Path) -> Task:
    """Read beauty once more, split by users."""
    folder = data / "beauty_s3"
    cut = split(Sequences.from_lists(s3_lists(folder)), "users")
    shown = (("hit_rate", 50), ("recall", 20), ("recall", 50))
    return Task(cut, shown, s3_kinds(folder))


def playlists(data: Path) -> Task:
    """Read playlists without those of one artist, whose name gives the songs away."""
    lists = {n: s for n, s in read_playlists(data).items() if not n.startswith("Artists/")}
    cut = split(Sequences.from_lists(list(lists.values()), list(lists)), "lists")
    return Task(cut, HIDDEN_SHOWN, {"artist": artists_of(data)})


def playlists_plain(data: Path) -> Task:
    """Read all playlists, of songs that stand in two of them, and hide a fifth of each by itself.

    Easier than `playlists`, since what is hidden in a list may be visible in a copy of it; other
    studies judge like this.
    """
    lists = read_playlists(data)
    stands_in = Counter(song for songs in lists.values() for song in songs)
    kept = [[song for song in songs if stands_in[song] > 1] for songs in lists.values()]
    plays = Sequences.from_lists([songs for songs in kept if len(songs) >= SHORTEST])
    rng = np.random.default_rng(0)
    hidden = np.zeros(len(plays.song), np.bool_)
    for start, length in zip(plays.starts[:-1].tolist(), plays.lengths.tolist(), strict=True):
        hidden[start + rng.permutation(length)[: round(HIDDEN_SHARE * length)]] = True
    learn = plays.keep(~hidden)
    cut = given_split(learn, learn, plays.keep(hidden))
    return Task(cut, HIDDEN_SHOWN, {"artist": artists_of(data)})


def read_playlists(data: Path) -> dict[str, list[str]]:
    """Return the songs of each playlist of 10 to 2,000, each song once."""
    lines = (data / "hari_playlists" / "playlists.tsv").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines)
    lists = {name: list(dict.fromkeys(ids.split())) for name, ids in rows}
    return {name: songs for name, songs in lists.items() if SHORTEST <= len(songs) <= LONGEST}


def artists_of(data: Path) -> dict[str, str]:
    """Return the artist of each song whose name is known."""
    lines = (data / "hari_playlists" / "tracks.tsv").read_text("utf-8").splitlines()
    named = (line.split("\t") for line in lines)
    return {row[0]: row[1].partition(" - ")[0].casefold() for row in named if len(row) > 1}


def nowplaying(data: Path, drawn: int = 0, newest: int = 0) -> Task:
    """Read (the newest) sessions and the test prefixes; some are drawn: their order matters."""
    folder = data / "nowplaying_gcegnn"
    sessions = [line.split() for line in (folder / "train_sessions.txt").open()][-newest:]
    known, wanted, group = [], [], []
    for line in (folder / "test_prefix_label.txt").open():
        prefix, _, label = line.rstrip("\n").partition("\t")
        songs = prefix.split()
        # Prefixes of a session follow each other, each one song shorter than the one before.
        goes_on = bool(known) and known[-1][:-1] == songs
        group.append((group[-1] if group else -1) + (not goes_on))
        known.append(songs)
        wanted.append([label])
    rows = np.sort(np.random.default_rng(0).permutation(len(known))[: drawn or None])
    cut = given_split(
        Sequences.from_lists(sessions),
        Sequences.from_lists(known).take(rows),
        Sequences.from_lists(wanted).take(rows),
        np.array(group)[rows],
    )
    # One song is wanted: the hit rate at 20 is what others call P@20 and recall@20.
    shown = (("hit_rate", 20), ("mrr", 20), ("hit_rate", 100))
    return Task(cut, shown, keep_heard=True, intervals=3)


TASKS: dict[str, Callable[[Path], Task]] = {
    "lastfm": lambda data: s3(data, "lastfm_seq"),
    "beauty": lambda data: s3(data, "beauty_s3"),
    "sports": lambda data: s3(data, "sports_s3"),
    "toys": lambda data: s3(data, "toys_s3"),
    "comirec": comirec,
    "playlists": playlists,
    "playlists-plain": playlists_plain,
    "nowplaying": nowplaying,
}


def row(text: str, found: Judgement, task: Task) -> list[str]:
    """Return a line of the table, of the channel that was named by `text`."""
    sure, others = task.shown[: task.intervals], task.shown[task.intervals :]
    spread = dict(found.spread)
    popularity, gini, coverage = (spread.pop(name) for name in ("popularity", "gini", "coverage"))
    return [
        f"`{text}`",
        *(str(found.means[at]) for at in sure),
        *(f"{found.means[at].value:.3f}" for at in others),
        f"{popularity:,.0f}",
        f"{gini:.2f}",
        f"{coverage:.2f}",
        *(f"{value:.2f}" for value in spread.values()),
        f"{found.fit_cpu_s:.1f} + {found.recall_cpu_s * share_of(found.n_queries):.1f}",
        f"{found.peak_bytes / 1e6:,.0f}",
    ]


def made(text: str) -> Channel:
    """Make a channel of ``NAME``, ``NAME:FIELD=VALUE`` and so on; the values are JSON."""
    name, *settings = text.split(":")
    kind: Any = channel_class(name)
    pairs = (setting.partition("=") for setting in settings)
    given = {field: json.loads(value) for field, _, value in pairs}
    return kind(kind.Recipe(**given)) if given else kind()


def share_of(n_queries: int) -> float:
    """Return what the cost is multiplied by: that of `QUERIES` queries where there are more."""
    return min(1.0, QUERIES / n_queries)


def main() -> None:
    """Print one table in Markdown, and below it the channels that have no line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=TASKS)
    parser.add_argument("data", type=Path)
    parser.add_argument("channels", nargs="*", default=list(CHANNELS))
    parser.add_argument("--drawn", type=int, default=0, help="of nowplaying, so many prefixes")
    arguments = parser.parse_args()
    if arguments.name == "nowplaying":
        task = nowplaying(arguments.data, arguments.drawn)
    else:
        task = TASKS[arguments.name](arguments.data)
    measures = [f"{name}@{k}" for name, k in task.shown]
    sounds = ("artist", "sound") if task.context.sound is not None else ()
    kinds = [f"diversity by {name}" for name in (*sounds[:1], *task.kinds, *sounds[1:])]
    spread = ["plays of a song", "Gini", "coverage", *kinds]
    cost = "CPU-s fit + rank" + (f" {QUERIES:,}" if len(task.cut) > QUERIES else "")
    head = ["channel", *measures, *spread, cost, "MB"]
    n_songs = len(task.cut.learn.song_ids)
    print(f"{arguments.name}: {len(task.cut):,} queries, {n_songs:,} songs")
    print("| " + " | ".join(head) + " |", "|---" * len(head) + "|", sep="\n")
    missing = []
    ks = sorted({k for _, k in task.shown})
    for name in arguments.channels:
        if name in LACKS:
            missing.append(f"`{name}` ({LACKS[name]})")
            continue
        try:
            found = judge(
                made(name),
                task.cut,
                ks=ks,
                keep_heard=task.keep_heard,
                context=task.context,
                kinds=task.kinds,
            )
        except AudiorecError as error:
            missing.append(f"`{name}` ({error})")
            continue
        if not found.spread["coverage"]:
            missing.append(f"`{name}` (proposes heard songs alone, and they are left out)")
            continue
        print("| " + " | ".join(row(name, found, task)) + " |", flush=True)
    print("\nNot judged: " + "; ".join(missing))


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()

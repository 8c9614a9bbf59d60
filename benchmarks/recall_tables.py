"""Every channel on public listening, judged alike: the tables of docs/recall_figures.md.

    python benchmarks/recall_tables.py lastfm|beauty|comirec|playlists|nowplaying DATA [CHANNEL ...]

==========  ===========================================================================
lastfm      S3-Rec's split: the last artist is wanted, the one before it not learnt from
beauty      the same of Amazon's beauty products
comirec     beauty by users: 8 : 1 : 1, of a judged one the first 80 % are known
playlists   a fifth of each of 244 playlists is hidden, near-copies together
nowplaying  10,000 of the given prefixes, drawn at random; repeats kept
==========  ===========================================================================

DATA holds ``lastfm_seq/``, ``beauty_s3/``, ``hari_playlists/`` and ``nowplaying_gcegnn/`` as their
repositories have them. Repeats are left out but for nowplaying.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from audiorec.errors import AudiorecError
from audiorec.listening.sequences import Sequences
from audiorec.recall.judging.judge import Judgement, judge
from audiorec.recall.judging.lists import Labels
from audiorec.recall.judging.splits import JudgingSplit, given, split
from audiorec.recall.registry import CHANNELS, channel_class

DRAWN = 10_000
SHORTEST, LONGEST = 10, 2_000  # tracks of a playlist
# What no public set of these has; everything else is tried, and says itself what it lacks.
LACKS = {
    "nearest-audio": "the songs have no vectors",
    "nearest-artist": "the songs have no vectors",
    "external": "a table that something else made",
}


@dataclass(frozen=True, slots=True)
class Task:
    """What channels are judged on, and which measures are shown."""

    cut: JudgingSplit
    shown: tuple[tuple[str, int], ...]  # the first with its interval
    kinds: Labels = field(default_factory=dict)
    keep_heard: bool = False


def s3(data: Path, name: str) -> Task:
    """Read what S3-Rec's authors published; an item's kind is the attribute it has most often."""
    folder = data / name
    lists = s3_lists(folder)
    cut = given(
        Sequences.from_lists([songs[:-2] for songs in lists]),
        Sequences.from_lists([songs[:-1] for songs in lists]),
        Sequences.from_lists([songs[-1:] for songs in lists]),
    )
    return Task(cut, (("hit_rate", 10), ("ndcg", 10), ("hit_rate", 100)), s3_kinds(folder))


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
    folder = data / "hari_playlists"
    rows = (line.rstrip("\n").split("\t") for line in (folder / "playlists.tsv").open())
    lists = {name: list(dict.fromkeys(ids.split())) for name, ids in rows}
    kept = {
        name: songs
        for name, songs in lists.items()
        if SHORTEST <= len(songs) <= LONGEST and not name.startswith("Artists/")
    }
    named = (line.rstrip("\n").split("\t") for line in (folder / "tracks.tsv").open())
    artist = {row[0]: row[1].partition(" - ")[0].casefold() for row in named if len(row) > 1}
    cut = split(Sequences.from_lists(list(kept.values()), list(kept)), "lists")
    return Task(
        cut, (("capped_recall", 100), ("capped_recall", 10), ("ndcg", 10)), {"artist": artist}
    )


def nowplaying(data: Path) -> Task:
    """Read sessions and draw some of the test prefixes, which follow an order that matters."""
    folder = data / "nowplaying_gcegnn"
    sessions = [line.split() for line in (folder / "train_sessions.txt").open()]
    known, wanted, group = [], [], []
    for line in (folder / "test_prefix_label.txt").open():
        prefix, _, label = line.rstrip("\n").partition("\t")
        songs = prefix.split()
        # Prefixes of a session follow each other, each one song shorter than the one before.
        goes_on = bool(known) and known[-1][:-1] == songs
        group.append((group[-1] if group else -1) + (not goes_on))
        known.append(songs)
        wanted.append([label])
    drawn = np.sort(np.random.default_rng(0).permutation(len(known))[:DRAWN])
    cut = given(
        Sequences.from_lists(sessions),
        Sequences.from_lists(known).take(drawn),
        Sequences.from_lists(wanted).take(drawn),
        np.array(group)[drawn],
    )
    return Task(cut, (("hit_rate", 20), ("mrr", 20), ("hit_rate", 100)), keep_heard=True)


TASKS: dict[str, Callable[[Path], Task]] = {
    "lastfm": lambda data: s3(data, "lastfm_seq"),
    "beauty": lambda data: s3(data, "beauty_s3"),
    "comirec": comirec,
    "playlists": playlists,
    "nowplaying": nowplaying,
}


def row(found: Judgement, task: Task) -> list[str]:
    """Return a line of the table."""
    first, *others = task.shown
    spread = dict(found.spread)
    popularity, gini, coverage = (spread.pop(name) for name in ("popularity", "gini", "coverage"))
    return [
        f"`{found.channel}`",
        str(found.means[first]),
        *(f"{found.means[at].value:.3f}" for at in others),
        f"{popularity:,.0f}",
        f"{gini:.2f}",
        f"{coverage:.2f}",
        *(f"{value:.2f}" for value in spread.values()),
        f"{found.fit_cpu_s:.1f} + {found.recall_cpu_s:.1f}",
        f"{found.peak_bytes / 1e6:,.0f}",
    ]


def main() -> None:
    """Print one table in Markdown, and below it the channels that have no line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=TASKS)
    parser.add_argument("data", type=Path)
    parser.add_argument("channels", nargs="*", default=list(CHANNELS))
    arguments = parser.parse_args()
    task = TASKS[arguments.name](arguments.data)
    measures = [f"{name}@{k}" for name, k in task.shown]
    kinds = [f"diversity by {name}" for name in task.kinds]
    spread = ["plays of a song", "Gini", "coverage", *kinds]
    head = ["channel", *measures, *spread, "CPU-s fit + rank", "MB"]
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
            channel = channel_class(name)()
            found = judge(channel, task.cut, ks=ks, keep_heard=task.keep_heard, kinds=task.kinds)
        except AudiorecError as error:
            missing.append(f"`{name}` ({error})")
            continue
        if not found.spread["coverage"]:
            missing.append(f"`{name}` (proposes heard songs alone, and they are left out)")
            continue
        print("| " + " | ".join(row(found, task)) + " |", flush=True)
    print("\nNot judged: " + "; ".join(missing))


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()

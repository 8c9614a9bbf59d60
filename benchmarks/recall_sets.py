"""Public sets of listening as files for ``audiorec recall``, and the rows that need no files.

    python benchmarks/recall_sets.py nowplaying DATA OUT     train, histories and targets
    python benchmarks/recall_sets.py lastfm|beauty DATA      a row a channel, S3-Rec's split

DATA holds ``nowplaying_gcegnn/``, ``lastfm_seq/``, ``beauty_s3/`` as their repositories have them.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audiorec.listening.sequences import Sequences
from audiorec.recall.judging.judge import judge
from audiorec.recall.judging.splits import given
from audiorec.recall.registry import channel_class

S3 = {"lastfm": "lastfm_seq/LastFM.txt", "beauty": "beauty_s3/Beauty.txt"}
CHANNELS = ("popular", "rules", "vs-knn", "item-knn", "ease")


def nowplaying(data: Path, out: Path) -> None:
    """Write sessions as a log; the prefixes of one test session are one group."""
    folder = data / "nowplaying_gcegnn"
    sessions = [line.split() for line in (folder / "train_sessions.txt").open()]
    prefixes, wanted, group = [], [], []
    for line in (folder / "test_prefix_label.txt").open():
        prefix, _, label = line.rstrip("\n").partition("\t")
        songs = prefix.split()
        # Prefixes of a session follow each other, each one song shorter than the one before.
        goes_on = bool(prefixes) and prefixes[-1][:-1] == songs
        group.append((group[-1] if group else -1) + (not goes_on))
        prefixes.append(songs)
        wanted.append(label)
    out.mkdir(parents=True, exist_ok=True)
    write_log(out / "train.parquet", sessions, "s")
    write_log(out / "histories.parquet", prefixes, "p")
    users = [f"p{row:06}" for row in range(len(wanted))]
    groups = [f"g{number}" for number in group]
    table = pa.table({"user_id": users, "song_id": wanted, "group_id": groups})
    pq.write_table(table, out / "targets.parquet")
    print(f"{len(sessions)} sessions, {len(wanted)} prefixes of {group[-1] + 1} sessions: {out}")


def write_log(path: Path, lists: list[list[str]], prefix: str) -> None:
    """Write lists as sessions that are their own users, in order and without times."""
    owner = [f"{prefix}{row:06}" for row, songs in enumerate(lists) for _ in songs]
    songs = [song for songs in lists for song in songs]
    columns = {"user_id": owner, "session_id": owner, "song_id": songs}
    pq.write_table(pa.table({**columns, "event": ["finish"] * len(songs)}), path)


def s3(data: Path, name: str) -> None:
    """Print a row a channel: the last song is wanted, the one before it is not learnt from."""
    lists = [line.split()[1:] for line in (data / S3[name]).open()]
    cut = given(
        Sequences.from_lists([songs[:-2] for songs in lists]),
        Sequences.from_lists([songs[:-1] for songs in lists]),
        Sequences.from_lists([songs[-1:] for songs in lists]),
    )
    print("channel", "HR@10", "NDCG@10", "HR@100", "fit CPU-s", "rank CPU-s", sep="\t")
    for channel in CHANNELS:
        found = judge(channel_class(channel)(), cut, ks=[10, 100])
        hit, ndcg, far = (
            found.means[key] for key in (("hit_rate", 10), ("ndcg", 10), ("hit_rate", 100))
        )
        seconds = f"{found.fit_cpu_s:.1f}\t{found.recall_cpu_s:.1f}"
        print(channel, hit, ndcg, far, seconds, sep="\t", flush=True)


def main() -> None:
    """Read the arguments and do one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=("nowplaying", *S3))
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    arguments = parser.parse_args()
    if arguments.name == "nowplaying":
        if arguments.out is None:
            parser.error("nowplaying needs OUT, a folder to write")
        nowplaying(arguments.data, arguments.out)
    else:
        s3(arguments.data, arguments.name)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()

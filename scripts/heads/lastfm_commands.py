"""Judge user-audio through the commands: the Last.fm × GTZAN join as files.

    python scripts/heads/lastfm_commands.py DATA [--seeds 5] [--by-hash]
                                                               [--keep FOLDER]

DATA as for `lastfm_gtzan.py`. For each seed the join is written as a person would have it:

=====================  ====================================================================
``log.csv``            likes: who listens to an artist likes each of the artist's tracks
``users.parquet``      users by what they hear outside of the join: factors of 17,000 artists
``features.parquet``   50 tag scores a second; genre scores, the same in all segments
``side.csv``           the artists
=====================  ====================================================================

and ``audiorec recall train user-audio`` and ``audiorec recall evaluate --split artists`` run on
it. Commands hold artists out by a hash of their names. So that the same artists are held out as in
`lastfm_gtzan.py`, names get a number where that is needed (``elvis presley 3``); with ``--by-hash``
they stay, and `lastfm_gtzan.py --by-hash` judges on the same splits. What differs: the model
standardises the features itself, so genre scores weigh as much as tags and not twice; a tenth of
the artists chooses the number of epochs, which is 0; and centroids are of tracks, not of artists.
Prints JSON lines: one a seed, then one a method with the interval over splits and, of the
difference to user-audio, over users within splits.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
from lastfm_gtzan import GENRE_FLOOR, HELD_OUT, USERS, genre_scores
from lastfm_join import Join, Taggrams, load_join, load_taggrams
from scipy.stats import t as student

from audiorec.recall.audio.held_out import Parts, Split, SplitPart, artist_groups, assign_parts
from audiorec.recall.audio.model import factorise
from audiorec.store.embeddings import write_embeddings
from audiorec.store.records import feature_values, row_batch
from audiorec.store.schema import Kind, StoreMetadata, schema_of, write_table
from audiorec.types import FloatArray

EXTRACTOR = "lastfm-gtzan-join"
VALID = 0.1
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def parts_of(names: list[str], seed: int) -> Parts:
    """Return what the commands will do with each artist."""
    split = Split(valid=VALID, test=HELD_OUT, seed=seed)
    return assign_parts(names, artist_groups(names, names), split)


def names_for(join: Join, seed: int, *, by_hash: bool) -> list[str]:
    """Return the artists' names, with numbers that hold out those that `lastfm_gtzan.py` does."""
    if by_hash:
        return list(join.artists)
    order = np.random.default_rng(seed).permutation(len(join.artists))
    judged = set(order[: round(len(join.artists) * HELD_OUT)].tolist())

    def fitting(artist: int) -> str:
        tried = (f"{join.artists[artist]}{f' {n}' if n else ''}" for n in count())
        wanted = artist in judged
        return next(n for n in tried if (parts_of([n], seed)[0] == SplitPart.TEST) == wanted)

    return [fitting(artist) for artist in range(len(join.artists))]


def write_join(
    folder: Path,
    join: Join,
    taggrams: Taggrams,
    users: FloatArray,
    names: list[str],
    seed: int,
) -> None:
    """Write the join as files; genre scores know nothing of artists that are held out."""
    artists = [names[a] for a in join.artist]
    parts = parts_of(names, seed)
    genre = genre_scores(join, taggrams, np.flatnonzero(parts == SplitPart.TEST))
    likes = join.likes[:, join.artist]
    rows = [f"u{u},{join.tracks[t]},,like" for u, t in zip(*np.nonzero(likes), strict=True)]
    # A list of one row a like: its order is all there is, no time is known.
    head = "user_id,song_id,timestamp,event,session_id"
    (folder / "log.csv").write_text("\n".join([head, *(f"{row},s" for row in rows)]) + "\n")
    side = [f"{t},{a}" for t, a in zip(join.tracks, artists, strict=True)]
    (folder / "side.csv").write_text("\n".join(["song_id,artist", *side]) + "\n")
    known = np.flatnonzero(users.any(axis=1))
    ids = [f"u{u}" for u in known.tolist()]
    about = {"kind": "users", "model_id": "artists outside the join"}
    write_embeddings(folder / "users.parquet", ids, users[known], **about)
    _write_features(folder / "features.parquet", join, np.log(genre + GENRE_FLOOR))


def _write_features(path: Path, join: Join, genre: FloatArray) -> None:
    metadata = StoreMetadata(
        kind=Kind.FEATURES,
        extractor_id=EXTRACTOR,
        classes=("genre/of GTZAN",),
        features={"genre_scores": genre.shape[1], "msd_tags": join.tags[0].shape[1]},
        created_by="scripts/heads/lastfm_commands.py",
    )
    schema, batches = schema_of(metadata), []
    for row, track in enumerate(join.tracks):
        tags = join.tags[row].astype(np.float32)
        start = np.arange(len(tags), dtype=np.float32)
        same = np.tile(genre[row].astype(np.float32), (len(tags), 1))
        outputs = {"genre.scores": same, "msd.tags": tags}
        values = feature_values(track, f"track {track}", start, outputs)
        batches.append(row_batch(values | {"extractor_id": EXTRACTOR}, schema))
    write_table(path, pa.Table.from_batches(batches, schema), metadata)


def run(folder: Path, *words: str) -> str:
    """Run a command in a folder; return its stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "audiorec_cli.main", *words],
        cwd=folder,
        env={**os.environ, **ONE_THREAD},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def judged(folder: Path, seed: int) -> dict[str, dict[str, list[float]]]:
    """Train and judge by commands; return the methods' figures."""
    files = "-i log.csv --likes -v features.parquet --side side.csv -u users.parquet".split()
    shares = (f"test={HELD_OUT}", f"valid={VALID}", f"split_seed={seed}", f"seed={seed}")
    settings = [word for share in shares for word in ("--set", share)]
    run(folder, "recall", "train", "user-audio", *files, "--out", "model", "-q", *settings)
    ask = ("recall", "evaluate", "model", "--split", "artists", "--json")
    found = json.loads(run(folder, *ask, *files))
    panel = found["panels"]["artists"]
    figures = json.loads((folder / "model" / "model.json").read_text())["figures"]
    line = {"seed": seed, "users": panel["users"], "songs": panel["songs"]}
    line |= {"best_epoch": figures["best_epoch"], "auc_when_chosen": figures["auc"]}
    line |= {name: row["auc"] for name, row in panel["methods"].items()}
    print(json.dumps(line), flush=True)
    methods: dict[str, dict[str, list[float]]] = panel["methods"]
    return methods


def over_splits(values: list[float]) -> list[float]:
    """Return the mean and Student's interval of the seeds' figures."""
    found = np.asarray(values)
    half = float(student.ppf(0.975, len(found) - 1)) * found.std(ddof=1) / len(found) ** 0.5
    return [round(float(v), 4) for v in (found.mean(), found.mean() - half, found.mean() + half)]


def main() -> None:
    """Write the joins, run the commands and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--by-hash", action="store_true", help="leave the artists' names alone")
    parser.add_argument("--keep", type=Path, help="keep the files of each seed below this folder")
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("an interval over splits needs two seeds or more")
    taggrams = load_taggrams(args.data)
    join = load_join(args.data, taggrams)
    users = factorise(join.other, join.n_users, join.n_others, **USERS)
    found = []
    for seed in range(args.seeds):
        with tempfile.TemporaryDirectory() as temporary:
            folder = args.keep / str(seed) if args.keep else Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            names = names_for(join, seed, by_hash=args.by_hash)
            write_join(folder, join, taggrams, users, names, seed)
            found.append(judged(folder, seed))
    for method in found[0]:
        rows = [methods[method] for methods in found]
        line: dict[str, object] = {"method": method}
        line["auc_over_splits"] = over_splits([row["auc"][0] for row in rows])
        if rows[0]["ahead"] is not None:
            line["ahead_over_splits"] = over_splits([row["ahead"][0] for row in rows])
            line["ahead_by_seed"] = [[round(v, 4) for v in row["ahead"]] for row in rows]
        print(json.dumps(line), flush=True)
    spent = os.times()
    print(json.dumps({"cpu_s_of_commands": round(spent.children_user + spent.children_system, 1)}))


if __name__ == "__main__":
    main()

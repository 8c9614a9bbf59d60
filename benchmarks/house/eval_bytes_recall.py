"""Compare the channels of two installed revisions: tensors of their models, lists, exports.

    python -m benchmarks eval_bytes_recall BASE/bin/audiorec NOW/bin/audiorec AUDIO --work WORK
                                           [--users N] [--channels NAME...]

BASE extracts the songs of AUDIO and simulates a log; both revisions train each channel on these
files with its own seed, and ask it for 20 songs per user. One JSON line per channel: the tensors
that either model has alone, those that differ (with the largest difference), the share of the
rows (user, song, rank) of the lists that both have. The last lines compare exports of the store.
"""

import argparse
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors.numpy import load_file

# What a channel reads beside the log, and two epochs where it has epochs.
CHANNELS: dict[str, tuple[str, ...]] = {
    "als": (),
    "comirec-sa": ("epochs", "vectors"),
    "ease": (),
    "eges": ("side",),
    "graphsage": ("epochs", "side"),
    "item-knn": (),
    "mind": ("epochs", "vectors"),
    "mmoe": ("epochs", "profiles"),
    "nearest-artist": ("vectors",),
    "nearest-audio": ("vectors",),
    "popular": (),
    "recent-likes": ("vectors",),
    "replay": (),
    "rules": (),
    "sasrec": ("epochs", "vectors"),
    "song2vec": ("epochs", "side"),
    "two-tower": ("epochs", "profiles"),
    "vs-knn": (),
    "youtube-dnn": ("epochs", "vectors"),
}


def run(command: list[str | Path]) -> str:
    """Run a command; give the last line of its errors, or nothing."""
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
    return lines[-1] if done.returncode else ""


def tensors(model: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read every array of a model."""
    return {
        f"{path.relative_to(model)}:{name}": array
        for path in sorted(model.rglob("*.safetensors"))
        for name, array in load_file(path).items()
    }


def compared(base: Path, now: Path) -> dict[str, Any]:
    """Compare the arrays of two models."""
    first, second = tensors(base), tensors(now)
    differ = {
        name: (
            [list(first[name].shape), list(second[name].shape)]
            if first[name].shape != second[name].shape
            else float(np.abs(first[name].astype(float) - second[name].astype(float)).max())
        )
        for name in sorted(first.keys() & second.keys())
        if first[name].dtype != second[name].dtype
        or first[name].tobytes() != second[name].tobytes()
    }
    alone = {"base": sorted(first.keys() - second), "now": sorted(second.keys() - first)}
    return {"equal": len(first.keys() & second) - len(differ), "differ": differ, **alone}


def rows(lists: Path) -> set[tuple[Any, ...]]:
    """Read the rows of a table of lists as (user, song, rank)."""
    table = pq.read_table(lists, columns=["user_id", "song_id", "rank"])
    return set(zip(*(column.to_pylist() for column in table.columns), strict=True))


def trained(name: str, programs: list[Path], work: Path, epochs: tuple[str, ...]) -> dict[str, Any]:
    """Train and ask one channel by both revisions, and compare."""
    log = work / "world" / "interactions.parquet"
    given: list[str | Path] = ["-i", log]
    for need, option, file in (
        ("vectors", "-v", work / "vecs.parquet"),
        ("side", "--side", work / "side.csv"),
        ("profiles", "--profiles", work / "world" / "profiles.parquet"),
    ):
        given += [option, file] if need in CHANNELS[name] else []
    for side, program in zip(("base", "now"), programs, strict=True):
        model, lists = work / side / name, work / side / f"{name}.parquet"
        model.parent.mkdir(exist_ok=True)
        short = list(epochs) if "epochs" in CHANNELS[name] else []
        trouble = run([program, "recall", "train", name, *given, "-o", model, "-q", *short])
        trouble = trouble or run(
            [program, "recall", "candidates", model, "-i", log, "-k", "20", "-o", lists]
            + (given[-2:] if "profiles" in CHANNELS[name] else [])
            + (["--keep-heard"] if name == "replay" else [])
        )
        if trouble:
            return {side: trouble}
    first, second = (rows(work / side / f"{name}.parquet") for side in ("base", "now"))
    same = len(first & second) / max(len(first | second), 1)
    return {**compared(work / "base" / name, work / "now" / name), "rows": len(first), "same": same}


def exports(programs: list[Path], work: Path) -> Iterator[dict[str, Any]]:
    """Export the store by both revisions and compare the files."""
    for kind in ("csv", "jsonl", "npz"):
        files = []
        for side, program in zip(("base", "now"), programs, strict=True):
            out = work / side / f"songs.{kind}"
            if trouble := run([program, "store", "export", work / "vecs.parquet", "-o", out]):
                yield {"export": kind, side: trouble}
                break
            files.append(out.read_bytes())
        else:
            yield {"export": kind, "equal": files[0] == files[1], "bytes": len(files[0])}


def write_side(store: Path, side: Path) -> None:
    """Write an artist and a genre for each song; three songs share an artist, thirty a genre."""
    ids = pq.read_table(store, columns=["song_id"])["song_id"].to_pylist()
    lines = [f"{song},artist {n // 3},genre {n // 30}" for n, song in enumerate(ids)]
    side.write_text("\n".join(["song_id,artist,genre", *lines]) + "\n")


def main() -> None:
    """Make the world, train by both, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("now", type=Path)
    parser.add_argument("audio", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--channels", nargs="*", default=sorted(CHANNELS))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    store, world = args.work / "vecs.parquet", args.work / "world"
    if not store.exists():
        run([args.base, "extract", args.audio, "-o", store, "-q"])
    if not world.exists():
        run(
            [
                args.base,
                "listening",
                "simulate",
                "-v",
                store,
                "-o",
                world,
                "--set",
                f"users={args.users}",
                "-q",
            ]
        )
    write_side(store, args.work / "side.csv")
    programs = [args.base, args.now]
    for name in args.channels:
        found = trained(name, programs, args.work, ("--set", "max_epochs=2"))
        print(json.dumps({"bench": "bytes/channel", "channel": name, **found}), flush=True)
    for found in exports(programs, args.work):
        print(json.dumps({"bench": "bytes/export", **found}), flush=True)


if __name__ == "__main__":
    main()

"""CPU seconds of `als` and `item-knn` beside implicit's, in turn, one thread: fits and whole runs.

    python -m benchmarks fit_speed ml100k|hetrec DATA WORK [--rounds 5]

*fit* is the training alone, on what is in memory. *whole* is a process from its start to a written
model: ``audiorec recall train``, and for implicit a program that reads the same file with pyarrow,
fits, and saves the factors or neighbours with its own ``save``. Both have the same settings: 64
factors, 15 iterations and weights by log counts; tf-idf and 200 neighbours. A line is a model: the
least, middle and largest figure of the rounds, and the ratio of the middle ones.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SIDES = ("audiorec", "implicit")
CHILD = "--child"


def fit_ours(name: str, log: Path, out: Path) -> float:  # noqa: ARG001 - as the other
    """Fit a channel of audiorec; return the CPU seconds of the fit."""
    import scipy.sparse  # noqa: F401 - as implicit, it is imported before the fit

    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.sequences import to_sequences
    from audiorec.recall import ALS, ItemKNN
    from audiorec.recall.contract.data import RecallData

    channel = {"als": ALS, "item-knn": ItemKNN}[name]()
    data = RecallData(to_sequences(read_interactions(log)))
    begun = time.process_time()
    channel.fit(data)
    return time.process_time() - begun


def fit_theirs(name: str, log: Path, out: Path) -> float:
    """Read the log, fit a model of implicit and save it; return the CPU seconds of the fit."""
    import numpy as np
    import pyarrow.parquet as pq
    from implicit.als import AlternatingLeastSquares
    from implicit.nearest_neighbours import TFIDFRecommender
    from scipy.sparse import csr_matrix

    table = pq.read_table(log)
    codes = [table.column(c).combine_chunks().dictionary_encode() for c in ("user_id", "song_id")]
    shape = tuple(len(one.dictionary) for one in codes)
    counts = table.column("weight").to_numpy().astype(np.float32)
    plays = csr_matrix((counts, tuple(one.indices.to_numpy() for one in codes)), shape=shape)
    if name == "als":
        model = AlternatingLeastSquares(64, iterations=15, num_threads=1, random_state=0)
        plays = plays.log1p() / np.float32(np.log(2))
    else:
        model = TFIDFRecommender(K=200, num_threads=1)
    begun = time.process_time()
    model.fit(plays, show_progress=False)
    spent = time.process_time() - begun
    model.save(str(out))
    return spent


def seconds_of(*command: object) -> tuple[float, str]:
    """Run a command; return its CPU seconds and what it printed."""
    environment = {**os.environ, **THREADS}
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    printed = process.stdout.read() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(map(str, command))}")
    return used.ru_utime + used.ru_stime, printed


def write_counts(name: str, data: Path, work: Path) -> Path:
    """Write the set as a log of counts, which both sides read."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv
    from recall_nights import plays_of

    work.mkdir(parents=True, exist_ok=True)
    if name == "hetrec":
        tabs = csv.ParseOptions(delimiter="\t")
        table = csv.read_csv(data / "lastfm2k" / "user_artists.dat", parse_options=tabs)
        table = table.rename_columns(["user_id", "song_id", "weight"])
    else:
        rows = [(user, film) for user, of in plays_of(data).items() for film, _ in of]
        users, films = zip(*rows, strict=True)
        table = pa.table({"user_id": users, "song_id": films, "weight": [1.0] * len(rows)})
    names = [table.column(c).cast(pa.string()) for c in ("user_id", "song_id")]
    table = pa.table([*names, table.column("weight")], ["user_id", "song_id", "weight"])
    pq.write_table(table, work / "counts.parquet")
    return work / "counts.parquet"


def main() -> None:
    """Print a line of JSON for each model."""
    if sys.argv[1:2] == [CHILD]:
        side, name, log, out = sys.argv[2:]
        print((fit_ours if side == "audiorec" else fit_theirs)(name, Path(log), Path(out)))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=("ml100k", "hetrec"))
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    log = write_counts(given.name, given.data, given.work)
    for name in ("als", "item-knn"):
        fits: dict[str, list[float]] = {side: [] for side in SIDES}
        wholes: dict[str, list[float]] = {side: [] for side in SIDES}
        model, saved = given.work / name, given.work / f"{name}.npz"
        for _ in range(given.rounds):
            _, printed = seconds_of(__file__, CHILD, "audiorec", name, log, saved)
            fits["audiorec"].append(float(printed))
            train = ("recall", "train", name, "-i", log, "--out", model, "--quiet")
            wholes["audiorec"].append(seconds_of("-m", "audiorec_cli.main", *train)[0])
            whole, printed = seconds_of(__file__, CHILD, "implicit", name, log, saved)
            fits["implicit"].append(float(printed))
            wholes["implicit"].append(whole)
        line: dict[str, object] = {"set": given.name, "model": name}
        for what, of in (("fit", fits), ("whole", wholes)):
            for side, values in of.items():
                three = (min(values), median(values), max(values))
                line[f"{what},_{side}"] = [round(value, 2) for value in three]
            ratio = median(of["audiorec"]) / median(of["implicit"])
            line[f"{what},_times"] = round(ratio, 2)
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

"""What a ranker trained on an export adds to the fused order, or that it adds nothing.

    pip install lightgbm
    python -m benchmarks ranker_lift DATA OUT [--nights 8]

Films of ML-100K, the last ones of each user on nights that are drawn (``fused_nights spread``), and
four channels. Every night is run as the past day that it is, and exported. Another system has shown
each user who comes the first fifty songs of these lists, in an order of its own: impressions
without a run, so the samples have the ranks of the user's newest night before (``ranked_at``).
LightGBM's ranker learns from the earlier nights' impressions; the last two nights' are ordered, and
NDCG@20 of the songs played afterwards is compared, paired by user.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fused_nights import rows_of, run_nights
from recall_nights import DAY_S

from audiorec.evaluation.ranking import clustered_interval, rank_measures
from audiorec.recall.serving.export.exporting import ExportRecipe, export_recall
from audiorec.recall.serving.export.schema import FEATURES
from audiorec.recall.serving.export.sources import ExportSources

CHANNELS = ("popular", "rules", "item-knn", "als")
SHOWN, TEST = 50, 2
ROUNDS = {"n_estimators": 200, "learning_rate": 0.05, "num_leaves": 15, "min_child_samples": 50}


def samples_of(data: Path, out: Path, nights: int) -> pa.Table:
    """Run the nights, and return the samples of what was shown after each."""
    plays, days = rows_of("spread", data, nights)
    folders = run_nights(CHANNELS, plays, days, out, more="[recall.export]\ndays = 1.0\n")
    shown, rng = [], np.random.default_rng(0)
    for day, folder in zip(days, folders, strict=True):
        ends = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) + DAY_S
        come = [u for u, of in plays.items() if any(ends <= at < ends + DAY_S for _, at in of)]
        lists = pq.read_table(folder / "fused.parquet", columns=["user_id", "song_id", "rank"])
        first = pc.and_(
            pc.less_equal(lists.column("rank"), SHOWN),
            pc.is_in(lists.column("user_id"), value_set=pa.array(come)),
        )
        seen = lists.filter(first).select(["user_id", "song_id"])
        seen = seen.take(pa.array(rng.permutation(len(seen))))
        moment = pa.repeat(pa.scalar(ends + 60, pa.int64()), len(seen))
        shown.append(seen.append_column("shown_at", moment.cast(pa.timestamp("s", tz="UTC"))))
    pq.write_table(pa.concat_tables(shown), out / "shown.parquet")
    sources = ExportSources(
        interactions=out / "plays.parquet",
        exposures=out / "shown.parquet",
        earlier=folders[-1] / "export",
    )
    export_recall(sources.with_run(folders[-1]), out / "export", ExportRecipe(days=1.0))
    return pq.read_table(out / "export" / "samples_ranking")


def main() -> None:
    """Read the arguments and print the figures."""
    import lightgbm

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--nights", type=int, default=8)
    given = parser.parse_args()
    table = samples_of(given.data, given.out, given.nights).sort_by(
        [("happened_at", "ascending"), ("user_id", "ascending"), ("song_id", "ascending")]
    )
    moment = pc.cast(table.column("happened_at"), pa.int64()).to_numpy()
    users, user = np.unique(table.column("user_id").to_pylist(), return_inverse=True)
    query = np.unique(moment * (len(users) + 1) + user, return_inverse=True)[1]
    label = table.column("label").to_numpy()
    test = moment >= np.unique(moment)[-TEST]
    own = [column.name for column in FEATURES]
    slugs = [name.replace("-", "_") for name in CHANNELS]
    ranks = ["fused_rank", "fused_weight", "channels"]
    ranks += [f"{slug}_{what}" for slug in slugs for what in ("rank", "similarity")]
    scores = {"the fused order": -pc.fill_null(table.column("fused_rank"), 10_000).to_numpy()}
    for name, columns in (("without channels", own), ("all columns", [*own, *ranks])):
        matrix = np.stack([table.column(c).to_numpy().astype(np.float64) for c in columns], axis=1)
        sizes = np.bincount(query[~test])
        model = lightgbm.LGBMRanker(**ROUNDS, random_state=0, n_jobs=1, verbose=-1)
        model.fit(matrix[~test], label[~test], group=sizes[sizes > 0])
        scores[f"LightGBM, {name}"] = model.predict(matrix)
    kept = np.isin(query, query[test & (label == 1)])
    names, of = np.unique(query[kept], return_inverse=True)
    owner = user[kept][np.unique(of, return_index=True)[1]]
    found = {}
    for name, score in scores.items():
        order = np.lexsort((-score[kept], of))
        rank = np.empty(len(order))
        rank[order] = np.arange(len(order)) - np.searchsorted(of, of[order]) + 1
        hit = label[kept] == 1
        found[name] = rank_measures(rank[hit], of[hit], len(names), [20])["ndcg", 20]
    ranked = int(pc.sum(pc.is_valid(table.column("ranked_at"))).as_py())
    print(f"{len(table):,} samples, {ranked:,} with ranks; {len(names):,} lists of the test")
    for name, values in found.items():
        gap = values - found["the fused order"]
        parts = (clustered_interval(v, owner, np.random.default_rng(0)) for v in (values, gap))
        value, over = parts
        print(f"| {name} | {value} | {over:+} |")


if __name__ == "__main__":
    main()

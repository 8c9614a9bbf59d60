"""``audiorec recall export``: write tables for rankers and warehouses, with SQL to load them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from audiorec.errors import InputError
from audiorec.options import argument, loads, reads, writes
from audiorec_cli.shared.console import print_json, say
from audiorec_cli.shared.inputs import InputKind, check
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.options import KNOWN, JsonOption, LogOption
from audiorec_cli.shared.places import yesterdays_output
from audiorec_cli.shared.settings import SettingsOption, made

if TYPE_CHECKING:
    from audiorec.recall.serving.export.job import ExportReport

KEPT = r"manifest\.json|served/.*"  # what is read of the export of the day before
SETTINGS = ("audiorec.recall.serving.export:ExportRecipe",)


@recorded("recall export", "output", by_day="folder")
def export(
    interactions: LogOption,
    output: Annotated[
        Path, writes("--out", "-o", metavar="FOLDER", remote="goes on", help="The folder to write.")
    ],
    candidates: Annotated[
        list[Path] | None,
        argument(metavar="[CANDIDATES]", help="Tables of recall candidates, one per channel."),
    ] = None,
    recall: Annotated[
        Path | None,
        loads("--recall", "-r", metavar="FOLDER", help="A folder written by recall run."),
    ] = None,
    settings: SettingsOption = None,
    fused: Annotated[
        Path | None, reads(metavar="FILE", help="Fused lists, one per user.", panel=KNOWN)
    ] = None,
    exposures: Annotated[
        Path | None,
        reads(metavar="FILE", help="Songs shown: user_id, song_id, shown_at.", panel=KNOWN),
    ] = None,
    models: Annotated[
        Path | None,
        loads(
            metavar="FOLDER",
            help="A folder with one folder per model, for embeddings.",
            panel=KNOWN,
        ),
    ] = None,
    vectors: Annotated[
        Path | None,
        reads("--vectors", "-v", metavar="STORE", help="Sound and tags of the songs.", panel=KNOWN),
    ] = None,
    side: Annotated[
        Path | None,
        reads(metavar="FILE", help="Song metadata: artist, genre, released.", panel=KNOWN),
    ] = None,
    profiles: Annotated[
        Path | None,
        reads(metavar="FILE", help="User profiles, for models that use them.", panel=KNOWN),
    ] = None,
    json: JsonOption = False,
    *,
    done: JobSummary,
) -> None:
    r"""Export candidates with features, songs, users and training samples for a ranker.

    Adds SQL to load the tables into DuckDB, ClickHouse, Hive, Spark and Postgres. Nothing is
    rewritten if the inputs and settings have not changed.

    Examples
    --------
    audiorec recall export -i plays.parquet --recall serving/ --out export/
    audiorec recall export -i plays.parquet lists.parquet --vectors vecs.parquet \
        --set units --out export/
    audiorec recall run --config recall.toml
    """
    from audiorec.recall.serving.export.job import ExportRecipe, export_recall
    from audiorec.recall.serving.export.sources import ExportSources

    check(interactions, InputKind.LOG)
    check(vectors, InputKind.VECTORS)
    if models is not None and not models.is_dir():
        raise InputError(f"{models}: no such folder; train a model: audiorec recall train")
    found = [path.parent for path in sorted(models.glob("*/model.json"))] if models else []
    if models is not None and not found:
        raise InputError(
            f"{models}: contains no model; it needs one folder per model: "
            f"audiorec recall train vs-knn -i LOG --out {models}/vs-knn"
        )
    sources = ExportSources(
        interactions=interactions,
        candidates=tuple(candidates or ()),
        fused=fused,
        exposures=exposures,
        models=tuple(found),
        vectors=vectors,
        side=side,
        profiles=profiles,
        earlier=yesterdays_output(only=KEPT),
    )
    if recall is not None:
        sources = sources.with_run(recall)
    report = export_recall(sources, output, made(ExportRecipe, settings))
    done.count(rows=sum(report.rows.values()))
    done.count(**{f"rows/{name}": n for name, n in report.rows.items()})
    if json:
        print_json(
            {
                "schema": "audiorec/recall-export/1",
                "out": str(output),
                "is_new": report.is_new,
                "rows": report.rows,
                "samples": report.manifest["samples"],
                "units": report.manifest.get("units", {}).get("first_places"),
            }
        )
    _tell(report, interactions if recall is not None else None)


def _tell(report: "ExportReport", log_of_run: Path | None) -> None:
    """Print what was written; `log_of_run` is the log given with a run, to be compared with its."""
    parts = ", ".join(f"{name} {n:,}" for name, n in report.rows.items())
    say(f"{report.out}: {parts}{'' if report.is_new else '; nothing new'}")
    ranking = report.manifest["samples"]["ranking"]
    say(
        f"ranking samples by {ranking['by']}: {ranking.get('positive', 0):,} positive, "
        f"{ranking.get('negative', 0):,} negative, {ranking.get('pending', 0):,} still pending"
    )
    timeless = report.manifest["samples"]["recall"]["without_time"]
    if timeless:
        say(f"{timeless:,} rows of the log have no time and give no samples")
    if log_of_run is not None and not report.manifest["samples"]["served_kept"]:
        say(
            f"{log_of_run}: not the log of the run, so its lists are not kept as served; "
            "run again: audiorec recall run"
        )
    if "units" in report.manifest:
        places = report.manifest["units"]["first_places"]
        share, low, high = places["raw_cosine"]
        say(
            f"over {places['queries']:,} songs, the cosine of stored vectors agrees with similar "
            f"on the nearest song for {share:.1%} ({low:.1%} to {high:.1%}), the product of units "
            f"for {places['units'][0]:.1%}"
        )

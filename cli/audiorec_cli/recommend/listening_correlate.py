"""``audiorec listening correlate``: correlate listening with the sound of songs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from audiorec.errors import InputError
from audiorec.options import chooses
from audiorec_cli.shared.console import FIGURE_DIGITS, print_json, print_table, say
from audiorec_cli.shared.inputs import open_vectors
from audiorec_cli.shared.listening import RuleOption, SkipBadRowsOption, sound_files
from audiorec_cli.shared.options import (
    ADVANCED,
    JsonOption,
    LogOption,
    QuietOption,
    SeedOption,
    out_file,
    store_file,
)
from audiorec_cli.shared.progress import progress_lines

if TYPE_CHECKING:
    from audiorec.types import FloatArray


def correlate(
    interactions: LogOption,
    vectors: Annotated[
        Path | None,
        store_file(
            metavar="FILE",
            help="Sound of songs: a store [default: as in similar], or embeddings.parquet.",
        ),
    ] = None,
    days: Annotated[
        str | None,
        chooses(
            metavar="A..B", help="The test period [default: from 60 % of the time span to the end]."
        ),
    ] = None,
    space: Annotated[
        Literal["vector", "sound"],
        chooses(
            help="Compare songs of a store by the vector, or by sound.",
            panel=ADVANCED,
        ),
    ] = "vector",
    half_life_days: Annotated[
        float,
        chooses(help="Days in which a favourite loses half its weight.", panel=ADVANCED),
    ] = 30.0,
    min_songs: Annotated[
        int, chooses(min=3, help="Leave out users with fewer new songs.", panel=ADVANCED)
    ] = 10,
    seed: SeedOption = 0,
    rule: RuleOption = None,
    skip_bad_rows: SkipBadRowsOption = False,
    output: Annotated[
        Path | None, out_file(help="Write a Parquet file with one row per user.")
    ] = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Correlate completion of new songs with their similarity to the user's favourites.

    One Pearson r per user, compared with shuffled completions and with shuffled songs.

    Examples
    --------
    audiorec listening correlate --interactions plays.csv
    audiorec listening correlate -i plays.csv -v vecs.parquet --days 2024-02-01..
    audiorec listening correlate -i plays.csv --out users.parquet --json > r.json
    """
    from audiorec.analysis.correlation import CorrelationSpec
    from audiorec.analysis.correlation import correlate as correlate_listening
    from audiorec.listening.reading import LogReading

    if output is not None and not output.parent.is_dir():
        raise InputError(f"{output}: there is no folder {output.parent}")
    since, until = _period(days)
    how = LogReading(rule=rule, skip_bad_rows=skip_bad_rows)
    spec = CorrelationSpec(
        since=since,
        until=until,
        space=space,
        half_life_days=half_life_days,
        min_songs=min_songs,
        rule=how.liking,
        seed=seed,
    )
    song_ids, units, source = _songs(vectors, spec.space)
    log = how.log(interactions)
    for problem in log.problems:
        say(f"left out: {problem}")
    result = correlate_listening(log, song_ids, units, spec, progress=progress_lines(quiet=quiet))
    about = {"interactions": str(interactions), "simulated": log.simulated, **source}
    _deliver(result, about, output, json)


def _period(days: str | None) -> tuple[float | None, float | None]:
    """Return start and end of the test period, in seconds since 1970."""
    from audiorec.listening.log_files import Days, parse_days

    period = Days() if days is None else parse_days(days, "--days")
    return period.starts_s, period.ends_s


def _songs(
    vectors: Path | None, by: Literal["vector", "sound"]
) -> "tuple[tuple[str, ...], FloatArray, dict[str, str]]":
    """Return song ids, their vectors scaled to length 1, and the source."""
    from audiorec.analysis.correlation import embedding_units

    files = sound_files(vectors)
    if (learnt := files.get("songs")) is not None:
        from audiorec.store.embeddings import EmbeddingTable

        table = EmbeddingTable.open(learnt, kind="songs")
        return table.ids, embedding_units(table), {"embeddings": str(learnt)}
    store = files.get("vectors")
    if store is None:
        store = open_vectors(vectors)
    units = store.space(by).matrix
    return store.ids, units, {"vectors": str(store.path), "by": by}


def _deliver(found: Any, about: dict[str, Any], output: Path | None, json: bool) -> None:
    from audiorec.analysis.report import summary, write_correlations

    figures = summary(found)
    if output is not None:
        write_correlations(output, found, about=about)
        say(f"{len(found.r):,} users written to {output}")
    if json:
        print_json({"schema": "audiorec/correlation/1", **about, **figures})
    else:
        print_table(
            ("figure", "value", "low", "high"),
            _correlation_lines(figures),
            title="correlation",
            digits=FIGURE_DIGITS,
        )
    if about["simulated"]:
        say("note: simulated listening")


def _correlation_lines(figures: dict[str, Any]) -> list[tuple[object, ...]]:
    completions, songs = figures["shuffled_completions"], figures["shuffled_songs"]
    normal = figures["normality_of_z"] or {}
    return [
        ("since", figures["since"], "", ""),
        ("users", figures["users"], "", ""),
        *((f"left out: {reason}", count, "", "") for reason, count in figures["left_out"].items()),
        ("new songs a user (median)", figures["median_new_songs"], "", ""),
        ("mean r", figures["mean_r"], *figures["mean_r_interval"]),
        ("share with r > 0", figures["share_positive"], *figures["share_positive_interval"]),
        (
            "the same, completions shuffled",
            completions["share_positive"],
            *completions["share_positive_interval"],
        ),
        ("share above 95 % of shuffles", completions["users_above_95_percent"], "", ""),
        ("mean z", songs["mean_z"], "", ""),
        ("p, songs shuffled", songs["p"], "", ""),
        ("p, normal z (D'Agostino)", normal.get("k2_p"), "", ""),
    ]

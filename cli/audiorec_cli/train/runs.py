"""``audiorec runs``: list past runs, show one, or compare two."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from audiorec.errors import InputError
from audiorec.options import argument, chooses, reads
from audiorec_cli.shared.console import duration, print_json, print_table, say
from audiorec_cli.shared.options import JsonOption

if TYPE_CHECKING:
    from audiorec.runs.record import JobRun, RunDifference

HERE = Path()
MAIN_COUNTS = ("failed", "users", "songs", "rows", "lists", "buckets", "extracted", "opened")
SHOWN_COUNTS = 3
SHOWN_DRIFTS = 10
NEWEST = 50  # runs that are listed


def runs(
    named: Annotated[
        list[str] | None,
        argument(
            metavar="RUN",
            help="One run to show or two to compare: outputs, or first digits of ids.",
        ),
    ] = None,
    place: Annotated[
        Path,
        reads(
            "--in",
            metavar="PLACE",
            help="The folder, or the output, whose runs are meant [default: this folder].",
            only=r".*run\.json",
        ),
    ] = HERE,
    differ: Annotated[
        bool, chooses("--diff", help="Compare the last two runs of the output.")
    ] = False,
    job: Annotated[
        str | None, chooses(metavar="NAME", help='List only runs of this command: "recall run".')
    ] = None,
    json: JsonOption = False,
) -> None:
    """List past runs, newest first; show one; or compare two: every job leaves a record.

    A comparison shows arguments, versions, counts, durations, and drift of the scores.

    Examples
    --------
    audiorec runs --in serving --job "recall run"
    audiorec runs vecs.parquet --diff
    audiorec runs 3fa91c 77b02e --json
    """
    given = named or []
    if len(given) > 2:
        raise InputError(f"name one run to show or two to compare, not {len(given)}")
    if differ and len(given) != 1:
        raise InputError("--diff compares the last two runs of one output: name it")
    if differ or len(given) == 2:
        _compare(given, place, json=json)
    elif given:
        _show(given[0], place, json=json)
    else:
        _list(place, job, json=json)


def _list(place: Path, job: str | None, *, json: bool) -> None:
    from audiorec.runs.record import find_runs, runs_of

    own = [] if place == HERE else runs_of(str(place))
    result, problems = find_runs(place) if place.is_dir() or not own else ([], [])
    by_id = {run.run_id: run for run in (*own, *result)}
    runs = sorted(by_id.values(), key=lambda run: run.started_at, reverse=True)
    shown = [run for run in runs if job is None or run.job == job][:NEWEST]
    for problem in problems:
        say(f"warning: {problem}")
    if json:
        print_json({"schema": "audiorec/runs/1", "runs": [run.to_dict() for run in shown]})
        return
    rows = [
        (
            run.run_id,
            _local(run.started_at),
            run.job,
            run.output,
            run.exit_code,
            duration(run.wall_s),
            len(run.warnings),
            run.error or _main_counts(run),
        )
        for run in shown
    ]
    heads = ("id", "started", "job", "output", "exit", "took", "warnings", "result")
    print_table(heads, rows, title=f"{len(shown)} of {len(runs)} runs")


def _show(run: str, folder: Path, *, json: bool) -> None:
    from audiorec.runs.record import find_run

    result = find_run(run, folder)
    if json:
        print_json({"schema": "audiorec/run/1", **result.to_dict()})
        return
    facts: list[tuple[str, object]] = [
        ("id", result.run_id),
        ("job", result.job),
        ("output", result.output),
        ("command", " ".join(result.arguments)),
        ("started", _local(result.started_at)),
        ("ended", _local(result.ended_at)),
        ("exit code", result.exit_code),
        ("seconds", round(result.wall_s, 1)),
        ("CPU-seconds", round(result.cpu_s, 1)),
    ]
    facts += [("error", result.error)] if result.error else []
    facts += [(name, n) for name, n in result.counts.items()]
    facts += [(f"version of {name}", text) for name, text in result.versions.items()]
    facts += [("extractor_id", result.extractor_id)] if result.extractor_id else []
    facts += [(f"mean of {name}", result.scores.mean(name)) for name in sorted(result.scores.sums)]
    facts += [("warning", text) for text in result.warnings]
    print_table(("what", "value"), facts, title=result.output)


def _compare(given: list[str], folder: Path, *, json: bool) -> None:
    from audiorec.runs.record import compare_runs, find_run, runs_of
    from audiorec.runs.report import LARGE

    if len(given) == 1:
        runs = [run for run in runs_of(given[0]) if not run.error]
        if len(runs) < 2:
            raise InputError(
                f"{given[0]}: has {len(runs)} of the two finished runs that --diff needs"
            )
        result = compare_runs(runs[-2], runs[-1])
    else:
        result = compare_runs(*(find_run(one, folder) for one in given))
    if json:
        print_json(_document(result))
        return
    ids = result.before.run_id, result.now.run_id
    if ids[0] == ids[1]:
        say("note: both are the same run")
    print_table(("what", *ids), _rows(result), title=f"{result.before.output}, {result.now.output}")
    if result.drifts:
        drifted = [one.name for one in result.drifts if one.is_drift]
        names = ", ".join(drifted) or "none"
        say(f"scores that drifted (a PSI of {LARGE} or more, and beyond chance): {names}")


def _rows(found: "RunDifference") -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = [
        ("started", _local(found.before.started_at), _local(found.now.started_at)),
        ("exit code", found.before.exit_code, found.now.exit_code),
    ]
    if found.left_out or found.added:
        rows.append(("arguments", " ".join(found.left_out), " ".join(found.added)))
    rows += [(name, *pair) for name, pair in found.versions.items()]
    rows += [(name, *pair) for name, pair in found.counts.items()]
    rows += [
        (f"{one.name}, PSI {one.psi:.2f}", one.before, one.now)
        for one in found.drifts[:SHOWN_DRIFTS]
    ]
    return rows


def _document(found: "RunDifference") -> dict[str, Any]:
    return {
        "schema": "audiorec/runs-diff/1",
        "before": found.before.run_id,
        "now": found.now.run_id,
        "outputs": [found.before.output, found.now.output],
        "arguments": {"left_out": list(found.left_out), "added": list(found.added)},
        "versions": {name: list(pair) for name, pair in found.versions.items()},
        "counts": {name: list(pair) for name, pair in found.counts.items()},
        "scores": [
            {
                "class": one.name,
                "before": round(one.before, 6),
                "now": round(one.now, 6),
                "psi": round(one.psi, 6),
                "is_drift": one.is_drift,
            }
            for one in found.drifts
        ],
    }


def _main_counts(run: "JobRun") -> str:
    names = [name for name in MAIN_COUNTS if run.counts.get(name)][:SHOWN_COUNTS]
    return ", ".join(f"{run.counts[name]:,.0f} {name}" for name in names)


def _local(moment: str) -> str:
    """Format a time in the local time zone."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")

"""``audiorec recall run`` and ``promote``: the nightly job, and which of its days is served."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from audiorec.errors import InputError
from audiorec.options import chooses, writes
from audiorec_cli.shared.console import Exit, print_json, print_table, say
from audiorec_cli.shared.engines import Engines
from audiorec_cli.shared.jobs import MetricsOption, job
from audiorec_cli.shared.options import JsonOption, QuietOption
from audiorec_cli.shared.places import outputs
from audiorec_cli.shared.progress import graceful_stop, stopped
from audiorec_cli.shared.training import epoch_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audiorec.recall.serving.nightly.places import Decision
    from audiorec.recall.serving.nightly.state import Step
    from audiorec.types import LineProgress


def run(
    config: Annotated[
        Path,
        writes(
            "--config",
            "-c",
            metavar="TOML",
            help="Settings with a table [recall].",
            remote="itself",
        ),
    ],
    day: Annotated[
        str | None,
        writes(metavar="DAY", help="Run as of the end of this day; write OUT/dt=DAY/."),
    ] = None,
    dry_run: Annotated[
        bool, chooses("--dry-run", help="Only print the steps, and the CPU time of each.")
    ] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    metrics_textfile: MetricsOption = None,
    *,
    engines: Engines,
) -> None:
    """Retrain stale models, and write a list of songs for every user.

    Steps that are up to date are skipped: the same command resumes an interrupted run, and ends at
    once if nothing has changed. With --day, the lists of that day are served from then on, unless
    they are worse than those of the day that is served: then it ends with 3.

    Examples
    --------
    audiorec recall run --config recall.toml
    audiorec recall run --config recall.toml --dry-run
    audiorec recall run --config recall.toml --day 2026-11-25
    """
    from audiorec.files.storage import join
    from audiorec.listening.log_files import parse_day
    from audiorec.recall.serving.nightly.places import open_night

    opened = open_night(config, parse_day(day, "--day") if day else None)
    night, out = opened.job, opened.out
    if dry_run:
        _print_plan(night.steps(), night.run_id, json=json)
        if opened.delivery is not None:
            opened.delivery.release()
        return
    if opened.delivery is not None:
        outputs().waiting.append(opened.delivery)

    def tell(step: "Step") -> "LineProgress | None":
        if quiet:
            return None
        say(f"{step.name}: {step.out}")
        return epoch_line

    with job("recall run", out, metrics_textfile, place=opened.record) as done:
        with graceful_stop("this step is", quiet=quiet) as stop, engines.work(quiet=quiet) as work:
            record = night.run(progress=tell, stop=work.stop or stop, engine=work.engine)
        if record is None:
            raise stopped()
        done.count(users=record["users"], rows=record["rows"], cold=record["cold"])
        done.count(default_users=record["default_users"])
        done.count(**record["lists"])
        proposed = night.proposed()
        done.count(**{f"proposed/{name}": n for name, n in proposed.items()})
        shown = {name: record["channels"].get(name, 0) for name in proposed if proposed[name]}
        done.count(**{f"channels/{name}": n for name, n in shown.items()})
        note = night.weighed()[1]  # read from the lists, which may be sent elsewhere
        outputs().deliver()
        decision = opened.promote()
        if decision is not None:
            done.count(served=decision.is_served)
            record |= {"promotion": asdict(decision)}
        if json:
            print_json(record)
        if n := record["default_users"]:
            say(
                f"{n:,} users get the default list, what is popular now: "
                "no channel has songs for them"
            )
        if note:
            say(f"note: {note}")
        _say_judged(record["judged"], night.learnt_below())
        parts = ", ".join(f"{name} {n:,}" for name, n in sorted(record["channels"].items()))
        say(
            f"run {record['run_id']}: {record['rows']:,} songs for {record['users']:,} users: "
            f"{out}; by channel: {parts}; report: {join(out, 'report.md')}"
        )
        if decision is not None:
            say(_decided(decision, str(day), opened.root))
            if decision.is_refused:
                raise click.exceptions.Exit(Exit.SOME_FAILED)


def _decided(decision: "Decision", day: str, root: str) -> str:
    """Return what became of a day, in words."""
    if decision.is_served:
        return f"{day} is served: {decision.why}"
    line = f"{day} is not served: {decision.why}"
    by_hand = f"to serve it all the same: audiorec recall promote {root} --day {day}"
    return f"{line}; {by_hand}" if decision.is_refused else line


def promote(
    folder: Annotated[
        Path,
        writes(metavar="DIR", help="Output of recall run --day.", argument=True, remote="itself"),
    ],
    day: Annotated[str | None, writes(metavar="DAY", help="Serve this day.")] = None,
    back: Annotated[bool, writes("--back", help="Serve the day that was served before.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the days of a nightly run and which one is served, or serve another one.

    A day that is taken back is not promoted by a later run. serve follows within seconds.

    Examples
    --------
    audiorec recall promote serving/
    audiorec recall promote serving/ --day 2026-11-25
    audiorec recall promote serving/ --back
    """
    from audiorec.listening.log_files import parse_day
    from audiorec.recall.serving.nightly.current import promote as serve_day
    from audiorec.recall.serving.nightly.promotion import nights_of

    if day is not None and back:
        raise InputError("give either --day or --back")
    if day is not None or back:
        found = serve_day(folder, parse_day(day, "--day") if day else None)
        say(f"{found.day} is served: {folder}")
        if not json:
            return
    nights = nights_of(folder)
    if json:
        print_json({"schema": "audiorec/recall-days/1", "days": nights})
        return
    rows = [tuple(one.values()) for one in nights]
    print_table(("day", "state", "compared"), rows, title=str(folder))


def _say_judged(judged: "Mapping[str, Any]", learnt: str) -> None:
    """Warn if fused lists are worse than those of one channel, as far as that is known."""
    from audiorec.recall.serving.nightly.report import fused_below

    for line in (*fused_below(judged), *([learnt] if learnt else [])):
        say(f"warning: {line}")
    if not judged["users"]:
        say("note: no lists of an earlier night to judge by plays since: channels not compared")


def _print_plan(steps: "list[Step]", run_id: str, *, json: bool) -> None:
    if json:
        shown: list[dict[str, Any]] = [
            {"step": s.name, "out": str(s.out), "is_done": s.is_done, "cpu_s": s.cpu_s}
            for s in steps
        ]
        print_json({"schema": "audiorec/recall-plan/1", "run_id": run_id, "steps": shown})
        return
    rows = [
        (s.name, "up to date" if s.is_done else "to do", "" if s.cpu_s is None else s.cpu_s)
        for s in steps
    ]
    print_table(("step", "state", "last CPU-s"), rows, title=f"run {run_id}")
    ahead = [step for step in steps if not step.is_done]
    known = [step.cpu_s for step in ahead if step.cpu_s is not None]
    new = len(ahead) - len(known)
    unknown = f"; {new} have never run, so their cost is unknown" if new else ""
    say(f"{len(ahead)} of {len(steps)} steps to do, about {sum(known):,.1f} CPU-s{unknown}")

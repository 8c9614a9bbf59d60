"""What a person is told after a run, and what the process returns."""

from typing import TYPE_CHECKING

from audiorec_cli.shared.console import Exit, duration, say
from audiorec_cli.shared.observers import stage_line

if TYPE_CHECKING:
    from audiorec.runs.report import RunReport
    from audiorec.store.journal import Outputs


def print_counts(report: "RunReport") -> None:
    """Say what came of the songs: counts by status, speed, and where the time went."""
    parts = [f"{count} {status}" for status, count in sorted(report.statuses.items())]
    line = f"{report.extracted} extracted" + (f" ({', '.join(parts)})" if parts else "")
    more = {
        "moved or retagged": report.reused,
        "copied from known songs": report.copies,
        "under a new id": report.relabelled,
        "unchanged": report.unchanged,
        "failed": report.failed,
        "failed before": report.failed_before,
        "pruned": report.pruned,
    }
    line += "".join(f", {count} {what}" for what, count in more.items() if count)
    speed = report.audio_s / report.wall_s if report.wall_s > 0 else 0.0
    if report.extracted:
        line += f"; {duration(report.audio_s)} of audio in {duration(report.wall_s)} ({speed:.0f}x)"
    say(line)
    if report.extracted:
        say(f"  {stage_line(report.cpu_s)}")
    for status, count in report.failures.most_common():
        say(f"  failed: {count} {status}")
    if report.damaged_records:
        say(
            f"  {report.damaged_records} damaged places in what an earlier start had left: "
            "their songs were extracted again"
        )


def print_summary(report: "RunReport", outputs: "Outputs") -> None:
    """Say what came of the run, and where the files are."""
    print_counts(report)
    if report.stopped is not None:
        say(
            f"stopped ({report.stopped}); finished songs are kept in {outputs.run_dir}, the same "
            "command goes on from there"
        )
        return
    for place, count in report.unpruned.items():
        say(
            f"kept {count} of the rows below {place}: it cannot be looked at, or has no songs like "
            "a disk that is not mounted; if they are gone, remove the folder"
        )
    say(f"vectors: {outputs.vectors}")
    if report.failed or report.failed_before:
        say(f"reasons: {outputs.errors} (--retry-failed tries them again)")


def exit_code_of(report: "RunReport") -> Exit:
    """Return what the process is to return after a run."""
    if report.stopped == "interrupted":
        return Exit.INTERRUPTED
    if report.stopped == "max_failures":
        return Exit.TOO_MANY_FAILURES
    if not report.usable:
        return Exit.NOTHING_USABLE
    return Exit.SOME_FAILED if report.failed + report.failed_before else Exit.OK

"""Summary and exit code of an extraction run."""

from shlex import quote
from typing import TYPE_CHECKING

from audiorec_cli.shared.console import Exit, duration, say
from audiorec_cli.shared.observers import stage_line
from audiorec_cli.shared.stores import DEFAULT

if TYPE_CHECKING:
    from audiorec.runs.report import RunReport
    from audiorec.store.journal import Outputs
RAISES = {
    "timeout": "--set timeout=SECONDS",
    "oom": "--set memory=MIB",
    "too_long": "--set max_duration=SECONDS",
}


def print_counts(report: "RunReport") -> None:
    """Print counts by status, speed, and the CPU time of each stage."""
    parts = [f"{count} {status}" for status, count in sorted(report.statuses.items())]
    line = f"{report.extracted} extracted" + (f" ({', '.join(parts)})" if parts else "")
    more = {
        "moved or retagged": report.reused,
        "copied from identical audio": report.copies,
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
        remedy = f" ({RAISES[status]} raises the limit)" if status in RAISES else ""
        say(f"  failed: {count} {status}{remedy}")
    for song in report.failed_songs:
        say(f"    {song.song_id}: {song.status}: {song.message}")
    if report.failed_songs and (unnamed := report.failed - len(report.failed_songs)):
        say(f"    and {unnamed} more")
    if report.damaged_records:
        say(
            f"  {report.damaged_records} damaged records in the journal of an earlier run: "
            "their songs were extracted again"
        )


def print_summary(report: "RunReport", outputs: "Outputs") -> None:
    """Print the result of a run and the paths of its files."""
    print_counts(report)
    if report.stopped is not None:
        say(
            f"stopped ({report.stopped}); finished songs are kept in {outputs.run_dir}, run the "
            "same command to resume"
        )
        return
    for place, count in report.unpruned.items():
        say(
            f"kept {count} of the rows below {place}: it cannot be read or has no songs, as if "
            "a disk is not mounted; if the songs are gone, remove the folder"
        )
    say(f"vectors: {outputs.vectors}")
    if report.failed or report.failed_before:
        place = (
            "" if str(outputs.vectors) == DEFAULT else f" --vectors {quote(str(outputs.vectors))}"
        )
        say(f"reasons: {outputs.errors}; of one file: audiorec info FILE{place}")
        say("  --retry-failed retries them")


def exit_code_of(report: "RunReport") -> Exit:
    """Return the exit code of a run."""
    if report.stopped == "interrupted":
        return Exit.INTERRUPTED
    if report.stopped == "max_failures":
        return Exit.TOO_MANY_FAILURES
    if not report.usable:
        return Exit.NOTHING_USABLE
    return Exit.SOME_FAILED if report.failed + report.failed_before else Exit.OK

"""``audiorec retag ROOT...``: write version, genre and mood into the tags of files, or undo it."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from audiorec.errors import InputError
from audiorec.options import argument, chooses, writes
from audiorec_cli.shared.console import Exit, counted, print_json, print_table, say
from audiorec_cli.shared.extraction import limits_of
from audiorec_cli.shared.inputs import VectorsOption, open_vectors
from audiorec_cli.shared.jobs import JobSummary, MetricsOption, job
from audiorec_cli.shared.options import ADVANCED, JsonOption, QuietOption
from audiorec_cli.shared.pages import Command
from audiorec_cli.shared.progress import song_counter, stopped

if TYPE_CHECKING:
    from audiorec_retag.retagging import Retagged, Retagging

TIMEOUT_S = 600.0  # of a song
COLUMNS = ("state", "song", "fields")


def retag(
    roots: Annotated[
        list[Path],
        argument(metavar="ROOT...", help="Folders or songs; no other file is opened."),
    ],
    vectors: VectorsOption = None,
    fields: Annotated[
        list[str] | None,
        chooses(
            "--field",
            metavar="NAME",
            help="AUDIOREC_VERSION, AUDIOREC_GENRE, AUDIOREC_MOOD, genre, mood, bpm or key; may be "
            "repeated.  [default: AUDIOREC_VERSION and AUDIOREC_GENRE]",
        ),
    ] = None,
    write: Annotated[
        bool, writes("--write", help="Write the tags; without it, a dry run.")
    ] = False,
    replace: Annotated[
        bool, writes("--replace", help="Overwrite fields that have another value.")
    ] = False,
    unclear: Annotated[
        bool, writes("--unclear", help="Write genres that are not clear as well.")
    ] = False,
    undo: Annotated[
        Path | None,
        writes(
            metavar="FILE",
            help="Undo the changes in this undo file (with --write).",
        ),
    ] = None,
    keep_mtime: Annotated[
        bool,
        writes(
            "--keep-mtime",
            help="Keep modification times; music servers notice nothing.",
            panel=ADVANCED,
        ),
    ] = False,
    jobs: Annotated[int, chooses("--jobs", "-j", min=1, help="Worker processes.")] = 1,
    quiet: QuietOption = False,
    json: JsonOption = False,
    metrics_textfile: MetricsOption = None,
) -> None:
    """Write what songs are, their tempo and key into their files' tags; a dry run by default.

    Existing fields and all other tags are kept; genres are written where they are clear. A file is
    replaced atomically by a copy verified to hold the same audio; --undo restores every file byte
    for byte.

    Examples
    --------
    audiorec retag Jazz
    audiorec retag Jazz --field genre --field AUDIOREC_VERSION --json
    audiorec retag Jazz --undo retag-20261126T120000Z.undo.jsonl --write
    """
    from audiorec_retag.retagging import restore
    from audiorec_retag.retagging import retag as retag_songs

    if undo is not None and (fields or replace or unclear or keep_mtime):
        raise InputError("--undo can only be combined with ROOT and --write")
    store: Any = open_vectors(vectors, empty=False) if undo is None else None
    output = f"{store.path}.retag" if undo is None else undo
    with job("retag", output, metrics_textfile) if write else nullcontext(JobSummary("")) as noted:
        try:
            with song_counter(0, quiet=quiet, prints_rows=False) as count:

                def after_each(song: "Retagged") -> None:
                    count(song.song_id, song.state == "refused")

                if undo is not None:
                    done = restore(undo, roots, write=write, after_each=after_each)
                else:
                    done = retag_songs(
                        store,
                        roots,
                        fields=fields or None,
                        write=write,
                        replace=replace,
                        unclear=unclear,
                        keep_mtime=keep_mtime,
                        jobs=jobs,
                        limits=limits_of(TIMEOUT_S),
                        after_each=after_each,
                    )
        except KeyboardInterrupt:
            raise stopped() from None
        if not done.songs:
            where = " ".join(map(str, roots))
            raise InputError(f"{where}: has no song of the {'undo file' if undo else 'store'}")
        noted.count(opened=len(done.songs), failed=done.counts.get("refused", 0), **done.counts)
        _print(done, json=json, undoing=undo is not None)
        _say_summary(done, write=write)
        if any(song.state == "refused" for song in done.songs):
            raise click.exceptions.Exit(Exit.SOME_FAILED)


def _print(done: "Retagging", *, json: bool, undoing: bool) -> None:
    from audiorec_retag.retagging import described

    if json:
        document: dict[str, Any] = {
            "schema": "audiorec/retag/1",
            "undo": undoing,
            "undo_file": str(done.undo_file) if done.undo_file else None,
            "counts": done.counts,
            "elsewhere": done.elsewhere,
            "unclear": done.unclear,
            "songs": [
                {
                    "song_id": song.song_id,
                    "path": song.path,
                    "state": song.state,
                    "put": {name: list(values) for name, values in song.put.items()},
                    "kept": {name: list(values) for name, values in song.kept.items()},
                    "reason": song.reason,
                }
                for song in done.songs
            ],
        }
        print_json(document)
        return
    rows = [(song.state, song.song_id or song.path, described(song)) for song in done.songs]
    print_table(COLUMNS, rows, title="undo" if undoing else "tags")


def _say_summary(done: "Retagging", *, write: bool) -> None:
    say(", ".join(f"{count} {state}" for state, count in done.counts.items()))
    if done.elsewhere:
        say(f"{done.elsewhere} songs of the store lie elsewhere and were skipped")
    if done.unclear:
        songs = counted(done.unclear, "song")
        say(f"{songs} with an unclear genre: none is written; to write it, add --unclear")
    if not write:
        say("dry run: nothing was written; to write, add --write")
    elif done.undo_file is not None:
        say(f"to undo: audiorec retag ROOT --undo {done.undo_file} --write")


app = Command("retag", retag, panel="", here="writes to local songs")

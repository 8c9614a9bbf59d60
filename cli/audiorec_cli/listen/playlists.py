"""``audiorec playlists``: divide the whole library into named playlists."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from audiorec.errors import InputError
from audiorec.options import chooses
from audiorec.search.questions import (
    ALSO,
    COMPARED,
    EXCLUDE,
    GENRE_FROM,
    ONE_VERSION,
    ONLY,
    Also,
    Choice,
    GenreFrom,
)
from audiorec_cli.shared.console import counted, duration, print_json, print_table, say
from audiorec_cli.shared.inputs import VectorsOption, open_vectors, say_basis
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.options import ADVANCED, JsonOption, out_file

if TYPE_CHECKING:
    from audiorec.playlists.library_lists import DividedLibrary
    from audiorec.playlists.list_folder import WrittenLists

COLUMNS = ("name", "share", "songs", "length", "most typical")


@recorded("playlists", "output")
def playlists(
    vectors: VectorsOption = None,
    output: Annotated[
        Path | None,
        out_file(metavar="FOLDER", help="Write each list there as .m3u8."),
    ] = None,
    size: Annotated[
        int, chooses("--size", min=2, help="Songs per list; from a third to twice as many.")
    ] = 25,
    only: Annotated[str | None, ONLY] = None,
    exclude: Annotated[Collection[str], EXCLUDE] = (),
    regroup: Annotated[
        bool, chooses("--regroup", help="Divide all songs afresh; similar lists keep names.")
    ] = False,
    json: JsonOption = False,
    by: Annotated[str | Path, COMPARED] = "auto",
    also: Annotated[Collection[Also], ALSO] = (),
    one_version: Annotated[bool, ONE_VERSION] = False,
    genre_from: Annotated[GenreFrom, GENRE_FROM] = "tags",
    absolute: Annotated[
        bool, chooses("--absolute", help="Use absolute paths, not relative ones.", panel=ADVANCED)
    ] = False,
    *,
    done: JobSummary,
) -> None:
    """Divide the whole library into named playlists, by sound.

    A name says what at least half of its songs have, or names the most typical song. With --out,
    lists are files, which the next run updates: songs stay in their list, new ones join the
    nearest, names stay while they are true. Files that others wrote or edited are left alone.

    Examples
    --------
    audiorec playlists --size 5
    audiorec playlists --out lists --size 10
    audiorec playlists --out lists --only "duration<10:00" --json
    """
    from audiorec.playlists.library_lists import divide_library, read_lists
    from audiorec.playlists.list_folder import write_lists
    from audiorec.search.choice import non_music_left_out

    if output is not None and not output.absolute().parent.is_dir():
        raise InputError(f"{output}: folder {output.parent} does not exist; create it first")
    store = open_vectors(vectors, empty=False, by=by)
    earlier = read_lists(output) if output is not None else None
    if earlier is not None and regroup:
        earlier = replace(earlier, size=0)  # never fits, so only names are kept
    divided = divide_library(
        store,
        size=size,
        by=by,
        choice=Choice(
            only=only,
            exclude=exclude,
            also=also,
            one_version=one_version,
            genre_from=genre_from,
        ),
        earlier=earlier,
    )
    written = write_lists(divided, output, absolute=absolute) if output is not None else None
    done.count(lists=len(divided), songs=sum(map(len, divided)), new=divided.new)
    if json:
        print_json(_document(divided, written))
    else:
        rows = [
            (
                *(one.name, _share(one.naming.share), len(one)),
                *(duration(sum(s["duration_s"] for s in one.songs)), one.song_ids[0]),
            )
            for one in divided
        ]
        print_table(COLUMNS, rows, title=f"{counted(len(divided), 'playlist')}, by {divided.by}")
    say_basis(store, by)
    if divided.not_music:
        say(non_music_left_out(divided.not_music))
    if divided.copies:
        copies = counted(divided.copies, "copy", "copies")
        say(f"{copies} of these songs left out (--also copies keeps them)")
    if divided.not_compared:
        left = counted(divided.not_compared, "song")
        say(f"{left} left out: nothing to compare by")
    if earlier is not None:
        say(f"{counted(divided.new, 'new song')}, {divided.moved} moved to another list")
    if output is not None and written is not None:
        _say_written(written, output)


def _share(share: float | None) -> str:
    """Return the share of songs that have what the name says."""
    return "" if share is None else f"{100 * share:.0f} %"


def _document(divided: "DividedLibrary", written: "WrittenLists | None") -> dict[str, Any]:
    files = written.files if written is not None else {}
    return {
        "schema": "audiorec/playlists/1",
        "vectors": str(divided.store.path),
        "by": divided.by,
        "extractor_id": divided.store.metadata.extractor_id,
        "size": divided.size,
        "not_music": divided.not_music,
        "copies": divided.copies,
        "not_compared": divided.not_compared,
        "new": divided.new,
        "moved": divided.moved,
        "lists": [
            {
                "name": one.name,
                "file": files.get(one.name),
                "went_on": one.went_on,
                "share": None if one.naming.share is None else round(one.naming.share, 4),
                "seconds": round(sum(float(s["duration_s"]) for s in one.songs), 3),
                "songs": one.song_ids.tolist(),
            }
            for one in divided
        ],
    }


def _say_written(written: "WrittenLists", folder: Path) -> None:
    say(
        f"{folder}: {counted(written.written, 'list')} written, {written.unchanged} unchanged, "
        f"{written.removed} removed"
    )
    for name in written.left_alone:
        say(f"note: {name} was written or edited by others, and is left alone")
    for path in written.left_out:
        say(f"left out, as a playlist cannot hold its name: {path}")

"""``audiorec manifest``: list the songs of a sharded run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from audiorec.options import argument, reads
from audiorec_cli.library.extract import say_unseen
from audiorec_cli.shared.console import Exit, counted, file_size, no_songs, print_json, say
from audiorec_cli.shared.options import (
    ExcludePathsOption,
    IdFromOption,
    IncludeOption,
    JsonOption,
    out_file,
)

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source


def manifest(
    places: Annotated[
        list[str],
        argument(metavar="PLACE", help="Folders, files, globs, or URIs of folders."),
    ],
    out: Annotated[
        str, out_file(metavar="FILE", help="The manifest to write: a path or a URI.")
    ] = "manifest.parquet",
    new_to: Annotated[
        Path | None,
        reads(
            metavar="STORE",
            help="Omit songs that this store has, unchanged by path, size and time.",
        ),
    ] = None,
    id_from: IdFromOption = "path",
    include: IncludeOption = None,
    exclude: ExcludePathsOption = None,
    json: JsonOption = False,
) -> None:
    """List songs in a manifest, for audiorec shards on one machine or many.

    A manifest fixes the songs of a run, their order, and the run's timestamp. Songs are not
    opened, except to read their tags with --id-from tag:NAME.

    Examples
    --------
    audiorec manifest ~/Music
    audiorec manifest ~/Music --include "*.mp3" --out mp3.parquet
    audiorec manifest ~/Music --new-to vecs.parquet --out new.parquet
    """
    from audiorec.extraction.catalogue import parse_naming
    from audiorec.extraction.manifest import find_sources, write_manifest

    name = parse_naming(id_from, vectors=new_to)
    sources = find_sources(places, include=include or (), exclude=exclude or (), song_id=name)
    if name.unnamed:
        count, one = len(name.unnamed), name.unnamed[0]
        say(f"note: no id by --id-from {id_from} for {counted(count, 'song')}, such as {one}")
    say_unseen(sources)
    unseen = sum(bool(source.problem) for source in sources)
    result = len(sources) - unseen
    if new_to is not None:
        sources = _new(sources, new_to)
    if not result:
        raise no_songs()
    write_manifest(out, sources)
    songs = len(sources) - unseen
    size = sum(max(source.size, 0) for source in sources)
    if json:
        print_json(
            {
                "schema": "audiorec/manifest/1",
                "manifest": out,
                "songs": songs,
                "known": result - songs,
                "unseen": unseen,
                "bytes": size,
            }
        )
    known = f", {result - songs} already known" if new_to is not None else ""
    say(f"{counted(songs, 'song')} ({file_size(size)}){known}: {out}")
    if unseen:
        unread = counted(unseen, "place")
        say(f"{unread} could not be read and will fail in the run; fix them and list again")
        raise click.exceptions.Exit(Exit.SOME_FAILED)


def _new(sources: "list[Source]", store_path: Path) -> "list[Source]":
    """Omit songs that the store has with the same id, path, size and modification time."""
    from audiorec.library.library import open_store

    store = open_store(store_path)
    names = ("song_id", "uri", "size", "mtime_ns")
    rows = zip(*(store.column(name).to_pylist() for name in names), strict=True)
    known = set(rows)
    return [s for s in sources if (s.song_id, s.uri, s.size, s.mtime_ns) not in known]

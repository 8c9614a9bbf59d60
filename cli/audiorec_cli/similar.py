"""``audiorec similar SONG``: the songs that sound most like one song."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec_cli.console import duration, out, print_json, print_table, say
from audiorec_cli.stores import VectorsOption, open_vectors

if TYPE_CHECKING:
    from audiorec.types import FloatArray, Neighbour
    from audiorec.vectors.store import VectorStore

COLUMNS = ("rank", "similarity", "song_id", "artist", "title", "length")


def similar(
    song: Annotated[
        str, typer.Argument(help="A song id, a unique part of one, or any audio file.")
    ],
    vectors: VectorsOption = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many songs.")] = 10,
    by: Annotated[
        Literal["vector", "mean"],
        typer.Option(help="The weighted vector, or the mean scores alone (the baseline)."),
    ] = "vector",
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    m3u8: Annotated[
        Path | None, typer.Option("--m3u8", help="Write a playlist; - for stdout.")
    ] = None,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="Absolute paths in the playlist.")
    ] = False,
) -> None:
    """List the songs that sound most like a song of the store, or like any audio file."""
    store = open_vectors(vectors)
    name, query, own_row = _query(store, song)
    neighbours = store.similar(query, k, by=by)
    if json:
        print_json(_document(store, name, by, neighbours))
    elif m3u8 is None:
        rows = [_line(rank, n) for rank, n in enumerate(neighbours, start=1)]
        print_table(COLUMNS, rows, title=f"similar to {name}")
    if m3u8 is not None:
        rows_in_order = ([own_row] if own_row else []) + [dict(n.row) for n in neighbours]
        _write_playlist(rows_in_order, m3u8, absolute)
    if not neighbours:
        say("the store has no other song; add some with audiorec extract")


def _query(
    store: "VectorStore", song: str
) -> "tuple[str, str | FloatArray, dict[str, Any] | None]":
    """Return the name, what to search for, and the song's row where the store has it."""
    from audiorec.errors import UnknownSongError

    is_file = Path(song).is_file()
    try:
        song_id = song if song in store else store.resolve(song) if not is_file else None
    except UnknownSongError as error:
        if Path(song).suffix and not error.near:
            say(f"note: {song} is no file either")
        raise
    if song_id is not None:
        return song_id, song_id, store.row(song_id)
    known = store.find_uri(str(Path(song).absolute()))
    if known is not None:
        return known, known, store.row(known)
    return song, _vector_of_file(store, song), None


def _vector_of_file(store: "VectorStore", path: str) -> "FloatArray":
    """Extract a song that the store does not know, with the extractor that made the store."""
    from audiorec.errors import SpecMismatchError
    from audiorec.pipeline import Extractor

    extractor = Extractor()
    theirs = store.metadata.extractor_id
    if extractor.extractor_id != theirs:
        raise SpecMismatchError(
            f"{store.path} was made by extractor {theirs}, this audiorec is "
            f"{extractor.extractor_id}: name a song of the store, or extract the store again"
        )
    return extractor.song(path).vector


def _line(rank: int, neighbour: "Neighbour") -> tuple[object, ...]:
    row = neighbour.row
    length = duration(float(row["duration_s"]))
    return rank, neighbour.similarity, neighbour.song_id, row["artist"], row["title"], length


def _document(
    store: "VectorStore", name: str, by: str, neighbours: "list[Neighbour]"
) -> dict[str, Any]:
    fields = ("uri", "artist", "title", "album", "duration_s", "status")
    songs = [
        {
            "rank": rank,
            "song_id": n.song_id,
            "similarity": round(n.similarity, 6),
            **{f: n.row.get(f) for f in fields},
        }
        for rank, n in enumerate(neighbours, start=1)
    ]
    return {
        "schema": "audiorec/similar/1",
        "query": name,
        "by": by,
        "exact": True,
        "vectors": str(store.path),
        "extractor_id": store.metadata.extractor_id,
        "songs": songs,
    }


def _write_playlist(rows: list[dict[str, Any]], target: Path, absolute: bool) -> None:
    from audiorec.vectors.m3u8 import PlaylistEntry, render_m3u8, write_m3u8

    entries = [
        PlaylistEntry(
            path=row["uri"], duration_s=row["duration_s"], artist=row["artist"], title=row["title"]
        )
        for row in rows
    ]
    if str(target) == "-":
        text, left_out = render_m3u8(entries, folder=None if absolute else Path.cwd())
        out(text.rstrip("\n"))
    else:
        left_out = write_m3u8(entries, target, absolute=absolute)
        say(f"{len(entries) - len(left_out)} songs written to {target}")
    for entry in left_out:
        say(f"left out, its name cannot stand in a playlist: {entry.path}")

"""Seed songs: ids, parts of ids, lists of ids, and audio files that are not in the store."""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.console import say
from audiorec_cli.shared.options import more

if TYPE_CHECKING:
    from audiorec.extraction.pipeline import Song
    from audiorec.extraction.reader import Reader
    from audiorec.library.library import Library
    from audiorec.search.space import Space
    from audiorec.store.store import VectorStore
    from audiorec.types import FloatArray

PLAYLISTS = (".m3u", ".m3u8")
SeedsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SONG", help="Song ids, unique parts of them, or audio files.", show_default=False
    ),
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="FILE", help="A playlist, or a list of ids, # for comments; -: stdin."
    ),
]

MeanOption = Annotated[
    bool,
    more("--mean", help="Search near the mean of several seeds, instead of near each of them."),
]


@dataclass(frozen=True, slots=True)
class Seed:
    """A seed song: a row of the store, or a file that is not in the store (`row` is None).

    `entry` has the columns of the store, or the tags of the file; `unit` is the song in the space
    of comparison, (W,), and `vector` the stored vector, (V,). `why_no_music` is empty for music.
    """

    name: str
    row: int | None
    entry: dict[str, Any]
    unit: "FloatArray"
    vector: "FloatArray"
    why_no_music: str = ""


def read_seeds(
    store: "Library",
    space: "Space",
    songs: Sequence[str] | None,
    listed: str | None,
    heads: tuple[Path, ...] = (),
) -> list[Seed]:
    """Find the songs named on the command line and in a list, each once.

    `heads` are the heads of the store if they are not the shipped ones; they score songs that are
    not in the store.
    """
    names = [*(songs or ()), *(_lines(listed) if listed is not None else ())]
    if not names:
        raise InputError("name a song: an id of the store, a part of one, or an audio file")
    with _Unseen(space, heads) as unseen:
        seeds = [_seed(store, space, name, unseen) for name in names]
    return list({seed.name: seed for seed in seeds}.values())


def song_row(store: "Library", name: str) -> int:
    """Return the row of a song of the store, given by id, part of an id, or file.

    A file with the same audio as a song of the store is that song.
    """
    from audiorec.errors import SongError
    from audiorec.extraction.reader import hash_reader

    song_id = find_id(store, name)
    if song_id is not None:
        return store.row_number(song_id)
    with suppress(SongError), hash_reader() as reader:
        row = _same_audio(store, reader.read(name))
        if row is not None:
            say(f"note: {name} is a copy of {store.ids[row]}")
            return row
    raise InputError(f"{name}: not a song of {store.path}; add it: audiorec extract {quote(name)}")


def find_id(store: "Library", name: str) -> str | None:
    """Return the id that a name refers to; None for a file that is not in the store."""
    from audiorec.search.named import song_of_file, stored_spelling

    if stored_spelling(name) not in store and Path(name).is_file():
        return song_of_file(store, name)
    of_path = store.find_uri(stored_spelling(name)) if Path(name).is_absolute() else None
    return store.resolve(name) if of_path is None else of_path


def say_non_music_seeds(seeds: Sequence[Seed], *, asked_for: bool) -> None:
    """Report the seeds that are not music, unless such songs were requested."""
    for seed in () if asked_for else seeds:
        if seed.why_no_music:
            say(
                f"note: {seed.name} is not music ({seed.why_no_music}); --include-non-music also "
                "searches such sounds"
            )


def _same_audio(store: "VectorStore", content_hash: str) -> int | None:
    """Return the row of the first song with this content hash, None if there is none."""
    hashes = store.column("content_hash").to_pylist()
    return hashes.index(content_hash) if content_hash in hashes else None


def _lines(listed: str) -> list[str]:
    from audiorec.files.user_files import read_lines

    lines = (line.strip() for line in read_lines(listed, "cannot read the list"))
    names = [line for line in lines if line and not line.startswith("#")]
    if Path(listed).suffix.lower() not in PLAYLISTS:
        return names
    # A player reads relative paths from the folder of the playlist.
    there = (str(Path(listed).parent / name) for name in names)
    return [path if Path(path).is_file() else name for path, name in zip(there, names, strict=True)]


def _seed(store: "Library", space: "Space", name: str, unseen: "_Unseen") -> Seed:
    song_id = find_id(store, name)
    if song_id is None:
        return unseen.seed(name)
    return _known(space, store.row_number(song_id))


def _known(space: "Space", row: int) -> Seed:
    from audiorec.search.music import why_not_music

    store = space.store
    (entry,), vector = store.rows([row]), store.read_rows([row])[0]
    unit = space.units([row])[0]
    return Seed(entry["song_id"], row, entry, unit, vector, why_not_music(store, row))


class _Unseen:
    """Extracts songs that are not in the store, with its spec, in a worker process."""

    def __init__(self, space: "Space", heads: tuple[Path, ...]) -> None:
        self._space = space
        self._heads = heads
        self._closing = ExitStack()

    def __enter__(self) -> "_Unseen":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.close()

    def seed(self, path: str) -> Seed:
        from audiorec.search.music import why_vector_not_music

        space = self._space
        if space.by == "learnt":
            raise InputError(f"{path}: is not in the store, so it has no learnt embedding")
        song = self._reader.read(path)
        row = _same_audio(space.store, song.content_hash)
        if row is not None:
            say(f"note: {path} is a copy of {space.store.ids[row]}")
            return _known(space, row)
        unit, status = space.of_song(song.vector, song.lists), str(song.info.status)
        why = why_vector_not_music(space.store, song.vector, status, len(song.series))
        return Seed(path, None, _entry(path, song), unit, song.vector, why)

    @cached_property
    def _reader(self) -> "Reader[Song]":
        from audiorec.extraction.pipeline import Extractor
        from audiorec.extraction.reader import song_reader

        space = self._space
        extractor = Extractor.for_store(
            space.store.metadata, heads=self._heads, sound=space.by == "sound"
        )
        return self._closing.enter_context(song_reader(extractor.config))


def _entry(path: str, song: "Song") -> dict[str, Any]:
    return {
        "song_id": path,
        "uri": str(Path(path).absolute()),
        "duration_s": song.info.duration_s,
        "artist": song.tags.artist,
        "title": song.tags.title,
        "album": song.tags.album,
        "status": str(song.info.status),
    }

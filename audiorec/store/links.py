"""Which audio of a store is of one recording: the file beside it, and what keeps it up to date.

    "vecs.parquet" ──update_links──▶ "vecs.copies.parquet" ──read_links──▶ `Links`

The file holds a number of each audio, not ids: a song that is renamed, moved or retagged keeps its
copies, and only new audio is compared.

======================  =============================================================
column                  content
======================  =============================================================
audio                   int64, sorted: one row for each audio, and one for each link
by_sound                bool: compared by sound, or not as it has none, is silent or short
other, distance         int64, float32: the other audio of a link; null in a row for an audio
sure                    bool: one recording whatever listening to the files tells
heard, khz              int8: what listening told (`audiorec.store.recordings.Links`)
======================  =============================================================
"""

import json
import re
import sys
from binascii import unhexlify
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.distribution import created_by
from audiorec.errors import StoreError
from audiorec.files.arrow import arrow_array, booleans, floats, integers, one_chunk, scalar, view
from audiorec.files.own_files import write_errors
from audiorec.files.tables import TableFile, write_plain
from audiorec.store import recordings
from audiorec.store.recordings import Links, find_links, is_comparable, with_sound
from audiorec.store.schema import METADATA_KEY, StoreMetadata, own_metadata
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, FloatArray, Int64Array

DIGITS = 32  # of a content hash as audiorec writes it
MIXED = np.uint64(0x9E3779B97F4A7C15)  # odd: the two halves of a hash become one number
FORMAT_VERSION = 1
SWAPPED = np.array([0, 2, 1, -2, -1])  # what listening told of the same two in the other order
SCHEMA = pa.schema(
    [
        pa.field("audio", pa.int64(), nullable=False),
        pa.field("by_sound", pa.bool_(), nullable=False),
        pa.field("other", pa.int64()),
        pa.field("distance", pa.float32()),
        pa.field("sure", pa.bool_()),
        pa.field("heard", pa.int8()),
        pa.field("khz", pa.int8()),
    ]
)


def links_path(vectors: Path) -> Path:
    """Return the path of the file with a store's copies.

    Examples
    --------
    >>> links_path(Path("library/vecs.parquet")).as_posix()
    'library/vecs.copies.parquet'
    """
    return vectors.with_name(f"{vectors.name.removesuffix('.parquet')}.copies.parquet")


def update_links(vectors: Path) -> int:
    """Compare the audio of a store that was not compared yet, and write the file beside it.

    Parameters
    ----------
    vectors : Path
        The store.

    Returns
    -------
    compared : int
        Number of new audio; the file is left untouched if there is none and none is gone.

    Raises
    ------
    StoreError
        If the store is damaged, or the file cannot be written.
    """
    store = VectorStore.open(vectors)
    audio, before = _audio_of(store), _usable(vectors, store.metadata)
    known = audio.compared_in(before)
    if before is not None and known.all() and len(before.audio) == len(known):
        return 0
    result = find_links(store, audio.rows[~known])
    links = _Linked.of(store, result)
    _write(vectors, store.metadata, audio, links.joined(before, audio.numbers[known]))
    return int((~known).sum())


def write_heard(store: VectorStore, links: Links) -> None:
    """Keep what listening told of all links of a store, as `read_links` returns them."""
    before = _usable(store.path, store.metadata)
    if before is not None:
        audio = _Audio(before.audio, before.audio, before.by_sound)
        _write(store.path, store.metadata, audio, _Linked.of(store, links))


def read_links(store: VectorStore) -> Links | None:
    """Read what is known of the copies in a store; None if its file is absent or of no use.

    A song may have the audio of another one (``content_hash``); links are between the first rows
    of each audio. Those that only listening can tell are among them (`Links.sure`).
    """
    kept = _usable(store.path, store.metadata)
    if kept is None:
        return None
    audio = _audio_of(store)
    there = kept.links.between(audio.numbers)
    rows = audio.rows[np.searchsorted(audio.numbers, there.ends)]
    missing = int((~audio.compared_in(kept)).sum())
    heard = np.where(rows[:, 0] > rows[:, 1], SWAPPED[there.heard], there.heard)
    return Links(
        pairs=np.sort(rows, axis=1),
        distance=there.distance,
        sure=there.sure,
        heard=heard,
        khz=there.khz,
        missing=missing,
    )


def numbers_of(hashes: Any) -> Int64Array:
    """Return a number of each content hash: shape (n,), int64.

    It is ``first * 0x9E3779B97F4A7C15 + second`` modulo 2 ** 64, of its halves of 16 hex digits;
    a hash that is not of 32 hex digits is hashed once more. Two different ones of a million have
    one number with a probability of 3 in 100 million.

    Examples
    --------
    >>> from audiorec.files.arrow import string_array
    >>> numbers_of(string_array([16 * "0" + "000000000000000a", "of another program"])).tolist()
    [10, -8944580297291064589]
    """
    hashes = one_chunk(hashes)
    if (view(pc.binary_length(hashes), np.int32) == DIGITS).all():
        first = int(view(hashes, np.int32)[0]) if len(hashes) else 0  # where the text begins
        digits = (hashes.buffers()[2] or b"")[first : first + DIGITS * len(hashes)]
        with suppress(ValueError):
            return _numbered_digits(digits)
    texts = (t if _HEX.fullmatch(t) else _hashed(t) for t in hashes.to_pylist())
    return _numbered_digits("".join(texts).encode())


_HEX = re.compile(f"[0-9a-fA-F]{{{DIGITS}}}")


def _hashed(text: str) -> str:
    return blake2b(text.encode(), digest_size=DIGITS // 2).hexdigest()


def _numbered_digits(digits: Any) -> Int64Array:
    halves = np.frombuffer(unhexlify(digits), ">u8").astype(np.uint64).reshape(-1, 2)
    return (halves[:, 0] * MIXED + halves[:, 1]).view(np.int64)


class _Linked(NamedTuple):
    """Pairs of audio that may be one recording: their numbers (m, 2), ascending, and `Links`."""

    ends: Int64Array
    distance: FloatArray
    sure: BoolArray
    heard: Int64Array
    khz: Int64Array

    @classmethod
    def of(cls, store: VectorStore, links: Links) -> "_Linked":
        """Put numbers of audio in place of rows."""
        hashes = store.column("content_hash").take(integers(links.pairs.ravel()))
        ends = numbers_of(hashes).reshape(-1, 2)
        heard = np.where(ends[:, 0] > ends[:, 1], SWAPPED[links.heard], links.heard)
        return cls(np.sort(ends, axis=1), links.distance, links.sure, heard, links.khz)

    def between(self, audio: Int64Array) -> "_Linked":
        """Return the links of which both ends are among some audio, ascending."""
        places = np.searchsorted(audio, self.ends).clip(max=len(audio) - 1)
        both = (audio[places] == self.ends).all(axis=1) if len(audio) else np.zeros(0, np.int64)
        return _Linked(*(part[both] for part in self))

    def joined(self, before: "LinksFile | None", still: Int64Array) -> "_Linked":
        """Return these links, and those of before between audio that is still there."""
        if before is None:
            return self
        old = before.links.between(still)
        both: Any = zip(self, old, strict=True)
        return _Linked(*map(np.concatenate, both))


class LinksFile(NamedTuple):
    """What a file of copies says.

    Attributes
    ----------
    about : mapping
        Its metadata: extractor, projection of sound and limits, by which it is of use or not.
    audio : ndarray, shape (n,), int64
        Numbers of the audio that was compared, ascending (`numbers_of`).
    by_sound : ndarray, shape (n,), bool
        Which were compared by sound.
    links : tuple of ndarray
        ``ends`` (m, 2), the numbers of two audio that may be one recording, and what `Links` has.
    """

    about: dict[str, Any]
    audio: Int64Array
    by_sound: BoolArray
    links: _Linked

    @classmethod
    def read(cls, path: Path) -> "LinksFile":
        """Read a file; raise `StoreError` if it is damaged or of another kind."""
        with TableFile.open(path) as file:
            about = own_metadata(file.schema)
            table = file.read_as(SCHEMA).combine_chunks()
        columns = [one_chunk(column) for column in table.columns]
        audio, is_link = view(columns[0], np.int64), booleans(pc.is_valid(columns[2]))
        other, distance, sure, heard, khz = (column.drop_null() for column in columns[2:])
        ends = np.column_stack([audio[is_link], view(other, np.int64)])
        audio, by_sound = audio[~is_link], booleans(columns[1])[~is_link]
        told = (view(pc.cast(column, pa.int64()), np.int64) for column in (heard, khz))
        links = _Linked(ends, floats(distance), booleans(sure), *told)
        return cls(about, audio, by_sound, links)


class _Audio(NamedTuple):
    """Each audio of a store once: numbers, ascending, first rows, and whether it has a sound."""

    numbers: Int64Array
    rows: Int64Array
    by_sound: BoolArray

    @classmethod
    def of(cls, numbers: Int64Array, by_sound: BoolArray) -> "_Audio":
        """Take the first row of each number."""
        order = np.argsort((numbers >> 48).astype(np.int16), kind="stable")  # by radix
        order = order[np.argsort(numbers[order], kind="stable")]  # quick: nearly in order
        numbers = numbers[order]
        starts = np.flatnonzero(np.diff(numbers, prepend=~numbers[:1]))
        rows = order[starts]
        return cls(numbers[starts], rows, by_sound[rows])

    def compared_in(self, kept: LinksFile | None) -> BoolArray:
        """Return which were compared as they would be today: (n,), bool."""
        if kept is None or not len(kept.audio):
            return np.zeros(len(self.numbers), np.bool_)
        places: Any = slice(None)
        if not np.array_equal(kept.audio, self.numbers):  # else there is nothing to search for
            places = np.searchsorted(kept.audio, self.numbers).clip(max=len(kept.audio) - 1)
        same: BoolArray = kept.audio[places] == self.numbers
        same &= kept.by_sound[places] == self.by_sound
        return same


def _audio_of(store: VectorStore) -> _Audio:
    by_sound = is_comparable(store.table(["segments", "status"])) & with_sound(store)
    return _Audio.of(numbers_of(store.column("content_hash")), by_sound)


def _usable(vectors: Path, metadata: StoreMetadata) -> LinksFile | None:
    """Read the file beside a store; None if there is none, it is damaged, or of other limits."""
    path = links_path(vectors)
    copies = sys.modules.get("audiorec.files.copies")  # not imported: no store elsewhere is open
    if copies is not None:
        with suppress(StoreError):  # of a place that may be read but not looked into
            path = copies.beside(vectors, path.name)
    try:
        result = LinksFile.read(path)
    except StoreError:
        return None
    return result if _about(metadata).items() <= result.about.items() else None


def _about(metadata: StoreMetadata) -> dict[str, Any]:
    made = {"extractor_id": metadata.extractor_id, "sound_id": metadata.sound_id}
    return {"kind": "copies", **made, "rule": recordings.RULE}


def _write(vectors: Path, metadata: StoreMetadata, audio: _Audio, links: _Linked) -> None:
    path = links_path(vectors)
    about = {**_about(metadata), "format_version": FORMAT_VERSION, "created_by": created_by()}
    alone = [audio.numbers, audio.by_sound.astype(np.int64)]
    paired = [links.ends[:, 0], np.ones(len(links.ends), np.int64), links.ends[:, 1]]
    order = np.lexsort((paired[2], paired[0]))
    rows = [
        np.concatenate(both)
        for both in zip(alone, (part[order] for part in paired[:2]), strict=True)
    ]
    told = (links.sure, links.heard, links.khz)
    values = [
        integers(paired[2][order]),
        arrow_array(links.distance[order].astype(np.float32), pa.float32()),
        *(
            pc.cast(integers(one[order].astype(np.int64)), kind)
            for one, kind in zip(told, SCHEMA.types[4:], strict=True)
        ),
    ]
    columns = [
        integers(rows[0]),
        pc.not_equal(integers(rows[1]), scalar(np.int64(0))),
        *(pa.concat_arrays([pa.nulls(len(audio.numbers), one.type), one]) for one in values),
    ]
    schema = SCHEMA.with_metadata({METADATA_KEY: json.dumps(about).encode()})
    table = pa.Table.from_arrays(columns, schema=schema)
    with write_errors(path):  # numbers as good as random, and nulls: nothing to compress
        write_plain(path, table, compression="none", write_statistics=False)

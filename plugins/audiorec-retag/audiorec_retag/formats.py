"""Read and write fields in the tags of a file, for each writable format.

    open file ──open_tags──▶ `Tags`   .values("genre"), .put("genre", ["jazz"]), .others(), .save()

mutagen does the work (GPL-2.0-or-later). This module preserves what mutagen's
defaults would change: the ID3 version, the ID3v1 tag at the end, and the zero byte between two
values.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from audiorec.audio.sniff import Container
from audiorec.audio.tags import all_tags
from audiorec.errors import Failure, SongError

# Standard fields; all others are audiorec's own.
GENRE, MOOD, BPM, KEY = "genre", "mood", "bpm", "key"
WRITABLE = frozenset(Container) - {
    Container.AU,
    Container.CAF,
    Container.ADTS,
    Container.AC3,
    Container.MATROSKA,
}
_WHY_NOT = {
    Container.AU: "AU files have no place for tags",
    Container.CAF: "almost no player reads tags in CAF files, and mutagen cannot write them",
    Container.ADTS: "bare AAC has no place for tags; an M4A has",
    Container.AC3: "AC-3 has no place for tags",
    Container.MATROSKA: "mutagen cannot write Matroska or WebM; mkvpropedit can",
}
_V1_BYTES = 128
_HEAD_BYTES, _HAS_FOOTER = 10, 0x10  # of an ID3v2 tag, and of its footer; a flag in byte 5
_FREEFORM = "----:com.apple.iTunes:"
_ID3_NAMES = {GENRE: "TCON", MOOD: "TMOO", BPM: "TBPM", KEY: "TKEY"}
_VORBIS_NAMES = {KEY: "initialkey"}
_MP4_NAMES = {GENRE: "\xa9gen", BPM: "tmpo"}  # all others are free-form
_ASF_NAMES = {
    GENRE: "WM/Genre",
    MOOD: "WM/Mood",
    BPM: "WM/BeatsPerMinute",
    KEY: "WM/InitialKey",
}
_APE_NAMES = {GENRE: "Genre", MOOD: "Mood", BPM: "BPM", KEY: "Key"}


class Tags(ABC):
    """The tags of one open file; `save` writes them back.

    A field is `GENRE`, `MOOD`, `BPM` or `KEY`, in lower case, or one of audiorec's own, in upper
    case.
    """

    @abstractmethod
    def values(self, field: str) -> list[str]:
        """Return the values of a field; empty if it is not set."""

    @abstractmethod
    def put(self, field: str, values: Sequence[str]) -> None:
        """Set a field, replacing all its values."""

    @abstractmethod
    def others(self, fields: Collection[str]) -> list[str]:
        """Return everything in the tags except some fields, as texts to compare."""

    @abstractmethod
    def save(self, file: BinaryIO) -> None:
        """Write the tags into an open file: the one they were read from, or a copy of it."""


def open_tags(file: BinaryIO, container: Container, path: str) -> Tags:
    """Read the tags of an open file.

    Raises
    ------
    SongError
        ``unsupported``: tags of this format cannot be written; ``undecodable``: mutagen cannot
        read the tags, and therefore must not write them.
    """
    import mutagen

    if container not in WRITABLE:
        reason = f"its tags cannot be written: {_WHY_NOT[container]}"
        raise SongError(path, Failure.UNSUPPORTED, reason, "tag")
    file.seek(0)
    try:
        return _opened(file, container)
    except (mutagen.MutagenError, ValueError, KeyError, IndexError, EOFError) as error:
        reason = f"mutagen cannot read its tags, so they are not written: {error}"
        raise SongError(path, Failure.UNDECODABLE, " ".join(reason.split()), "tag") from None


def seen_by_others(file: BinaryIO, field: str) -> bool:
    """Whether another reader finds a field, in a second tag that mutagen does not read.

    A WAV may have its genre in an INFO list, an MP3 in an APE tag or in ID3v1.
    """
    file.seek(0)
    with suppress(OSError, ValueError):
        return bool(all_tags(file).get("initial_key" if field == KEY else field.lower()))
    return False


def _opened(file: BinaryIO, container: Container) -> Tags:
    match container:
        case Container.MP3 | Container.TTA:
            return _plain_id3(file)
        case Container.WAV | Container.AIFF | Container.DSF | Container.DFF:
            return _id3_inside(file, container)
        case Container.WAVPACK | Container.APE | Container.MUSEPACK:
            return _ape(file)
        case Container.FLAC | Container.OGG:
            return _vorbis(file, container)
        case Container.MP4:
            from mutagen.mp4 import MP4

            return _Mp4(_with_tags(MP4(file)))
        case _:
            from mutagen.asf import ASF

            return _Asf(_with_tags(ASF(file)))


def _with_tags(opened: Any) -> Any:
    if opened.tags is None:
        opened.add_tags()
    return opened


class _Id3(Tags):
    """ID3v2: in front of an MP3 or TTA, or inside a WAV, AIFF, DSF or DFF."""

    def __init__(self, opened: Any, tags: Any, *, in_front: bool) -> None:
        self._opened, self._tags = opened, tags
        old = tags.version[:2] < (2, 4) and tags.version[0] == 2
        self._version = 3 if old else 4  # 2.2 cannot be written and becomes 2.3
        self._in_front = in_front

    def _key(self, field: str) -> str:
        if field == MOOD and self._version != 4:
            return "TXXX:MOOD"
        return _ID3_NAMES.get(field) or f"TXXX:{field}"

    def values(self, field: str) -> list[str]:
        return [str(value) for frame in self._frames(field) for value in frame.text]

    def _frames(self, field: str) -> list[Any]:
        wanted = self._key(field).lower()
        return [frame for frame in self._tags.values() if frame.HashKey.lower() == wanted]

    def put(self, field: str, values: Sequence[str]) -> None:
        from mutagen.id3 import TXXX, Encoding, Frames

        for frame in self._frames(field):
            del self._tags[frame.HashKey]
        encoding = Encoding.UTF8 if self._version == 4 else Encoding.UTF16
        name, _, description = self._key(field).partition(":")
        if name == "TXXX":
            self._tags.add(TXXX(encoding=encoding, desc=description, text=list(values)))
        else:
            self._tags.add(Frames[name](encoding=encoding, text=list(values)))

    def others(self, fields: Collection[str]) -> list[str]:
        ours = {frame.HashKey for field in fields for frame in self._frames(field)}
        known = [f"{f.HashKey} {f!r}" for f in self._tags.values() if f.HashKey not in ours]
        return sorted(known) + sorted(map(repr, self._tags.unknown_frames))

    def save(self, file: BinaryIO) -> None:
        first = _ending(file)
        file.seek(0)
        settings = {"v2_version": self._version, "v23_sep": None}
        if self._in_front:
            _drop_footer(file)
            file.seek(0)
            self._tags.save(file, v1=1, **settings)
            _restore_ending(file, first)
        else:
            self._opened.tags = self._tags
            self._opened.tags.save(file, **settings)


def _plain_id3(file: BinaryIO) -> Tags:
    from mutagen.id3 import ID3, Frames_2_2, ID3NoHeaderError

    file.seek(0)
    head = file.read(4)
    file.seek(0)
    # An encrypted frame (CRM) would be dropped unseen; an unknown one is missed after the change.
    kept = {name: kind for name, kind in Frames_2_2.items() if name != "CRM"}
    known = kept if head == b"ID3\x02" else None
    try:
        # If there is only ID3v1, its values are copied: most readers stop at v2.
        tags = ID3(file, translate=False, load_v1=head[:3] != b"ID3", known_frames=known)
    except ID3NoHeaderError:
        tags = ID3()
    return _Id3(None, tags, in_front=True)


def _id3_inside(file: BinaryIO, container: Container) -> Tags:
    from mutagen.aiff import AIFF
    from mutagen.dsdiff import DSDIFF
    from mutagen.dsf import DSF
    from mutagen.wave import WAVE

    kinds: dict[Container, Any] = {
        Container.WAV: WAVE,
        Container.AIFF: AIFF,
        Container.DSF: DSF,
        Container.DFF: DSDIFF,
    }
    opened = _with_tags(kinds[container](file, translate=False))
    return _Id3(opened, opened.tags, in_front=False)


class _Ape(Tags):
    """APEv2 at the end of WavPack, Monkey's Audio and Musepack."""

    def __init__(self, tags: Any) -> None:
        self._tags = tags

    def values(self, field: str) -> list[str]:
        name = _APE_NAMES.get(field, field)
        return [str(value) for value in self._tags[name]] if name in self._tags else []

    def put(self, field: str, values: Sequence[str]) -> None:
        self._tags[_APE_NAMES.get(field, field)] = list(values)

    def others(self, fields: Collection[str]) -> list[str]:
        ours = {_APE_NAMES.get(field, field).lower() for field in fields}
        return sorted(
            f"{k} {v.kind} {v.value!r}" for k, v in self._tags.items() if k.lower() not in ours
        )

    def save(self, file: BinaryIO) -> None:
        first = _ending(file)
        if first:  # mutagen would remove what follows its own tag
            file.seek(-_V1_BYTES, os.SEEK_END)
            file.truncate()
        file.seek(0)
        self._tags.save(file)
        file.seek(0, os.SEEK_END)
        file.write(first)


def _ape(file: BinaryIO) -> Tags:
    from mutagen.apev2 import APENoHeaderError, APEv2

    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - _V1_BYTES - 16))
    if b"LYRICS200" in file.read():
        raise ValueError("a Lyrics3 tag follows the audio, and mutagen would drop it")
    file.seek(0)
    try:
        return _Ape(APEv2(file))
    except APENoHeaderError:
        return _Ape(APEv2())


class _InFile(Tags):
    """Tags that mutagen writes into the file as it opened it."""

    def __init__(self, opened: Any) -> None:
        self._opened = opened

    def save(self, file: BinaryIO) -> None:
        file.seek(0)
        self._opened.save(file)


class _Vorbis(_InFile):
    """Vorbis comments: FLAC, and Vorbis, Opus, Speex and FLAC in Ogg."""

    def values(self, field: str) -> list[str]:
        name = _VORBIS_NAMES.get(field, field).lower()
        return [value for key, value in self._opened.tags if key.lower() == name]

    def put(self, field: str, values: Sequence[str]) -> None:
        tags, name = self._opened.tags, _VORBIS_NAMES.get(field, field)
        tags[:] = [(k, v) for k, v in tags if k.lower() != name.lower()]
        tags.extend((name.upper(), value) for value in values)  # all others keep their order

    def others(self, fields: Collection[str]) -> list[str]:
        ours = {_VORBIS_NAMES.get(field, field).lower() for field in fields}
        tags = self._opened.tags
        left = [f"{k}={v}" for k, v in tags if k.lower() not in ours]
        blocks = getattr(self._opened, "metadata_blocks", [])
        kept = [f"{b.code} {b.write()!r}" for b in blocks if b is not tags and b.code != 1]
        return [tags.vendor, *left, *kept]


def _vorbis(file: BinaryIO, container: Container) -> Tags:
    from mutagen.flac import FLAC
    from mutagen.oggflac import OggFLAC
    from mutagen.oggopus import OggOpus
    from mutagen.oggspeex import OggSpeex
    from mutagen.oggvorbis import OggVorbis

    if container == Container.FLAC:
        return _Vorbis(_with_tags(FLAC(file)))
    file.seek(0)
    head = file.read(4096)  # the first page, whose packet names the codec
    file.seek(0)
    kinds: dict[bytes, Any] = {
        b"\x01vorbis": OggVorbis,
        b"OpusHead": OggOpus,
        b"Speex   ": OggSpeex,
        b"\x7fFLAC": OggFLAC,
    }
    for mark, kind in kinds.items():
        if mark in head[:128]:
            return _Vorbis(_with_tags(kind(file)))
    raise ValueError("unsupported codec in an Ogg stream")


class _Mp4(_InFile):
    """MP4: genre and tempo in their own atoms, all other fields as iTunes free-form atoms."""

    def _keys(self, field: str) -> list[str]:
        own = "INITIALKEY" if field == KEY else field.upper()
        name = _MP4_NAMES.get(field) or f"{_FREEFORM}{own}"
        return [key for key in self._opened.tags if key.lower() == name.lower()] or [name]

    def values(self, field: str) -> list[str]:
        result = [v for key in self._keys(field) for v in self._opened.tags.get(key, [])]
        if field == BPM:
            return [str(v) for v in result if v]  # an atom of 0 says nothing
        return [v if isinstance(v, str) else bytes(v).decode("utf-8", "replace") for v in result]

    def put(self, field: str, values: Sequence[str]) -> None:
        from mutagen.mp4 import MP4FreeForm

        for key in self._keys(field)[1:]:
            del self._opened.tags[key]
        texts: list[Any] = list(map(int, values)) if field == BPM else list(values)
        if field not in _MP4_NAMES:
            texts = [MP4FreeForm(value.encode()) for value in values]
        self._opened.tags[self._keys(field)[0]] = texts

    def others(self, fields: Collection[str]) -> list[str]:
        ours = {key for field in fields for key in self._keys(field)}
        left = [f"{k} {v!r}" for k, v in self._opened.tags.items() if k not in ours]
        unread = getattr(self._opened.tags, "_failed_atoms", {})
        return sorted(left) + sorted(f"{k} {v!r}" for k, v in unread.items())


class _Asf(_InFile):
    """Windows Media (ASF): attributes of the file."""

    def values(self, field: str) -> list[str]:
        return [str(value) for value in self._opened.tags.get(_ASF_NAMES.get(field, field), [])]

    def put(self, field: str, values: Sequence[str]) -> None:
        self._opened.tags[_ASF_NAMES.get(field, field)] = list(values)

    def others(self, fields: Collection[str]) -> list[str]:
        ours = {_ASF_NAMES.get(field, field) for field in fields}
        return [f"{k} {v!r} {v.language} {v.stream}" for k, v in self._opened.tags if k not in ours]


def _drop_footer(file: BinaryIO) -> None:
    """Remove the footer of an ID3v2.4 tag, which mutagen would leave as junk before the audio."""
    from mutagen._util import delete_bytes

    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if head[:4] != b"ID3\x04" or not head[5] & _HAS_FOOTER:
        return
    end = file.seek(_HEAD_BYTES + sum(digit << 7 * n for n, digit in enumerate(head[:5:-1])))
    if file.read(3) == b"3DI":
        delete_bytes(file, _HEAD_BYTES, end)
        file.seek(5)
        file.write(bytes([head[5] & ~_HAS_FOOTER]))


def _ending(file: BinaryIO) -> bytes:
    """Return the ID3v1 tag at the end of a file; empty if there is none."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _V1_BYTES))
    last = file.read(_V1_BYTES)
    return last if len(last) == _V1_BYTES and last[:3] == b"TAG" else b""


def _restore_ending(file: BinaryIO, first: bytes) -> None:
    """Restore the ID3v1 tag, which mutagen rewrites from the ID3v2 tag."""
    if first:
        file.seek(-_V1_BYTES, os.SEEK_END)
        file.write(first)
        file.flush()

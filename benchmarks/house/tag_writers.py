"""What three ways to write one tag do to the rest of a file, on every format that audiorec reads.

    python -m benchmarks tag_writers            # a table, 10 CPU-seconds

`audiorec` is `audiorec.retagging`; `mutagen` the same library as its manual shows it, with its
defaults; `remux` PyAV with all packets and all metadata copied. A cell lists what was lost or
changed: the audio (content hash), markers of the tags of `scripts/samples/tagged_files.py`
(searched as bytes in every encoding, so that no reader of ours or of mutagen decides), the number
of artists as tinytag and FFmpeg see them, the version of ID3, the frame in which an encoder notes
its padding (gapless playing), and bytes that stand behind.
"""

import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import mutagen
import tagged_files as made

from audiorec.audio.decode import content_hash
from audiorec.errors import AudiorecError
from audiorec.retagging.change import Change, prepare_copy, swap_in

FIELD, VALUE = "AUDIOREC_GENRE", "Zz-jazz"
MARKS = {
    "title": made.TITLE,
    "first artist": made.ARTISTS[0],
    "second artist": made.ARTISTS[1],
    "album": made.ALBUM,
    "lyrics": made.LYRICS.split("\n")[1],
    "ReplayGain": made.GAIN,
    "own field": made.OWN,
    "year": "1987",
    "R128 gain": "R128_TRACK_GAIN",
    "comment chunk": "Zz Comment",
    "broadcast chunk": "Zz Broadcast",
}
MUXERS = {
    "m4a": "ipod",
    "mpc": "mpc",
    "wma": "asf",
    "aiff": "aiff",
    "oga": "ogg",
    "mka": "matroska",
}


def by_audiorec(path: Path) -> None:
    """Write by the package."""
    change = Change(
        root=str(path.parent),
        parts=(path.name,),
        content_hash=content_hash(path),
        fields={FIELD: (VALUE,)},
        write=True,
    )
    swap_in(change, prepare_copy(change))


def by_mutagen(path: Path) -> None:
    """Write as mutagen's manual shows it."""
    from mutagen.apev2 import APEv2File
    from mutagen.id3 import ID3, TXXX
    from mutagen.mp4 import MP4, MP4FreeForm

    file = mutagen.File(str(path))
    if file is None:
        raise ValueError("no such format")
    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, ID3):
        file.tags.add(TXXX(encoding=3, desc=FIELD, text=[VALUE]))
    elif isinstance(file, MP4):
        file[f"----:com.apple.iTunes:{FIELD}"] = [MP4FreeForm(VALUE.encode())]
    else:
        file[FIELD] = VALUE if isinstance(file, APEv2File) else [VALUE]
    file.save()


def by_remux(path: Path) -> None:
    """Copy every stream and all metadata that FFmpeg knows into a new file."""
    target = path.with_suffix(".remuxed")
    kind = MUXERS.get(path.suffix[1:], path.suffix[1:])
    options = {"movflags": "use_metadata_tags"} if kind == "ipod" else {}
    try:
        _remux(path, target, kind, options, lambda streams: streams)
    except (ValueError, OSError):  # a picture that this container does not take
        _remux(path, target, kind, options, lambda streams: streams.audio)
    target.replace(path)


def _remux(
    path: Path, target: Path, kind: str, options: dict[str, str], choose: Callable[[Any], Any]
) -> None:
    with (
        av.open(str(path)) as old,
        av.open(str(target), "w", format=kind, options=options) as new,
    ):
        new.metadata.update({**old.metadata, FIELD: VALUE})
        copies = {}
        for stream in choose(old.streams):
            copy = new.add_stream_from_template(stream, opaque=True)
            copy.metadata.update(stream.metadata)
            if kind in ("ogg", "opus", "spx"):
                copy.metadata[FIELD] = VALUE
            copies[stream.index] = copy
        for packet in old.demux(*choose(old.streams)):
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                new.mux(packet)


def _holds(data: bytes, text: str) -> int:
    codings = ("utf-8", "utf-16-le", "utf-16-be", "latin-1")
    return max(data.count(text.encode(coding)) for coding in codings)


def _picture(data: bytes) -> bool:
    import base64

    middle = base64.b64encode(made.PNG)[40:120]
    shifted = base64.b64encode(b"x" + made.PNG)[40:120], base64.b64encode(b"xy" + made.PNG)[40:120]
    return made.PNG in data or any(part in data for part in (middle, *shifted))


def _artists(path: Path) -> str:
    from tinytag import TinyTag

    try:
        with path.open("rb") as file:
            tag = TinyTag.get(file_obj=file, duration=False)
    except Exception:  # noqa: BLE001 - a reader of its own, and what it cannot read is the same twice
        return "?"
    return str([tag.artist, *tag.other.get("artist", [])])


def losses(before: bytes, artists: str, content: str, path: Path) -> list[str]:
    """Say what of a file is not as it was."""
    after = path.read_bytes()
    found = [] if content_hash(path) == content else ["AUDIO"]
    found += [n for n, mark in MARKS.items() if _holds(after, mark) < min(_holds(before, mark), 1)]
    found += ["picture"] if _picture(before) and not _picture(after) else []
    found += [f"artists read as {_artists(path)}"] if _artists(path) != artists else []
    versions = [data[3] if data[:3] == b"ID3" else 0 for data in (before, after)]
    found += (
        [f"ID3 2.{versions[0]} to 2.{versions[1]}"] if versions[0] not in (0, versions[1]) else []
    )
    infos = [re.search(rb"(?:Xing|Info).{140}", data, re.DOTALL) for data in (before, after)]
    if path.suffix == ".mp3" and infos[0] and (not infos[1] or infos[0][0] != infos[1][0]):
        found.append("gapless frame")
    if before[-128:-125] == b"TAG" and after[-128:] != before[-128:]:
        found.append("ID3v1")
    return found if _holds(after, VALUE) else [*found, "NOT WRITTEN"]


def main() -> None:
    """Print the table."""
    ways: dict[str, Callable[[Path], None]] = {
        "audiorec": by_audiorec,
        "mutagen": by_mutagen,
        "remux": by_remux,
    }
    with tempfile.TemporaryDirectory() as folder:
        files = made.write_tagged(Path(folder))
        print(f"| format | {' | '.join(ways)} |\n|{'---|' * (len(ways) + 1)}")
        for name, path in files.items():
            content, before, artists = content_hash(path), path.read_bytes(), _artists(path)
            cells = []
            for way, write in ways.items():
                copy = Path(folder) / way
                copy.mkdir(exist_ok=True)
                target = Path(shutil.copyfile(path, copy / path.name))
                try:
                    write(target)
                    cells.append(", ".join(losses(before, artists, content, target)) or "all kept")
                except (
                    AudiorecError,
                    mutagen.MutagenError,
                    OSError,
                    ValueError,
                    TypeError,
                ) as error:
                    words = " ".join(str(getattr(error, "reason", error)).split())
                    cells.append(f"refused: {words[:60]}")
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

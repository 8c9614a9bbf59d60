"""One file of every format that audiorec reads, full of tags that a careless writer loses.

    folder ──write_tagged──▶ {"mp3-2.3": Path, "flac": Path, …}

Two artists, a picture, lyrics, ReplayGain, a field that nobody knows; three versions of ID3, ID3v1
alone and beside others, an APE tag behind an MP3, chunks of a WAV that are not tags. The files are
copies and remuxes of the fixtures; mutagen (extra ``retag``) writes the tags.
"""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import compress, crc32

import av
import numpy as np
import soundfile
from dsd_files import dff, dsf, one_bit

ROOT = Path(__file__).parents[3]
AUDIO, CODECS = ROOT / "fixtures" / "audio", ROOT / "fixtures" / "codecs"
TITLE, ALBUM, LYRICS, OWN = "Zz Titleé", "Zz Album", "Zz Lyrics\nline 2", "Zz Own"
ARTISTS = ["Zz First", "Zz Second"]
GAIN = "-7.03 dB"
COPIES = {
    "flac": CODECS / "tabla.flac",
    "wv": CODECS / "tabla.wv",
    "ape": CODECS / "tabla.ape",
    "tta": CODECS / "tabla.tta",
    "sv7.mpc": CODECS / "tabla-sv7.mpc",
    "sv8.mpc": CODECS / "tabla-sv8.mpc",
    "v1.wma": CODECS / "tabla-v1.wma",
    "v2.wma": CODECS / "tabla-v2.wma",
    "spx": CODECS / "tabla.spx",
    "m4a": AUDIO / "country-fiddle-and-banjo.m4a",
    "alac.m4a": AUDIO / "tabla-loop.m4a",
    "opus": AUDIO / "synthesizer-beat.opus",
    "ogg": AUDIO / "man-singing-alone.ogg",
    "aiff": AUDIO / "drum-loop.aiff",
    "ac3": CODECS / "tabla.ac3",
    "eac3": CODECS / "tabla.eac3",
    "mka": CODECS / "tabla-vorbis.mka",
    "webm": CODECS / "tabla-opus.webm",
}
MP3 = AUDIO / "jazz-vibraphone.mp3"
REFUSED = ("ac3", "eac3", "mka", "webm", "au", "caf", "aac")


def _png() -> bytes:
    """Return a picture of 8 x 8 grey dots with a text in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))

    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"tEXt", b"Comment\0" + b"Zz Picture" * 20)]
    parts += [(b"IDAT", compress(bytes(72))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


PNG = _png()


def write_tagged(folder: Path) -> dict[str, Path]:
    """Write all files into a folder that exists; return them by a short name of each."""
    from mutagen import id3

    made = {name: _copied(source, folder / f"song.{name}") for name, source in COPIES.items()}
    for name in ("2.4.mp3", "2.3.mp3", "2.2.mp3", "v1.mp3", "ape.mp3", "bare.mp3"):
        made[name] = _copied(MP3, folder / f"song.{name}")
        id3.delete(str(made[name]))
    remuxed = {"oga": ("flac", "ogg"), "aac": ("m4a", "adts"), "first.m4a": ("m4a", "ipod")}
    for name, (source, container) in remuxed.items():
        made[name] = folder / f"song.{name}"
        _remux(made[source], made[name], container)
    samples, rate = soundfile.read(CODECS / "tabla.flac")
    for name, kind in (("wav", "WAV"), ("au", "AU"), ("caf", "CAF")):
        made[name] = folder / f"song.{name}"
        soundfile.write(made[name], samples, rate, format=kind)
    bits = one_bit(np.asarray(samples[: rate // 2], np.float64), rate)
    for name, write in (("dsf", dsf), ("dff", dff)):
        made[name] = folder / f"song.{name}"
        made[name].write_bytes(write([bits]))
    for name, path in made.items():
        if name not in REFUSED and name != "bare.mp3":
            (_TAGGERS.get(name) or _TAGGERS[name.rpartition(".")[2]])(path)
    return made


def _copied(source: Path, target: Path) -> Path:
    shutil.copyfile(source, target)
    return target


def _remux(source: Path, target: Path, container: str) -> None:
    """Copy the packets into another container; an MP4's index comes first."""
    options = {"movflags": "faststart"} if container == "ipod" else {}
    with (
        av.open(str(source)) as old,
        av.open(str(target), "w", format=container, options=options) as new,
    ):
        stream = new.add_stream_from_template(old.streams.audio[0], opaque=True)
        for packet in old.demux(old.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)


def _frames(version: int) -> Any:
    from mutagen.id3 import APIC, ID3, RVA2, TALB, TIT2, TPE1, TXXX, TYER, USLT, Encoding

    tags = ID3()
    coding = Encoding.UTF8 if version == 4 else Encoding.UTF16
    tags.add(TIT2(encoding=coding, text=[TITLE]))
    tags.add(TPE1(encoding=coding, text=ARTISTS))
    tags.add(TALB(encoding=coding, text=[ALBUM]))
    tags.add(TXXX(encoding=coding, desc="REPLAYGAIN_TRACK_GAIN", text=[GAIN]))
    tags.add(TXXX(encoding=coding, desc="Mixer", text=[OWN]))
    tags.add(USLT(encoding=coding, lang="eng", desc="", text=LYRICS))
    tags.add(APIC(encoding=Encoding.LATIN1, mime="image/png", type=3, desc="c", data=PNG))
    if version == 4:
        tags.add(RVA2(desc="track", channel=1, gain=-7.03125, peak=0.5))
    else:
        tags.add(TYER(encoding=Encoding.LATIN1, text=["1987"]))
    return tags


def _id3(version: int) -> Callable[[Path], None]:
    def tag(path: Path) -> None:
        _frames(version).save(str(path), v2_version=version, v23_sep=None, v1=0)

    return tag


def _id3v1(path: Path) -> None:
    fields = (b"Zz Title", b"Zz First", b"Zz Album", b"1987", b"by hand")
    sizes = (30, 30, 30, 4, 30)
    text = b"".join(f.ljust(n, b"\0") for f, n in zip(fields, sizes, strict=True))
    with path.open("ab") as file:
        file.write(b"TAG" + text + bytes([255]))  # no genre


def _old_id3(path: Path) -> None:
    """ID3v2.2, which has frames of its own and which mutagen only reads."""

    def frame(name: bytes, data: bytes) -> bytes:
        return name + len(data).to_bytes(3, "big") + data

    content = frame(b"TT2", b"\1" + TITLE.encode("utf-16")) + frame(b"TAL", b"\0Zz Album")
    content += frame(b"TP1", b"\0" + b"\0".join(a.encode() for a in ARTISTS))
    content += frame(b"TXX", b"\0Mixer\0Zz Own") + frame(b"PIC", b"\0PNG\3c\0" + PNG)
    content += frame(b"ULT", b"\0eng\0" + LYRICS.encode())
    size = bytes(len(content) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\2\0\0" + size + content + path.read_bytes())


def _ape_fields(path: Path) -> None:
    from mutagen.apev2 import APEv2

    tags = APEv2()
    tags["Title"], tags["Artist"], tags["Album"] = TITLE, ARTISTS, ALBUM
    tags["REPLAYGAIN_TRACK_GAIN"], tags["Mixer"], tags["Lyrics"] = GAIN, OWN, LYRICS
    from mutagen.apev2 import BINARY, APEValue

    tags["Cover Art (front)"] = APEValue(b"c.png\0" + PNG, BINARY)
    tags.save(str(path))


def _ape_and_v1(path: Path) -> None:
    _ape_fields(path)
    _id3v1(path)


def _both(path: Path) -> None:
    """Put an APE tag and ID3v1 behind an MP3 that has ID3v2.3 in front."""
    _ape_and_v1(path)
    _frames(3).save(str(path), v2_version=3, v23_sep=None, v1=1)


def _vorbis(path: Path) -> None:
    import mutagen
    from mutagen.flac import FLAC, Picture

    file = mutagen.File(str(path))
    picture = Picture()
    picture.type, picture.mime, picture.desc, picture.data = 3, "image/png", "c", PNG
    tags = [("ZZ_LAST", "z"), ("Title", TITLE), *(("ARTIST", a) for a in ARTISTS)]
    tags += [("ALBUM", ALBUM), ("REPLAYGAIN_TRACK_GAIN", GAIN), ("LYRICS", LYRICS)]
    tags += [("mixer", OWN), ("AAA", "first by name")]
    if isinstance(file, FLAC):
        file.add_picture(picture)
    else:
        from base64 import b64encode

        tags.append(("METADATA_BLOCK_PICTURE", b64encode(picture.write()).decode()))
        if path.suffix == ".opus":
            tags.append(("R128_TRACK_GAIN", "-573"))
    file.tags[:] = tags
    file.save()


def _mp4(path: Path) -> None:
    from mutagen.mp4 import MP4, AtomDataType, MP4Cover, MP4FreeForm

    file = MP4(str(path))
    file["\xa9nam"], file["\xa9ART"], file["\xa9alb"] = [TITLE], ARTISTS, [ALBUM]
    file["\xa9lyr"], file["trkn"], file["cpil"] = [LYRICS], [(3, 9)], True
    file["covr"] = [MP4Cover(PNG, MP4Cover.FORMAT_PNG)]
    file["----:com.apple.iTunes:replaygain_track_gain"] = [MP4FreeForm(GAIN.encode())]
    file["----:org.example:Mixer"] = [MP4FreeForm(OWN.encode(), AtomDataType.UTF8)]
    file.save()


def _asf(path: Path) -> None:
    from mutagen.asf import ASF, ASFByteArrayAttribute

    file = ASF(str(path))
    file["Title"], file["Author"], file["WM/AlbumTitle"] = TITLE, ARTISTS, ALBUM
    file["WM/Lyrics"], file["replaygain_track_gain"], file["Mixer"] = LYRICS, GAIN, OWN
    mime, name = "image/png\0".encode("utf-16-le"), "c\0".encode("utf-16-le")
    file["WM/Picture"] = [
        ASFByteArrayAttribute(data=struct.pack("<bi", 3, len(PNG)) + mime + name + PNG)
    ]
    file.save()


def _chunked(path: Path) -> None:
    """ID3 inside; a WAV gets a chunk of the broadcasters, a list of texts and marks besides."""
    import mutagen

    if path.suffix == ".wav":
        data = path.read_bytes()
        info = b"INFO" + _chunk(b"ICMT", b"Zz Comment\0") + _chunk(b"ISRC", b"Zz Source\0")
        data += _chunk(b"LIST", info) + _chunk(b"bext", b"Zz Broadcast".ljust(602, b"\0"))
        path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    file = mutagen.File(str(path))
    if file.tags is None:
        file.add_tags()
    for frame in _frames(3).values():
        file.tags.add(frame)
    file.tags.save(str(path), v2_version=3, v23_sep=None)


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


_TAGGERS: dict[str, Callable[[Path], None]] = {
    "2.4.mp3": _id3(4),
    "2.3.mp3": _id3(3),
    "2.2.mp3": _old_id3,
    "v1.mp3": _id3v1,
    "ape.mp3": _both,
    "tta": _id3(4),
    "wv": _ape_and_v1,
    "ape": _ape_fields,
    "mpc": _ape_fields,
    "flac": _vorbis,
    "ogg": _vorbis,
    "oga": _vorbis,
    "opus": _vorbis,
    "spx": _vorbis,
    "m4a": _mp4,
    "wma": _asf,
    "wav": _chunked,
    "aiff": _chunked,
    "dsf": _chunked,
    "dff": _chunked,
}

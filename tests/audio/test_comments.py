"""`audiorec.audio.comments`: the number of tags is known before a demuxer reads them."""

import base64
import io
import struct
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.audio import decode
from audiorec.audio.comments import MOST_TAGS, count_flac, count_mp4, count_ogg
from audiorec.audio.sniff import sniff
from audiorec.errors import Failure, SongError

AUDIO = Path(__file__).parents[2] / "fixtures" / "audio"


def comments(n, declared=None):
    """A block of Vorbis comments, as it stands in FLAC."""
    texts = [b"K%d=1" % i for i in range(n)]
    items = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return (
        struct.pack("<I", 3)
        + b"abc"
        + struct.pack("<I", n if declared is None else declared)
        + items
    )


def flac(body):
    """A FLAC whose only metadata are its description and a block of comments."""
    data = (AUDIO / "classical-piano.flac").read_bytes()
    at, is_last = 4, False
    while not is_last:
        is_last = bool(data[at] & 0x80)
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    first = bytes([data[4] & 0x7F]) + data[5:42]
    return b"fLaC" + first + b"\x84" + len(body).to_bytes(3, "big") + body + data[at:]


def ogg(path, source, tags):
    """Write the packets of an Ogg file once more, with other tags."""
    with av.open(str(AUDIO / source)) as old, av.open(str(path), "w", format="ogg") as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        stream.metadata.update(tags)
        new.metadata.update(tags)
        for packet in old.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return path


def box(kind, body):
    return struct.pack(">I", len(body) + 8) + kind + body


def mp4(n):
    """The tags of an MP4 file, without its sound."""
    items = b"".join(box(b"----", box(b"name", b"\0\0\0\0K%d" % i)) for i in range(n))
    meta = box(b"meta", b"\0\0\0\0" + box(b"ilst", items))
    return box(b"ftyp", b"M4A ") + box(b"moov", box(b"udta", meta))


def refused(path):
    with pytest.raises(SongError, match="more than 4,096 tags") as caught:
        sniff(path)
    return caught.value.failure is Failure.UNSUPPORTED


def test_a_flac_with_too_many_comments_is_refused_before_a_reader_opens_it(tmp_path, monkeypatch):
    path = tmp_path / "many.flac"
    path.write_bytes(flac(comments(MOST_TAGS)))
    assert sniff(path).container == "flac"
    path.write_bytes(flac(comments(MOST_TAGS + 1)))
    assert refused(path)

    def opened(*_args, **_options):
        raise AssertionError("it was opened")

    monkeypatch.setattr(av, "open", opened)
    with pytest.raises(SongError, match="more than 4,096 tags"):
        decode.decode(path, lambda _block: None)


def test_comments_of_many_blocks_count_together():
    body = comments(3000)
    data = flac(body)
    at = data.index(b"\x84" + len(body).to_bytes(3, "big"))
    block = b"\x04" + len(body).to_bytes(3, "big") + body
    assert count_flac(io.BytesIO(data), 0) == 3000
    assert count_flac(io.BytesIO(data[:at] + block + data[at:]), 0) == 6000


@pytest.mark.parametrize("source", ["birds.ogg", "synthesizer-beat.opus"])
def test_an_ogg_file_with_too_many_comments_is_refused(tmp_path, source):
    few = {f"K{i}": "1" for i in range(50)}
    path = ogg(tmp_path / "few.ogg", source, few)
    with path.open("rb") as file:
        assert 50 <= count_ogg(file, 0, path.stat().st_size) <= 60
    many = {f"K{i}": "1" for i in range(MOST_TAGS + 1)}
    assert refused(ogg(tmp_path / "many.ogg", source, many))


@pytest.mark.parametrize("name", ["birds.ogg", "synthesizer-beat.opus"])
def test_a_large_cover_is_one_comment(tmp_path, name):
    cover = base64.b64encode(bytes(5 << 20)).decode()
    path = ogg(tmp_path / "cover.ogg", name, {"METADATA_BLOCK_PICTURE": cover})
    assert path.stat().st_size > 5 << 20
    assert sniff(path).container == "ogg"


def test_an_mp4_file_with_too_many_tags_is_refused(tmp_path):
    path = tmp_path / "many.m4a"
    path.write_bytes(mp4(MOST_TAGS + 1))
    assert refused(path)
    data = mp4(100)
    assert 100 <= count_mp4(io.BytesIO(data), len(data)) <= 110


@given(declared=st.integers(0, 2**32 - 1), n=st.integers(0, 20))
def test_a_damaged_number_counts_as_many_as_fit(declared, n):
    body = comments(n, declared)
    found = count_flac(io.BytesIO(flac(body)), 0)
    assert found == min(declared, len(body) // 4)


@given(data=st.binary(max_size=400))
def test_any_bytes_have_a_count(data):
    for begins in (b"fLaC" + data, b"OggS" + data, box(b"moov", data)):
        assert count_flac(io.BytesIO(begins), 0) >= 0
        assert count_ogg(io.BytesIO(begins), 0, len(begins)) >= 0
        assert count_mp4(io.BytesIO(begins), len(begins)) >= 0

"""Every format: three fields go in, nothing else changes, and the undo gives every byte back."""

import hashlib
import re
from contextlib import suppress

import av
import pytest
from tinytag import TinyTag, TinyTagException

from audiorec.audio.decode import content_hash
from audiorec.audio.sniff import begin_of_audio
from audiorec.audio.tags import all_tags, read_tag
from audiorec.errors import SongError
from audiorec.runs.workers import Answer
from audiorec_retag import retagging
from audiorec_retag.change import old_bytes, prepare_copy, swap_in
from audiorec_retag.retagging import restore
from audiorec_retag.undo import Undo

WRITTEN = (
    "2.2.mp3 2.3.mp3 2.4.mp3 v1.mp3 ape.mp3 bare.mp3 flac ogg oga opus spx m4a first.m4a alac.m4a "
    "wav aiff dsf dff wv ape tta sv7.mpc sv8.mpc v1.wma v2.wma"
).split()
REFUSED = "au caf aac ac3 eac3 mka webm".split()
OURS = re.compile(
    "audiorec_genre|genre|mood|tcon|tmoo|t?bpm|tmpo|(initial_?)?key|tkey|.*comment.*|id3v2_priv.*"
    "|wm/.*",
    re.I,
)

HEADER = ("ours filesize", "ours mime_type")  # what tinytag says without any tag


def seen(path):
    """What readers that are not mutagen find in a file, besides our fields."""
    with path.open("rb") as file:
        found = {f"ours {k}": v for k, v in all_tags(file).items() if not OURS.match(k)}
        file.seek(0)
        with suppress(TinyTagException):
            images = TinyTag.get(file_obj=file, image=True, duration=False).images.as_dict()
            found["images"] = {k: [hashlib.sha256(i.data).digest() for i in v]
                               for k, v in images.items()}  # fmt: skip
    with suppress(av.FFmpegError), av.open(str(path)) as container:
        tags = [container.metadata, *(stream.metadata for stream in container.streams)]
        found["ffmpeg"] = [{k: v for k, v in one.items() if not OURS.match(k)} for one in tags]
    return {key: value for key, value in found.items() if value and key not in HEADER}


def test_the_list_is_that_of_all_formats(tagged):
    assert sorted(tagged) == sorted([*WRITTEN, *REFUSED])


@pytest.mark.parametrize("name", WRITTEN)
def test_fields_go_in_and_come_out_again(name, song, change):
    path = song(name)
    old, others = path.read_bytes(), seen(path)
    before = content_hash(path)
    wanted = change(path)
    changed = prepare_copy(wanted)
    assert path.read_bytes() == old
    swap_in(wanted, changed)
    assert path.read_bytes() != old
    assert content_hash(path) == before
    assert read_tag(path, "audiorec_genre") == "jazz"
    assert read_tag(path, "genre") == "Jazz"
    assert read_tag(path, "bpm") == "96"
    assert "F#m" in [read_tag(path, name) for name in ("initial_key", "initialkey", "key")]
    now = seen(path)
    if name == "2.2.mp3":  # FFmpeg knows the lyrics of ID3v2.3 alone
        pairs = zip(now["ffmpeg"], others["ffmpeg"], strict=True)
        now["ffmpeg"] = [{k: v for k, v in one.items() if k in was} for one, was in pairs]
    assert now == others
    assert others or name == "bare.mp3"
    if old[-128:-125] == b"TAG":
        assert path.read_bytes()[-128:] == old[-128:]
    with path.open("rb") as file:
        assert b"".join(old_bytes(changed.delta, file)) == old
    # Once more changes nothing: all is there.
    again = prepare_copy(wanted)
    assert (again.put, again.kept, again.delta) == ({}, {}, None)


@pytest.mark.parametrize("name", REFUSED)
def test_formats_that_cannot_be_written_say_so(name, song, change):
    path = song(name)
    old = path.read_bytes()
    with pytest.raises(SongError, match="its tags cannot be written: ") as caught:
        prepare_copy(change(path))
    assert caught.value.failure == "unsupported"
    assert path.read_bytes() == old
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("name", ["2.3.mp3", "2.4.mp3"])
def test_the_version_of_id3_stays(name, song, change):
    path = song(name)
    wanted = change(path)
    swap_in(wanted, prepare_copy(wanted))
    assert path.read_bytes()[3] == int(name[2])


def test_two_artists_stay_two_in_2_3(song, change):
    from mutagen.id3 import ID3

    path = song("2.3.mp3")
    wanted = change(path)
    swap_in(wanted, prepare_copy(wanted))
    assert ID3(path, translate=False)["TPE1"].text == ["Zz First", "Zz Second"]


def test_vorbis_comments_keep_their_order(song, change):
    from mutagen.flac import FLAC

    path = song("flac")
    before = list(FLAC(path).tags)
    wanted = change(path)
    swap_in(wanted, prepare_copy(wanted))
    assert list(FLAC(path).tags)[: len(before)] == before


@pytest.mark.parametrize("name", ["wav", "2.3.mp3", "flac", "m4a", "wv", "v2.wma"])
def test_a_field_that_is_there_stays_unless_it_is_to_be_replaced(name, song, change):
    path = song(name)
    first = change(path, fields={"genre": ("Polka",), "AUDIOREC_MOOD": ("sad",)})
    swap_in(first, prepare_copy(first))
    kept = prepare_copy(
        change(path, fields={"genre": ("Jazz",), "AUDIOREC_MOOD": ("happy", "sad")})
    )
    assert kept.put == {}
    assert kept.kept == {"genre": ("Polka",), "AUDIOREC_MOOD": ("sad",)}
    new = change(path, fields={"genre": ("Jazz",), "AUDIOREC_MOOD": ("happy",)}, replace=True)
    swap_in(new, prepare_copy(new))
    assert (read_tag(path, "genre"), read_tag(path, "audiorec_mood")) == ("Jazz", "happy")
    with path.open("rb") as file:
        assert "Polka" not in str(all_tags(file))


def test_a_genre_in_another_tag_counts(song, change):
    """mutagen looks at the ID3 of a WAV; the genre may stand in its INFO list."""
    path = song("wav")
    data = path.read_bytes()
    info = b"INFOIGNR\x06\0\0\0Polka\0"
    data += b"LIST" + len(info).to_bytes(4, "little") + info
    path.write_bytes(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])
    found = prepare_copy(change(path, fields={"genre": ("Jazz",)}))
    assert "genre" not in found.put
    assert "genre" in found.kept


def test_tags_that_mutagen_cannot_read_are_not_written(song, change):
    path = song("bare.mp3")
    path.write_bytes(b"ID3\x05\0\0\0\0\0\x0a" + bytes(10) + path.read_bytes())
    with pytest.raises(SongError, match="mutagen cannot read its tags"):
        prepare_copy(change(path))


def id3(version, body, *, flags=0, footer=b""):
    size = bytes(len(body) >> 7 * n & 0x7F for n in (3, 2, 1, 0))
    return b"ID3" + bytes([version, 0, flags]) + size + body + (footer and b"3DI" + footer + size)


def bare(path):
    """Return the audio of an MP3 without the tag in front."""
    with path.open("rb") as file:
        return path.read_bytes()[begin_of_audio(file) :]


@pytest.mark.parametrize("room", [0, 3_000], ids=["full", "with room"])
def test_the_footer_of_a_tag_goes_with_it(song, change, tmp_path, room):
    """Left behind, it would hide the frame that says how long the song is."""
    path = song("2.4.mp3")
    audio, title = bare(path), b"\x03foot" + b"t" * room
    frame = b"TIT2" + bytes([0, 0, len(title) >> 7, len(title) & 0x7F, 0, 0]) + title
    path.write_bytes(id3(4, frame, flags=0x10, footer=b"\x04\x00\x10") + audio)
    old, wanted = path.read_bytes(), change(path)
    with Undo(tmp_path / "u.jsonl") as lines:
        outcome = retagging._outcome(
            "song", wanted, Answer(wanted, value=prepare_copy(wanted)), lines
        )
    assert outcome.state == "written"
    assert b"3DI" not in path.read_bytes()
    assert path.read_bytes().endswith(audio)
    assert bare(path) == audio
    assert read_tag(path, "title").startswith("foot")
    restore(tmp_path / "u.jsonl", [tmp_path], write=True)
    assert path.read_bytes() == old


def test_a_frame_that_would_be_lost_is_a_reason_to_refuse(song, change):
    """ID3v2.2 has an encrypted frame, CRM, for which later versions have no place."""
    path = song("2.2.mp3")
    body = b"TT2\x00\x00\x02\x00T" + b"CRM\x00\x00\x0aowner\x00x\x00en"
    path.write_bytes(id3(2, body) + bare(path))
    old = path.read_bytes()
    with pytest.raises(SongError, match="other tags of it would change"):
        prepare_copy(change(path))
    assert path.read_bytes() == old

"""Every format beside FLAC: the same music, its tags, its damage, its hash; what is refused.

`TOLERANCE` is what fixtures/codecs/README.md keeps to: the largest difference of a score, and of a
vector's number, from those of the same samples in FLAC.
"""

import struct
from pathlib import Path

import av
import dsd_files
import numpy as np
import pytest
import soundfile
from odd_files import ape_tag, cut, encode, id3v1, id3v2, music, prepend, scratch, sound

from audiorec.audio.decode import content_hash, waveform
from audiorec.audio.headers import ASF
from audiorec.audio.sniff import sniff
from audiorec.audio.tags import header_duration_s, read_tag, read_tags
from audiorec.errors import Failure, SongError
from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.pipeline import Extractor
from audiorec.types import Status

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "fixtures" / "codecs"
FLAC = FOLDER / "tabla.flac"
LOSSLESS = {"tabla.wv": "wavpack", "tabla.ape": "ape", "tabla.tta": "tta"}
DSD = {"tabla.dsf": "dsd_lsbf_planar", "tabla.dff": "dsd_msbf", "tabla-dst.dff": "dst"}
LOSSY = {
    "tabla-sv7.mpc": "mpc7",
    "tabla-sv8.mpc": "mpc8",
    "tabla-v1.wma": "wmav1",
    "tabla-v2.wma": "wmav2",
    "tabla.ac3": "ac3",
    "tabla.eac3": "eac3",
    "tabla.spx": "speex",
    "tabla-vorbis.mka": "vorbis",
    "tabla-opus.webm": "opus",
}
CODECS = {**LOSSLESS, **DSD, **LOSSY}
TOLERANCE = {
    **dict.fromkeys(LOSSLESS.values(), 0.0),
    **dict.fromkeys(DSD.values(), 0.001),
    **dict.fromkeys(("mpc7", "mpc8", "vorbis", "opus", "ac3", "eac3"), 0.05),
    "speex": 0.05,
    **dict.fromkeys(("wmav1", "wmav2"), 0.2),
}
UNTAGGED = ("tabla.ac3", "tabla.eac3")
each = pytest.mark.parametrize("name", CODECS)
TITLE = id3v2(2_000, title="Tabla")


@pytest.fixture(scope="module")
def bits():
    samples, rate = soundfile.read(FLAC)
    return dsd_files.one_bit(samples, rate)


@pytest.fixture(scope="module")
def songs(bits, tmp_path_factory) -> dict[str, Path]:
    """A file of every format: those of the folder, and one-bit audio, too large to be kept."""
    folder = tmp_path_factory.mktemp("dsd")
    made = {name: folder / name for name in DSD}
    made["tabla.dsf"].write_bytes(dsd_files.dsf([bits], tag=TITLE))
    made["tabla.dff"].write_bytes(dsd_files.dff([bits], tag=TITLE))
    made["tabla-dst.dff"].write_bytes(dsd_files.dff([bits], tag=TITLE, packed=True))
    return {**{name: FOLDER / name for name in CODECS}, **made}


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor()


@pytest.fixture(scope="module")
def reference(extractor):
    return extractor.song(FLAC)


def late(samples: np.ndarray, dsd_rate: int) -> np.ndarray:
    """Samples at 16 kHz, later by half of the filter (40.5 bits) that makes numbers of bits."""
    turns = np.fft.rfftfreq(len(samples), 1 / 16_000) * 40.5 / dsd_rate
    return np.fft.irfft(np.fft.rfft(samples) * np.exp(-2j * np.pi * turns), len(samples))


def failure_of(path: Path) -> SongError:
    with pytest.raises(SongError) as caught:
        waveform(path)
    return caught.value


# The files


def test_the_folder_is_small_and_its_readme_lists_it():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    files = [path for path in FOLDER.iterdir() if path.name != "README.md"]
    assert all(f"`{path.name}`" in text for path in files)
    assert sum(path.stat().st_size for path in files) < 700_000
    assert {path.name for path in files} == {FLAC.name, *LOSSLESS, *LOSSY}


def test_a_folder_takes_them_and_leaves_videos(songs, tmp_path):
    videos = ("a.mkv", "a.webm", "a.wmv", "a.wvc")
    for name in (*CODECS, *videos, "renamed.weba", "no_ending"):
        (tmp_path / name).write_bytes(songs.get(name, songs["tabla.wv"]).read_bytes()[:9_000])
    found = {source.song_id for source in find_songs([tmp_path])}
    assert found == {*CODECS, "renamed.weba", "no_ending"} - {"tabla-opus.webm"}
    assert [s.song_id for s in find_songs([tmp_path / "a.webm"])] == ["a.webm"]


# The same music


@each
def test_scores_and_vector_are_those_of_the_flac(name, songs, extractor, reference):
    song = extractor.song(songs[name])
    assert (song.info.codec, song.info.status) == (CODECS[name], Status.OK)
    assert (song.info.packet_errors, song.series.scores.shape) == (0, (2, 14))
    limit = TOLERANCE[CODECS[name]]
    assert np.abs(song.series.scores - reference.series.scores).max() <= limit
    assert np.abs(song.vector - reference.vector).max() <= limit


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_give_the_very_samples(name, songs):
    np.testing.assert_array_equal(waveform(songs[name])[0], waveform(FLAC)[0])


@pytest.mark.parametrize("name", DSD)
def test_half_of_the_modulation_is_full_scale(name, songs):
    found, info = waveform(songs[name])
    expected = late(waveform(FLAC)[0], 2_822_400)
    assert info.sample_rate == 352_800
    assert len(found) == pytest.approx(len(expected), abs=220)  # DST has whole frames alone
    middle = slice(300, len(found) - 300)
    assert np.abs(found[middle] - expected[middle]).max() < 0.002


@pytest.fixture(scope="module")
def two_channels():
    """Two channels of one-bit audio, the samples they are made of, and the rate of these."""
    rate = 44_100
    samples = music(seconds=1.2, rate=rate, channels=2)
    return [dsd_files.one_bit(samples[:, i], rate, 32 * rate) for i in range(2)], samples, rate


@pytest.mark.parametrize("name", DSD)
def test_two_channels_of_one_bit(name, two_channels, tmp_path):
    pair, samples, rate = two_channels
    kind = "dsf" if name.endswith("dsf") else "dff"
    options = {"packed": True} if "dst" in name else {}
    (tmp_path / name).write_bytes(getattr(dsd_files, kind)(pair, 32 * rate, **options))
    found, info = waveform(tmp_path / name)
    assert (info.channels, info.sample_rate, info.status) == (2, 4 * rate, Status.SHORT)
    sound(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    expected = late(waveform(tmp_path / "a.wav")[0], 32 * rate)
    middle = slice(300, len(found) - 300)
    assert np.abs(found[middle] - expected[middle]).max() < 0.005


def test_rates_of_dsd_and_no_other_go_beyond_192_khz(tmp_path):
    wave = 0.3 * np.sin(np.arange(4_410) / 9.0)  # a fifth of a second, six times
    bits = np.tile(dsd_files.one_bit(wave, 22_050, 8 * dsd_files.DSD64), 6)  # DSD512
    (tmp_path / "a.dsf").write_bytes(dsd_files.dsf([bits], 8 * dsd_files.DSD64))
    assert waveform(tmp_path / "a.dsf")[1].sample_rate == 2_822_400
    (tmp_path / "b.dsf").write_bytes(dsd_files.dsf([bits], 16 * dsd_files.DSD64))
    assert "4000 to 2822400 Hz are supported" in failure_of(tmp_path / "b.dsf").reason


def test_an_unpacked_frame_of_dst_is_lost_and_no_noise(tmp_path, songs):
    data = bytearray(songs["tabla-dst.dff"].read_bytes())
    places = [at for at in range(len(data) - 4) if data[at : at + 4] == b"DSTF"]
    for at in places[100:110]:
        data[at + 12] &= 0x7F
    (tmp_path / "a.dff").write_bytes(data)
    found, info = waveform(tmp_path / "a.dff")
    assert (info.status, info.packet_errors) == (Status.DAMAGED, 10)
    assert np.abs(found).max() < 1.5


@pytest.mark.parametrize(
    "codec", ["flac", "aac", "ac3", "libmp3lame", "pcm_s24le", "tta", "wavpack"]
)
def test_codecs_in_matroska(codec, tmp_path):
    samples = music(rate=48_000)
    encode(tmp_path / "a.mka", samples, 48_000, codec=codec, container="matroska")
    sound(tmp_path / "a.wav", samples, 48_000, subtype="FLOAT")
    (found, info), (expected, _) = waveform(tmp_path / "a.mka"), waveform(tmp_path / "a.wav")
    assert info.status is Status.OK
    n = min(len(found), len(expected))
    assert np.corrcoef(found[:n], expected[:n])[0, 1] > 0.98


def test_ac3_is_read_without_its_curve_for_the_night(tmp_path):
    """Six channels are mixed as everywhere, and a quiet passage stays as quiet as it is."""
    samples = music(rate=48_000, channels=6)
    encode(tmp_path / "a.ac3", samples, 48_000, codec="ac3", container="ac3")
    found, info = waveform(tmp_path / "a.ac3")
    assert (info.channels, info.codec) == (6, "ac3")
    sound(tmp_path / "a.wav", samples, 48_000, kind="WAVEX", subtype="FLOAT")
    assert found.std() == pytest.approx(waveform(tmp_path / "a.wav")[0].std(), rel=0.1)


def test_four_kilohertz(tmp_path, extractor):
    sound(tmp_path / "a.wav", music(rate=4_000), 4_000)
    song = extractor.song(tmp_path / "a.wav")
    assert (song.info.sample_rate, song.info.status) == (4_000, Status.OK)
    assert np.isfinite(song.vector).all()


# Length, damage


@each
def test_length_of_the_header(name, songs):
    info = waveform(songs[name])[1]
    claims = name not in (*UNTAGGED, "tabla.spx")  # rows of frames, and Ogg, claim nothing
    assert (info.claimed_s is not None) is claims
    assert info.duration_s == pytest.approx(4.6, abs=0.03)
    if claims:
        assert info.claimed_s == pytest.approx(4.6, abs=0.03)
        assert header_duration_s(songs[name]) == pytest.approx(4.6, abs=0.03)


@each
def test_a_cut_file_is_truncated(name, songs, tmp_path):
    path = tmp_path / name
    path.write_bytes(songs[name].read_bytes())
    cut(path)
    info = waveform(path)[1]
    assert 1.8 < info.duration_s < 3.2
    # Nothing in a bare row of frames tells that there were more.
    assert info.status is (Status.SHORT if name in UNTAGGED else Status.TRUNCATED)


@pytest.mark.parametrize("name", [n for n in CODECS if n not in (*DSD, "tabla-sv8.mpc")])
def test_a_scratched_file_is_not_ok(name, songs, tmp_path):
    path = tmp_path / name
    path.write_bytes(songs[name].read_bytes())
    scratch(path, 1_024)
    # Where nothing can be found behind the scratch, it looks like a cut. One-bit audio and
    # Musepack's stream version 8 have no checksums: there a scratch is a noise.
    assert waveform(path)[1].status in (Status.DAMAGED, Status.TRUNCATED)


@pytest.mark.parametrize("name", [*LOSSLESS, *UNTAGGED])
def test_one_bit_is_found_by_the_checksum_of_the_format(name, songs, tmp_path):
    data = bytearray(songs[name].read_bytes())
    data[len(data) // 2] ^= 0x10
    (tmp_path / name).write_bytes(data)
    assert waveform(tmp_path / name)[1].status is Status.DAMAGED


# Hash, tags


@each
def test_retagging_keeps_the_hash(name, songs, tmp_path, bits):
    path, before = tmp_path / name, content_hash(songs[name])
    path.write_bytes(songs[name].read_bytes())
    if name in DSD:
        kind, options = ("dsf", {}) if name.endswith("dsf") else ("dff", {"packed": "dst" in name})
        path.write_bytes(
            getattr(dsd_files, kind)([bits], tag=id3v2(90_000, title="Coda"), **options)
        )
        assert read_tags(path).title == "Coda"
    elif name.endswith(("mka", "webm", "wma", "spx")):
        muxer = {"wma": "asf", "spx": "spx", "mka": "matroska", "webm": "webm"}[name.split(".")[1]]
        remux(songs[name], path, muxer, title="Coda")
        assert read_tags(path).title == "Coda"
    else:
        old = path.read_bytes()
        path.write_bytes(old[: sniff(path).audio_end] + ape_tag() + id3v1())
        prepend(path, id3v2(9_000))
    assert path.read_bytes() != songs[name].read_bytes()
    assert content_hash(path) == before


def test_no_two_formats_have_the_same_hash(songs):
    assert len({content_hash(songs[name]) for name in CODECS}) == len(CODECS)


def remux(source: Path, target: Path, muxer: str, **tags: str) -> None:
    with av.open(str(source)) as old, av.open(str(target), "w", format=muxer) as new:
        new.metadata.update(tags)
        stream = old.streams.audio[0]
        copy = new.add_stream_from_template(stream, opaque=True)
        copy.metadata.update(tags)
        for packet in old.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                new.mux(packet)


@pytest.mark.parametrize("name", [n for n in CODECS if n not in UNTAGGED])
def test_tags(name, songs):
    found = read_tags(songs[name])
    assert found.title == "Tabla"
    if name not in DSD:
        assert (found.artist, found.album) == ("lezaarth", "Codecs")
        assert read_tag(songs[name], "artist") == "lezaarth"


# What is refused


def with_object(path: Path, guid: str) -> None:
    """Put an empty object of a kind at the end of a WMA's header."""
    data = (FOLDER / "tabla-v2.wma").read_bytes()
    length, count = struct.unpack_from("<QI", data, 16)
    extra = bytes.fromhex(guid) + struct.pack("<Q", 24)
    head = ASF + struct.pack("<QI", length + 24, count + 1) + data[28:length] + extra
    path.write_bytes(head + data[length:])


@pytest.mark.parametrize(
    ("guid", "is_drm"),
    [
        ("fbb3112223bdd211b4b700a0c955fc6e", True),  # content encryption
        ("14e68a292226174cb935dae07ee9289c", True),  # extended
        ("fcb3112223bdd211b4b700a0c955fc6e", False),
    ],
)
def test_wma_of_a_shop(guid, is_drm, tmp_path):
    with_object(tmp_path / "a.wma", guid)
    if not is_drm:
        assert waveform(tmp_path / "a.wma")[1].status is Status.OK
        return
    error = failure_of(tmp_path / "a.wma")
    assert (error.failure, error.reason[:16]) == (Failure.DRM, "protected by DRM")


def test_true_audio_with_a_password(tmp_path):
    data = bytearray((FOLDER / "tabla.tta").read_bytes())
    data[data.index(b"TTA1") + 4] = 2
    (tmp_path / "a.tta").write_bytes(data)
    error = failure_of(tmp_path / "a.tta")
    assert (error.failure, error.reason) == (Failure.DRM, "encrypted with a password")


def video(path: Path, muxer: str, *, with_audio: bool) -> None:
    samples = music(rate=48_000)
    with av.open(str(path), "w", format=muxer) as out:
        stream = out.add_stream("mpeg4", rate=5, width=32, height=32, pix_fmt="yuv420p")
        sound_stream = (
            out.add_stream("pcm_s16le", rate=48_000, layout="stereo") if with_audio else None
        )
        for _ in range(40):  # 8 s, twice as long as the audio
            out.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        out.mux(stream.encode(None))
        if sound_stream is not None:
            values = np.round(samples * 32_767).astype(np.int16).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(values, format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 48_000, 0
            out.mux(sound_stream.encode(frame))
            out.mux(sound_stream.encode(None))


def test_video_without_audio_says_so(tmp_path):
    video(tmp_path / "a.mkv", "matroska", with_audio=False)
    error = failure_of(tmp_path / "a.mkv")
    assert (error.failure, error.reason) == (
        Failure.NO_AUDIO,
        "the file contains video and no audio",
    )


def test_the_audio_beside_a_video_that_goes_on_is_whole(tmp_path):
    video(tmp_path / "a.mkv", "matroska", with_audio=True)
    found, info = waveform(tmp_path / "a.mkv")
    assert (info.status, info.claimed_s, info.codec) == (Status.OK, None, "pcm_s16")
    assert len(found) == 64_000

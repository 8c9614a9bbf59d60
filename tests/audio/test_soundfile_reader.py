"""`audiorec.audio.soundfile_reader`: sequential reading, full scale, giving up."""

import numpy as np
import pytest
import soundfile
from odd_files import mp3, sound

from audiorec.audio.readers import BLOCK_FRAMES, DecoderError
from audiorec.audio.sniff import open_regular, sniff
from audiorec.audio.soundfile_reader import SoundfileReader
from audiorec.errors import Failure


def read(path) -> tuple[np.ndarray, SoundfileReader]:
    with open_regular(path) as file:
        reader = SoundfileReader(file, sniff(path))
        return np.concatenate([b.samples.copy() for b in reader.blocks()]), reader


def test_blocks_equal_the_whole_file_in_every_bit(tmp_path):
    # Seeking between blocks, as the binding does by itself, spoils thousands of samples of a
    # VBR file: frames of simple sounds are made of bits that lie in the frames before.
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(8 * 44_100) / 44_100)
    mp3(tmp_path / "a.mp3", tone.astype(np.float32)[:, None], vbr=True)
    whole, _ = soundfile.read(tmp_path / "a.mp3", dtype="float32", always_2d=True)
    np.testing.assert_array_equal(read(tmp_path / "a.mp3")[0], whole)


def test_16_bits_become_libsndfiles_floats_in_every_bit(tmp_path):
    every = np.arange(-(2**15), 2**15, dtype=np.int16).reshape(-1, 2)
    soundfile.write(tmp_path / "a.wav", every, 44_100)
    expected, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    np.testing.assert_array_equal(
        read(tmp_path / "a.wav")[0].view(np.int32), expected.view(np.int32)
    )


@pytest.mark.parametrize(
    ("subtype", "step"), [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23)]
)
def test_full_scale_is_one(tmp_path, subtype, step):
    sound(tmp_path / "a.wav", np.float32([[-1.0, 0.5], [0.25, 0.0]] * 50), subtype=subtype)
    values, _ = read(tmp_path / "a.wav")
    np.testing.assert_allclose(values[:2], [[-1.0, 0.5], [0.25, 0.0]], atol=step)


def test_blocks_of_a_low_rate_are_at_most_ten_seconds(tmp_path):
    sound(tmp_path / "a.wav", np.zeros((200_000, 1), np.float32), 8_000)
    with open_regular(tmp_path / "a.wav") as file:
        blocks = SoundfileReader(file, sniff(tmp_path / "a.wav")).blocks()
        assert [len(b.samples) for b in blocks] == [BLOCK_FRAMES] * 3 + [200_000 - 3 * BLOCK_FRAMES]


@pytest.mark.parametrize(
    ("name", "words", "damaged", "failure"),
    [
        ("scratched.mp3", "libsndfile: ", True, Failure.UNDECODABLE),
        ("cut.flac", "lost sync", True, Failure.UNDECODABLE),
        ("claims_too_little.flac", "bytes unread", False, Failure.UNDECODABLE),
        # Here libsndfile says nothing, and half of the song would be lost.
        ("scratched_a_little.mp3", "bytes unread", False, Failure.UNDECODABLE),
        ("no_samples.wav", "no samples", False, Failure.NO_AUDIO),
    ],
)
def test_gives_up(name, words, damaged, failure, odd):
    with pytest.raises(DecoderError, match=words) as caught:
        read(odd[name].path)
    assert (caught.value.damaged, caught.value.failure) == (damaged, failure)
    assert caught.value.decoder.startswith("soundfile")


def test_subtypes_outside_the_list_are_refused(tmp_path):
    sound(tmp_path / "good.wav")
    good = sniff(tmp_path / "good.wav")
    sound(tmp_path / "a.wav", subtype="MS_ADPCM")  # `sniff` would not have let it through
    with open_regular(tmp_path / "a.wav") as file:
        reader = SoundfileReader(file, good)
        with pytest.raises(DecoderError, match=r"codec MS_ADPCM .* is not supported") as caught:
            next(reader.blocks())
    assert caught.value.failure is Failure.UNSUPPORTED

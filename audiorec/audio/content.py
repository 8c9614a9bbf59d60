"""A hash of a song's audio, which is not changed by retagging.

    path ──content_hash──▶ 32 hex digits

Titles are corrected, covers added, files moved; the audio packets stay what they are. The
hash is taken over the packets as they lie in the file, without decoding, and serves resume,
moves and duplicates. It says "the same bytes of audio", never "sounds alike".
"""

import hashlib
from typing import BinaryIO

from audiorec.audio.raw import DecoderError
from audiorec.audio.sniff import PathLike, begin_of_audio, end_of_audio, open_regular, unreadable

DIGEST_BYTES = 16
_READ_BYTES = 1 << 20


def content_hash(path: PathLike) -> str:
    """Hash the audio packets of a file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    digest : str
        32 hex digits: blake2b of 128 bits over the codec, the sample rate, the channels and
        all packets of the first audio stream. Where the packets cannot be read, over the
        bytes of the file, marked so that the two never meet.

    Raises
    ------
    SongError
        ``unreadable``: the file has vanished, may not be read, or is no regular file.

    Notes
    -----
    The packets are FFmpeg's: a new version that cuts a container's packets out otherwise
    changes hashes, which costs a re-extraction and nothing else.
    """
    with open_regular(path) as file:
        try:
            return content_hash_of(file)
        except OSError as error:  # a failing disk
            raise unreadable(path, error) from None


def content_hash_of(file: BinaryIO) -> str:
    """Return the `content_hash` of an open file, from its beginning; an `OSError` if it fails."""
    from audiorec.audio.pyav_reader import DEMUXER_ERRORS  # late, as the readers in `decode`

    try:
        return _hash_packets(file)
    except (DecoderError, *DEMUXER_ERRORS):
        return _hash_bytes(file)


def _hash_packets(file: BinaryIO) -> str:
    from audiorec.audio.pyav_reader import audio_stream, codec_name, open_container

    begin, end = begin_of_audio(file), end_of_audio(file)
    with open_container(file, begin=begin, end=end) as container:
        stream = audio_stream(container)
        rate, layout = stream.codec_context.sample_rate, stream.codec_context.layout
        digest = _new_hash("packets", codec_name(stream), str(rate), str(layout.nb_channels))
        n_bytes = 0
        for packet in container.demux(stream):
            digest.update(packet)
            n_bytes += packet.size
    if n_bytes == 0:
        raise DecoderError("no packets", "")
    return digest.hexdigest()


def _hash_bytes(file: BinaryIO) -> str:
    digest = _new_hash("bytes")
    file.seek(0)
    while chunk := file.read(_READ_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _new_hash(*prefix: str) -> "hashlib.blake2b":
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update("\0".join((*prefix, "")).encode())
    return digest

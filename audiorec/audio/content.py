"""A hash of a song's audio that retagging does not change.

    path ──content_hash──▶ 32 hex digits

Titles are corrected, covers added, files moved; the audio packets stay the same. The hash covers
the packets as stored, without decoding, and is used to resume, to follow moved files and to find
duplicates. Equal hashes mean the same bytes of audio, not a similar sound.
"""

from typing import BinaryIO

from audiorec.audio.readers import DecoderError, new_hash
from audiorec.audio.sniff import PathLike, begin_of_audio, end_of_audio, open_regular, unreadable

_READ_BYTES = 1 << 20


def content_hash(path: PathLike) -> str:
    """Hash the audio packets of a file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    digest : str
        32 hex digits: 128-bit blake2b over the codec, the sample rate, the number of channels
        and all packets of the first audio stream. If the packets cannot be read, over the bytes
        of the file, with a prefix so that the two kinds never collide.

    Raises
    ------
    SongError
        ``unreadable``: the file is gone, permission is denied, or it is not a regular file.

    Notes
    -----
    FFmpeg splits the container into packets: a new version that splits it differently changes
    hashes, which costs a re-extraction and nothing else.
    """
    with open_regular(path) as file:
        try:
            return content_hash_of(file)
        except OSError as error:  # a failing disk
            raise unreadable(path, error) from None


def content_hash_of(file: BinaryIO) -> str:
    """Return the `content_hash` of an open file; raise `OSError` if it cannot be read."""
    from audiorec.audio.pyav_reader import DEMUXER_ERRORS  # late import, as in `decode`

    try:
        return _hash_packets(file)
    except (DecoderError, *DEMUXER_ERRORS):
        return _hash_bytes(file)


def _hash_packets(file: BinaryIO) -> str:
    from audiorec.audio.pyav_reader import audio_stream, open_container, packet_hash

    begin, end = begin_of_audio(file), end_of_audio(file)
    with open_container(file, begin=begin, end=end) as container:
        stream = audio_stream(container)
        found = packet_hash(stream)
        for packet in container.demux(stream):
            found.add(packet)
    if not (digest := found.hexdigest()):
        raise DecoderError("no packets", "")
    return digest


def _hash_bytes(file: BinaryIO) -> str:
    digest = new_hash("bytes")
    file.seek(0)
    while chunk := file.read(_READ_BYTES):
        digest.update(chunk)
    return digest.hexdigest()

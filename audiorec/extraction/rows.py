"""Output rows of one song: in the store, or in the errors file.

source, `Song`  ──extracted_row──▶ columns of vecs.parquet
source, `Answer` ──failure_row──▶ columns of the errors file
"""

from typing import Any

from audiorec.audio.tags import SongTags
from audiorec.errors import Failure, SongError
from audiorec.extraction.catalogue import Source
from audiorec.extraction.pipeline import Song
from audiorec.runs.workers import Answer


def place_columns(source: Source) -> dict[str, Any]:
    """Return the columns of a song's id and location."""
    return {name: getattr(source, name) for name in ("song_id", "uri", "size", "mtime_ns")}


def tag_columns(tags: SongTags) -> dict[str, Any]:
    """Return the columns of a file's tags."""
    names = ("title", "artist", "album", "isrc", "musicbrainz_trackid")
    return {name: getattr(tags, name) for name in names}


def heard_columns(song: Song) -> dict[str, Any]:
    """Return the columns beside the vector that an older row of the song may lack."""
    return {**song.attributes, **song.lists}


def extracted_row(source: Source, song: Song) -> dict[str, Any]:
    """Return a song's row in ``vecs.parquet``."""
    info = song.info
    return {
        **place_columns(source),
        "vector": song.vector,
        "content_hash": song.content_hash,
        "duration_s": info.duration_s,
        "claimed_s": info.claimed_s,
        "loudness_lufs": song.loudness_lufs,
        "segments": len(song.series),
        "status": str(info.status),
        "source_rate": info.sample_rate,
        "source_channels": info.channels,
        "codec": info.codec,
        "decoder": info.decoder,
        "packet_errors": info.packet_errors,
        **tag_columns(song.tags),
        **heard_columns(song),
    }


def failure_row(source: Source, answer: Answer, attempts: int) -> dict[str, Any]:
    """Return a failed song's row in the errors file."""
    error = answer.error
    stage, status, message = "worker", answer.failure or Failure.CRASHED, answer.message
    decoder = None
    if isinstance(error, SongError):
        stage, status, message = error.stage, error.failure, error.reason
        decoder = error.decoder
    return {
        **place_columns(source),
        "stage": stage,
        "status": str(status),
        "message": message,
        "decoder": decoder,
        "attempts": attempts,
    }

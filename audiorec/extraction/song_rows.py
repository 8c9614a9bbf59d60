"""Answers of the workers as rows of the output files: one song or one failure, by column."""

from typing import Any

from audiorec.audio.tags import SongTags
from audiorec.errors import Failure, SongError
from audiorec.extraction.catalogue import Source
from audiorec.extraction.pipeline import Song
from audiorec.runs.workers import Answer


def place_columns(source: Source) -> dict[str, Any]:
    """Return the columns that say where a song is and what it is called."""
    return {
        "song_id": source.song_id,
        "uri": source.uri,
        "size": source.size,
        "mtime_ns": source.mtime_ns,
    }


def tag_columns(tags: SongTags) -> dict[str, Any]:
    """Return the columns of a file's tags."""
    names = ("title", "artist", "album", "isrc", "musicbrainz_trackid")
    return {name: getattr(tags, name) for name in names}


def song_row(source: Source, song: Song) -> dict[str, Any]:
    """Return a song's row of ``vecs.parquet``."""
    info = song.info
    return {
        **place_columns(source),
        "vector": song.vector,
        "content_hash": song.content_hash,
        "duration_s": info.duration_s,
        "claimed_s": info.claimed_s,
        "segments": len(song.series),
        "status": str(info.status),
        "source_rate": info.sample_rate,
        "source_channels": info.channels,
        "codec": info.codec,
        "decoder": info.decoder,
        "packet_errors": info.packet_errors,
        **tag_columns(song.tags),
    }


def unseen_answer(source: Source) -> Answer:
    """Return the answer for a place that could not be looked at: there is nothing to open."""
    error = SongError(source.uri, Failure.UNREADABLE, source.problem, stage="walk")
    return Answer(source.path, error=error)


def failure_row(source: Source, answer: Answer, attempts: int) -> dict[str, Any]:
    """Return a failed song's row of ``errors.parquet``."""
    error = answer.error
    if isinstance(error, SongError):
        stage, status, message = error.stage, error.failure, error.reason
        decoder = error.decoder
    else:
        stage, status, message = "worker", answer.failure or Failure.CRASHED, answer.message
        decoder = None
    return {
        **place_columns(source),
        "stage": stage,
        "status": str(status),
        "message": message,
        "decoder": decoder,
        "attempts": attempts,
    }

"""JSON Schema of the responses of audiorec's own API, for its OpenAPI document."""

from typing import Any

_TEXT = {"type": "string"}
_TEXT_OR_NONE = {"type": ["string", "null"]}
_WHOLE = {"type": "integer", "minimum": 0}
_UNIT = {"type": "number", "minimum": 0, "maximum": 1}
_TEXTS = {"type": "array", "items": _TEXT}


def _object(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object whose properties are all required."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(schema: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}}


_SONG = {
    "song_id": _TEXT,
    "title": _TEXT_OR_NONE,
    "artist": _TEXT_OR_NONE,
    "album": _TEXT_OR_NONE,
    "uri": _TEXT_OR_NONE,
    "duration_s": {"type": ["number", "null"]},
    "alias": {**_TEXT_OR_NONE, "description": "Alias from the user's own table."},
}
_SIMILARITY = {**_UNIT, "description": "From 0 (unlike) to 1 (the same)."}
SCHEMAS: dict[str, Any] = {
    "Problem": _object(error=_TEXT),
    "Store": _object(
        songs=_WHOLE,
        compared_by=_TEXT,
        note=_TEXT,
        extractor_id=_TEXT,
        classes=_TEXTS,
        channels=_TEXTS,
        users=_WHOLE,
        version=_TEXT,
    ),
    "SongWithGenre": _object(**_SONG, genre=_TEXT_OR_NONE),
    "SimilarSong": _object(**_SONG, similarity=_SIMILARITY),
    "SimilarSongs": _object(songs=_list("SimilarSong")),
    "NotedSongs": _object(songs=_list("SimilarSong"), notes=_TEXTS),
    "ProposedSong": _object(
        **_SONG,
        rank={"type": "integer", "minimum": 1},
        channel=_TEXT,
        reason=_TEXT,
        cold={"type": "boolean"},
    ),
    "ProposedSongs": _object(songs=_list("ProposedSong"), notes=_TEXTS),
    "UserVector": _object(
        channel=_TEXT,
        model_id=_TEXT,
        dimension=_WHOLE,
        used={**_WHOLE, "description": "Number of known songs in the history."},
        vectors={"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        weights={"type": "array", "items": _UNIT},
    ),
}

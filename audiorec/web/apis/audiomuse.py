"""The four endpoints of AudioMuse-AI that its plugins for music servers call.

=======================  =======================================================================
``/api/similar_tracks``  ``item_id``, ``n``, ``eliminate_duplicates``
``/api/find_path``       ``start_song_id``, ``end_song_id``, ``max_steps``
``/api/similar_artists`` ``artist`` or ``artist_id``, ``n``, ``include_component_matches``
``/api/clap/search``     ``query`` and ``limit`` of a JSON body: songs that a sentence describes
=======================  =======================================================================

A distance is 1 - similarity, since the plugins subtract it from 1 again. Their other parameters
(a radius, moods, which server) have no counterpart here and are ignored.
"""

from collections.abc import Sequence
from typing import Any

from audiorec.errors import InputError
from audiorec.search.questions import Choice, FindQuestion, SimilarQuestion
from audiorec.web.apis.messages import (
    ApiReply,
    ApiRequest,
    FoundSongs,
    Handler,
    NotThereError,
    as_found,
    described,
    near,
    way,
)
from audiorec.web.apis.snapshot import NamedSong, NearArtist, Snapshot

PER_ARTIST = 3  # songs per artist with eliminate_duplicates, as in AudioMuse
STEPS = 25
SENTENCE_SONGS = 100
UNKNOWN = "unknown"  # AudioMuse's name for an album without a name


def similar_tracks(snapshot: Snapshot, asked: ApiRequest) -> ApiReply:
    """Return the songs near one."""
    if not asked.text("item_id"):
        raise InputError("item_id must be given")
    seed = snapshot.names.find(asked.text("item_id"))
    limited = asked.text("eliminate_duplicates", "true").lower() == "true"
    choice = Choice(per_artist=PER_ARTIST if limited else None)
    question = SimilarQuestion(k=_many(asked, 10), choice=choice)
    return ApiReply.json(_tracks(snapshot, near(snapshot, [seed], question), seed))


def find_path(snapshot: Snapshot, asked: ApiRequest) -> ApiReply:
    """Return a path from one song to another, both included."""
    names = asked.text("start_song_id"), asked.text("end_song_id")
    if not all(names):
        raise InputError("Both a start and end song must be provided.")
    start, end = map(snapshot.names.find, names)
    if start.row == end.row:
        raise InputError("Start and end songs cannot be the same.")
    result = way(snapshot, start, end, max(2, asked.whole("max_steps", STEPS)))
    tracks = _tracks(snapshot, result, start)
    return ApiReply.json(
        {"path": tracks, "total_distance": tracks[-1]["distance"] if tracks else 0.0}
    )


def similar_artists(snapshot: Snapshot, asked: ApiRequest) -> ApiReply:
    """Return the artists similar to one."""
    artist = asked.text("artist") or asked.text("artist_id")
    if not artist:
        raise InputError("Missing 'artist' or 'artist_id' parameter")
    with snapshot.lock:
        result = snapshot.artists.near(artist, _many(asked, 10))
    if not result:
        raise NotThereError(
            f"Artist '{artist[:200]}' not found in index or no similar artists found."
        )
    with_songs = asked.text("include_component_matches").lower() == "true"
    return ApiReply.json([_artist(snapshot, one, with_songs=with_songs) for one in result])


def clap_search(snapshot: Snapshot, asked: ApiRequest) -> ApiReply:
    """Return the songs that a sentence describes; the name is AudioMuse's, the method is not."""
    body = asked.document()
    query, limit = body.get("query"), body.get("limit", SENTENCE_SONGS)
    if not isinstance(query, str) or not query.strip() or type(limit) is not int:
        raise InputError("query must be a text, and limit a whole number")
    result = described(snapshot, FindQuestion(text=query, k=limit))
    tracks = _tracks(snapshot, as_found(result), snapshot.names.usual)
    results = [{**track, "similarity": round(1 - track["distance"], 6)} for track in tracks]
    return ApiReply.json({"query": query, "results": results, "count": len(results)})


HANDLERS: dict[str, Handler] = {
    "/api/similar_tracks": similar_tracks,
    "/api/find_path": find_path,
    "/api/similar_artists": similar_artists,
}
POSTS: dict[str, Handler] = {"/api/clap/search": clap_search}


def _many(asked: ApiRequest, usual: int) -> int:
    return max(1, asked.whole("n", usual))


def _tracks(snapshot: Snapshot, found: FoundSongs, like: NamedSong) -> list[dict[str, Any]]:
    called = snapshot.names.called(found.rows.tolist(), like)
    songs = snapshot.songs(found.rows.tolist())
    return [
        {
            "item_id": name,
            "title": song["title"] or name,
            "author": song["artist"] or "",
            "album": song["album"] or UNKNOWN,
            "distance": round(1 - similarity, 6),
        }
        for name, song, similarity in zip(called, songs, found.similarities.tolist(), strict=True)
        if name is not None
    ]


def _artist(snapshot: Snapshot, found: NearArtist, *, with_songs: bool) -> dict[str, Any]:
    divergence = round(1 - found.similarity, 6)
    answer: dict[str, Any] = {
        "artist": found.name,
        "artist_id": found.artist_id or None,
        "divergence": divergence,
    }
    if with_songs:
        answer["component_matches"] = [
            {
                "component1_index": 0,
                "component2_index": 0,
                "component1_weight": 1.0,
                "component2_weight": 1.0,
                "distance": divergence,
                "artist1_representative_songs": _standing(snapshot, found.songs[0]),
                "artist2_representative_songs": _standing(snapshot, found.songs[1]),
            }
        ]
    return answer


def _standing(snapshot: Snapshot, rows: Sequence[int]) -> list[dict[str, Any]]:
    called = snapshot.names.called(rows, snapshot.names.usual)
    pairs = zip(called, snapshot.songs(rows), strict=True)
    return [{"item_id": n, "title": song["title"] or n} for n, song in pairs if n is not None]

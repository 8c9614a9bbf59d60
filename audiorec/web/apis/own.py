"""audiorec's own JSON API, validated by the same definitions that make its OpenAPI document.

    ``GET /v1/similar``, ``POST /v1/recommend``, ... ──an `operation`──▶ a JSON document
    `OPERATIONS` ──document──▶ the OpenAPI document, which ``/v1/openapi.json`` answers

A song is named by its exact id or alias. A history is used only for the response, and kept nowhere.
docs/reference/server.md lists the operations.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from audiorec.columns import ListColumns
from audiorec.distribution import own_version
from audiorec.errors import InputError, UnknownSongError
from audiorec.listening.sequences import Sequences
from audiorec.options import made
from audiorec.recall.contract.data import Queries
from audiorec.recall.contract.space import InterestSpace, SharedSpace
from audiorec.recall.serving.answers import DEPTH, RecommendQuestion
from audiorec.recall.serving.one_user.reasons import reason_phrase
from audiorec.search.questions import (
    Choice,
    FindQuestion,
    PathQuestion,
    PlaylistQuestion,
    SimilarQuestion,
)
from audiorec.search.space import mean_direction
from audiorec.web.apis.messages import (
    FoundSongs,
    NotThereError,
    Operation,
    as_found,
    comparable,
    described,
    long_list,
    near,
    openapi,
    way,
)
from audiorec.web.apis.snapshot import NamedSong, Snapshot
from audiorec.web.forms import MOST_SONGS, Document, FormField, Values, fields_for

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
    ListColumns.SONG: _TEXT,
    "title": _TEXT_OR_NONE,
    "artist": _TEXT_OR_NONE,
    "album": _TEXT_OR_NONE,
    "uri": _TEXT_OR_NONE,
    "duration_s": {"type": ["number", "null"]},
    "alias": {**_TEXT_OR_NONE, "description": "Alias from the user's own table."},
}
_SIMILARITY = {**_UNIT, "description": "From 0 (unlike) to 1 (the same)."}
_CLOSER = {
    "type": ["number", "null"],
    "description": "Share of the library's pairs that are less similar; null for seeds.",
}
_WHY = {**_TEXT_OR_NONE, "description": "What the two have in common; null unless asked for."}
_COPIES = {**_TEXTS, "description": "Ids of the other copies of the recording, best first."}
_BESIDE = {"closer_than": _CLOSER, "why": _WHY, "copies": _COPIES}
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
    "SongWithGenre": _object(**_SONG, genre=_TEXT_OR_NONE, genre_tag=_TEXT_OR_NONE, copies=_COPIES),
    "SimilarSong": _object(**_SONG, similarity=_SIMILARITY, **_BESIDE),
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


PREFIX = "/v1/"
DOCUMENT = "/v1/openapi.json"
SOUND = "sound"
SOMEBODY = "you"
_WHICH = "Exact id or alias of a song."
_HISTORY = "Songs in listening order, newest last."
_PROFILE = "What is known of the user, by column of the profiles of recall run: age, country."
_CHANNEL = "A channel of recall run, or sound for the mean of the songs' sound."


def _text(name: str, about: str, *, needed: bool = True, usual: str | None = None) -> FormField:
    return FormField(name=name, about=about, needed=needed, usual=usual)


def _texts(name: str, about: str, *, needed: bool = False, usual: Any = None) -> FormField:
    return FormField(name=name, about=about, kind="texts", needed=needed, usual=usual)


_COUNT = FormField(
    name="count",
    about="Maximum number of songs, with both ends.",
    kind="whole",
    usual=10,
    least=2,
    most=MOST_SONGS,
)
_ASKED_FOR = next(one for one in fields_for(RecommendQuestion) if one.name == "k")
_LENGTH = replace(_ASKED_FOR, most=DEPTH)


OPERATIONS: list[Operation] = []
Answer = Callable[[Snapshot, Values], Document]


def operation(
    method: Literal["get", "post"],
    path: str,
    answers: str,
    *fields: FormField,
    name: str = "",
    not_found: bool = True,
) -> Callable[[Answer], Answer]:
    """Return a decorator that makes a function an operation; its docstring is the summary."""

    def add(answer: Answer) -> Answer:
        OPERATIONS.append(
            Operation(
                path=f"{PREFIX}{path}",
                method=method,
                name=name or answer.__name__,
                about=answer.__doc__ or "",
                answer=answer,
                fields=fields,
                answers=answers,
                not_found=not_found,
            )
        )
        return answer

    return add


@operation("get", "store", "Store", not_found=False)
def store(snapshot: Snapshot, _: Values) -> Document:
    """Describe what is served."""
    library = snapshot.library
    with snapshot.lock:
        basis = library.default_space()
    fused = None if snapshot.night is None else snapshot.night.fused
    return {
        "songs": len(library),
        "compared_by": basis.by,
        "note": basis.note,
        "extractor_id": library.metadata.extractor_id,
        "classes": list(library.metadata.classes),
        "channels": _channels(snapshot),
        "users": 0 if fused is None else len(fused.users),
        "night": None if snapshot.night is None else snapshot.night.folder.name,
        "version": own_version(),
    }


@operation("get", "song", "SongWithGenre", _text("id", _WHICH))
def song(snapshot: Snapshot, values: Values) -> Document:
    """Describe one song."""
    named = snapshot.names.find(values["id"])
    with snapshot.lock:
        genre = snapshot.genres[named.row]
        tag = snapshot.library.rows([named.row])[0].get("genre_tag")
        copies = snapshot.library.copies_of(named.row)
    facts = {"genre": genre or None, "genre_tag": tag, "copies": copies}
    return {**_songs(snapshot, [named.row])[0], **facts}


@operation(
    "post",
    "similar",
    "SimilarSongs",
    _texts("songs", "Ids or aliases.", needed=True),
    *fields_for(SimilarQuestion),
    name="similarToSeveral",
)
@operation("get", "similar", "SimilarSongs", _text("id", _WHICH), *fields_for(SimilarQuestion))
def similar(snapshot: Snapshot, values: Values) -> Document:
    """Find songs near one song, or near several, each of whose tastes gets its share."""
    seeds = [snapshot.names.find(text) for text in values.get("songs") or [values["id"]]]
    question = made(SimilarQuestion, values)
    return {"songs": _found(snapshot, near(snapshot, seeds, question), why=question.why)}


@operation(
    "get",
    "find",
    "NotedSongs",
    _text("text", "What the songs should be like: calm piano, no drums."),
    *fields_for(FindQuestion),
    not_found=False,
)
def find(snapshot: Snapshot, values: Values) -> Document:
    """Find songs that a sentence describes, and say how it was understood."""
    result = described(snapshot, made(FindQuestion, values))
    songs = _found(snapshot, as_found(result), why=values["why"])
    return {"songs": songs, "notes": result.remarks}


@operation(
    "get",
    "path",
    "SimilarSongs",
    *(_text("start", _WHICH), _text("end", _WHICH), _COUNT),
    *fields_for(PathQuestion, without=("steps",)),
)
def path(snapshot: Snapshot, values: Values) -> Document:
    """Find a path from one song to another, both included."""
    start, end = snapshot.names.find(values["start"]), snapshot.names.find(values["end"])
    result = way(snapshot, start, end, values["count"], choice=made(Choice, values))
    return {"songs": _found(snapshot, result, why=values["why"])}


@operation(
    "post",
    "playlist",
    "NotedSongs",
    _texts("songs", "Ids or aliases; these songs come first.", needed=True),
    _texts("without", "Songs to exclude.", usual=()),
    *fields_for(PlaylistQuestion),
)
def playlist(snapshot: Snapshot, values: Values) -> Document:
    """Make a playlist of songs near some songs."""
    seeds = [snapshot.names.find(text) for text in values["songs"]]
    without = [snapshot.names.find(text).row for text in values["without"]]
    question = made(PlaylistQuestion, values)
    ids = [snapshot.names.id_of(row) for row in without]
    question = replace(question, choice=replace(question.choice, exclude_ids=ids))
    result = long_list(snapshot, seeds, question)
    with snapshot.lock:
        beside = result.beside
    near_by = FoundSongs(result.rows, np.clip(result.similarities, 0, 1).astype(np.float64), beside)
    songs = _found(snapshot, near_by, why=question.why)
    return {"songs": songs, "notes": list(result.notes)}


@operation(
    "post",
    "recommend",
    "ProposedSongs",
    _text("user", "A user of the lists of recall run.", needed=False),
    _texts("history", _HISTORY),
    _texts("likes", "Songs that the user likes."),
    FormField(name="profile", about=_PROFILE, kind="facts"),
    _texts("hidden", "Songs to exclude.", usual=()),
    _LENGTH,
)
def recommend(snapshot: Snapshot, values: Values) -> Document:
    """Recommend songs to a user of the stored lists, or by what is said of one."""
    user, k = values["user"], values["k"]
    if (user is None) == all(values[name] is None for name in ("history", "likes", "profile")):
        raise InputError("give either user, or history, likes or profile")
    if user is not None:
        return _for_user(snapshot, user, k)
    if snapshot.proposals is None:
        songs = [*(values["history"] or ()), *(values["likes"] or ())]
        if not songs:
            raise InputError(
                "no lists are served (audiorec serve --recall DIR): give songs in history or likes"
            )
        heard = _known(snapshot, songs)
        if not heard:
            raise UnknownSongError(songs[0])
        result = _found(snapshot, near(snapshot, heard, SimilarQuestion(k=k)))
        reason = {"channel": "nearest-audio", "reason": reason_phrase("sound"), "cold": False}
        rows = [{**one, **reason, "rank": n} for n, one in enumerate(result, 1)]
        return {
            "songs": rows,
            "notes": ["no lists are served (audiorec serve --recall DIR): by sound alone"],
        }
    return _for_somebody(snapshot, values)


@operation(
    "post",
    "user",
    "UserVector",
    _texts("history", _HISTORY, needed=True),
    _text("channel", _CHANNEL, needed=False, usual=SOUND),
    name="userVector",
)
def user_vector(snapshot: Snapshot, values: Values) -> Document:
    """Return the vector of a history, or one for each interest."""
    history, name = values["history"], values["channel"]
    if name == SOUND:
        return _vector_of_sound(snapshot, history)
    if snapshot.night is None or name not in snapshot.night.channels:
        known = ", ".join([SOUND, *_channels(snapshot)])
        raise InputError(f"channel: no channel {name!r}; there are: {known}")
    channel = snapshot.night.models[name]
    if isinstance(channel, str):
        raise InputError(f"{name}: cannot be used: {channel}")
    if not isinstance(channel, SharedSpace):
        raise InputError(f"{name}: has no user vectors; {SOUND} always has")
    queries = Queries(Sequences.from_lists([_ids(snapshot, history)], [SOMEBODY]))
    used = int(channel.songs_used(queries)[0])
    if isinstance(channel, InterestSpace):
        interests = channel.user_interests(queries)
        vectors, weights = interests.embedding, interests.weight.tolist()
    else:
        vectors = channel.embed_users(queries)
        weights = [1.0]
    if not used or not np.any(vectors):
        raise UnknownSongError(history[0])
    return {
        "channel": name,
        "model_id": channel.model_id,
        "dimension": int(vectors.shape[1]),
        "used": used,
        "vectors": [[float(v) for v in row] for row in vectors],
        "weights": weights,
    }


def _vector_of_sound(snapshot: Snapshot, history: Sequence[str]) -> Document:
    heard = _known(snapshot, history)
    if not heard:
        raise UnknownSongError(history[0])
    with snapshot.lock:
        space = snapshot.library.space("auto")
        rows = comparable(space, [one.row for one in heard])
        unit = mean_direction(space.units(rows))
    return {
        "channel": SOUND,
        "model_id": f"{snapshot.library.metadata.extractor_id}/{space.by}",
        "dimension": len(unit),
        "used": len(rows),
        "vectors": [[float(value) for value in unit]],
        "weights": [1.0],
    }


def _for_user(snapshot: Snapshot, user: str, k: int) -> Document:
    if snapshot.night is None or snapshot.night.fused is None:
        raise InputError(
            "user: no lists are served (audiorec serve --recall DIR); or give a history"
        )
    own = snapshot.night.fused.of(user, k)
    if len(own):
        return _stored(snapshot, own.to_pylist())
    default = snapshot.night.default
    said = f"the lists have no user {user[:200]!r}"
    if default is None or not len(default):
        raise NotThereError(said)
    rows = default.rows([SOMEBODY], k).to_pylist()
    return _stored(snapshot, rows, f"{said}: this is the default list")


def _stored(snapshot: Snapshot, rows: Sequence[dict[str, Any]], *notes: str) -> Document:
    """Return songs of a file of lists."""
    evidence = _named(snapshot, [row["evidence"] for row in rows if row["evidence"]])
    titles = {text: song["title"] or text for text, song in evidence.items()}
    said = [
        {
            "rank": row["rank"],
            "channel": row["channel"],
            "reason": reason_phrase(
                row["reason"],
                evidence=titles.get(row["evidence"], row["evidence"]),
                cold=row["cold"],
            ),
            "cold": row["cold"],
        }
        for row in rows
    ]
    return _proposed(snapshot, [row[ListColumns.SONG] for row in rows], said, notes)


def _for_somebody(snapshot: Snapshot, values: Values) -> Document:
    assert snapshot.proposals is not None  # noqa: S101 - checked by the caller
    names = {"songs": "history", "likes": "likes", "hidden": "hidden"}
    wish: dict[str, Any] = {n: _ids(snapshot, values[of] or ()) for n, of in names.items()}
    wish["profile"] = values["profile"] or {}
    answer = snapshot.proposals.ask(wish, k=values["k"])
    said = [
        {"rank": one["rank"], "channel": one["channel"], "reason": one["why"], "cold": one["cold"]}
        for one in answer["fused"]
    ]
    return _proposed(snapshot, [one["id"] for one in answer["fused"]], said, answer["notes"])


def _known(snapshot: Snapshot, texts: Sequence[str]) -> list[NamedSong]:
    """Return the songs of a history that the store has."""
    result = []
    for text in texts:
        try:
            result.append(snapshot.names.find(text))
        except InputError:
            continue
    return result


def _ids(snapshot: Snapshot, texts: Sequence[str]) -> list[str]:
    """Return song ids for models, which may know songs that the store does not have."""
    result = []
    for text in texts:
        try:
            result.append(snapshot.names.id_of(snapshot.names.find(text).row))
        except InputError:
            result.append(text)
    return result


def _named(snapshot: Snapshot, texts: Sequence[str]) -> dict[str, Document]:
    """Return the songs that the store has by what they are called."""
    known = _known(snapshot, texts)
    return dict(
        zip([one.text for one in known], _songs(snapshot, [one.row for one in known]), strict=True)
    )


def _proposed(
    snapshot: Snapshot, song_ids: Sequence[str], said: Sequence[Document], notes: Sequence[str]
) -> Document:
    """Return recommended songs with what is said of them; of songs that the store lacks, the id."""
    known = _named(snapshot, song_ids)
    lacks = dict.fromkeys(("title", "artist", "album", "uri", "duration_s", "alias"))
    pairs = zip(song_ids, said, strict=True)
    songs = [{**known.get(one, {ListColumns.SONG: one, **lacks}), **more} for one, more in pairs]
    return {"songs": songs, "notes": list(notes)}


def _songs(snapshot: Snapshot, rows: Sequence[int]) -> list[Document]:
    usual = snapshot.names.usual
    aliases = snapshot.names.called(rows, usual) if usual.kind != "id" else [None] * len(rows)
    return [
        {
            ListColumns.SONG: snapshot.names.id_of(row),
            "title": tags["title"],
            "artist": tags["artist"],
            "album": tags["album"],
            "uri": tags["uri"],
            "duration_s": round(tags["duration_s"], 3),
            "alias": alias,
        }
        for row, tags, alias in zip(rows, snapshot.songs(rows), aliases, strict=True)
    ]


def _found(snapshot: Snapshot, found: FoundSongs, *, why: bool = False) -> list[Document]:
    songs, nothing = _songs(snapshot, found.rows.tolist()), [None] * len(found)
    shares: Sequence[float | None] = found.beside.shares if found.beside else nothing
    said: Sequence[str | None] = nothing
    if why and found.beside:
        with snapshot.lock:
            said = found.beside.said
    with snapshot.lock:
        copies = [snapshot.library.copies_of(row) for row in found.rows.tolist()]
    rows_beside = zip(shares, said, copies, strict=True)
    beside = [dict(zip(_BESIDE, values, strict=True)) for values in rows_beside]
    near_by = zip(songs, found.similarities.tolist(), beside, strict=True)
    return [{**one, "similarity": round(near, 6), **more} for one, near, more in near_by]


def _channels(snapshot: Snapshot) -> list[str]:
    return [] if snapshot.night is None else list(snapshot.night.channels)


def document() -> Document:
    """Return the OpenAPI document."""
    return openapi(OPERATIONS, SCHEMAS, title="audiorec", version=own_version())

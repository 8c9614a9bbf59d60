"""Requests, their responses and queries, independent of sockets, framework and protocol.

    `ApiRequest` ──an API's handler, `Snapshot`──▶ `ApiReply`
    `Operation`: path, method, fields ──.read──▶ values, or an `InputError` that names the field
                                      ──.described──▶ its part of the OpenAPI document
    songs      ──near──────▶ similar songs, nearest first
    two songs  ──way───────▶ a path from one to the other, both included
    songs      ──long_list─▶ a playlist of songs near them
    a sentence ──described─▶ songs that it describes, best first

Queries are shared by all APIs: they return rows and similarities.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from audiorec.errors import AudiorecError, InputError, UnknownSongError
from audiorec.files.own_files import parse_json
from audiorec.files.visible import visible
from audiorec.playlists.answers import PlaylistOfSongs
from audiorec.search.beside import Beside
from audiorec.search.choice import Chosen
from audiorec.search.questions import (
    Choice,
    FindQuestion,
    PathQuestion,
    PlaylistQuestion,
    SimilarQuestion,
)
from audiorec.search.space import Space
from audiorec.types import Float64Array, Int64Array
from audiorec.web.apis.snapshot import NamedSong, Snapshot
from audiorec.web.forms import MOST_SONGS, Document, FormField, Values, read_form
from audiorec.web.gate import MAX_BODY
from audiorec.words.find import DescribedSongs

JSON_TYPE = "application/json"


class NotThereError(Exception):
    """The requested object does not exist: a response of status 404."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request.

    Attributes
    ----------
    path : str
    query : mapping of str to list of str
        Decoded parameters, including those of a form if the API accepts forms.
    body : bytes
    media_type : str
        Media type of the body, in lower case, without parameters.
    """

    path: str
    query: Mapping[str, list[str]] = field(default_factory=dict)
    body: bytes = b""
    media_type: str = ""

    def text(self, name: str, usual: str = "") -> str:
        """Return the first value of a parameter."""
        return self.query.get(name, [usual])[0]

    def whole(self, name: str, usual: int) -> int:
        """Return a parameter as an integer; `usual` if it is missing or not an integer."""
        text = self.text(name).strip()
        plain = text.removeprefix("-")
        return int(text) if plain.isascii() and plain.isdigit() and len(plain) < 10 else usual

    def document(self) -> dict[str, Any]:
        """Return the body as a JSON object; raise `InputError` if it is anything else."""
        try:
            result = parse_json(self.body, max_bytes=MAX_BODY)
        except (ValueError, RecursionError) as error:
            raise InputError("the body is not JSON") from error
        if not isinstance(result, dict):
            raise InputError("the body must be a JSON object")
        return result


@dataclass(frozen=True, slots=True)
class ApiReply:
    """A response."""

    body: bytes
    status: int = 200
    media_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, document: Any, status: int = 200) -> "ApiReply":
        """Return a JSON response."""
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        return cls(text.encode(), status)


Handler = Callable[[Snapshot, ApiRequest], ApiReply]


def answered(handler: Handler, snapshot: Snapshot, asked: ApiRequest) -> ApiReply:
    """Answer a request by a handler; what it raises becomes an error of one line."""
    try:
        return handler(snapshot, asked)
    except (UnknownSongError, NotThereError) as error:
        return ApiReply.json({"error": visible(str(error))}, 404)
    except AudiorecError as error:
        return ApiReply.json({"error": visible(str(error))}, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation of the API.

    Attributes
    ----------
    path, method, name : str
        ``name`` is its ``operationId``.
    about : str
    answer : callable
        Takes a snapshot and the values of the fields; raises `NotThereError` or `InputError`.
    fields : sequence of FormField
        Query parameters of a GET, or properties of the JSON object of a POST.
    answers : str
        Name of the schema of a successful response, in the components.
    not_found : bool
        Whether status 404 is possible.
    """

    path: str
    method: Literal["get", "post"]
    name: str
    about: str
    answer: Callable[[Snapshot, Values], Document]
    fields: Sequence[FormField] = ()
    answers: str
    not_found: bool = True

    def reply(self, snapshot: Snapshot, asked: ApiRequest) -> ApiReply:
        """Answer a request; raises `InputError`, or `NotThereError`."""
        return ApiReply.json(self.answer(snapshot, self.read(asked)))

    def read(self, asked: ApiRequest) -> Values:
        """Return the values of a request, by field.

        Raises
        ------
        InputError
            If a field is missing, unknown, or has an invalid value.
        """
        if self.method == "get":
            return read_form(self.fields, asked.query, is_query=True)
        if asked.media_type != JSON_TYPE:
            raise InputError(f"the body must be {JSON_TYPE}")
        return read_form(self.fields, asked.document())

    def described(self) -> dict[str, Any]:
        """Return the OpenAPI description of this operation."""
        result: dict[str, Any] = {
            "operationId": self.name,
            "summary": self.about,
            "responses": {
                "200": _response("The result.", self.answers),
                "400": _response("The request is invalid.", "Problem"),
                "401": _response("The token is missing or wrong.", "Problem"),
                "413": _response("The body is too large.", "Problem"),
                "429": _response("Too many requests; see Retry-After.", "Problem"),
                "503": _response("Too busy, or the request timed out.", "Problem"),
            },
        }
        if self.not_found:
            result["responses"]["404"] = _response("No such song or user.", "Problem")
        if self.method == "post":
            result["requestBody"] = {
                "required": True,
                "content": {JSON_TYPE: {"schema": self._body()}},
            }
        else:
            result["parameters"] = [
                {
                    "name": one.name,
                    "in": "query",
                    "required": one.needed,
                    "schema": one.schema(is_query=True),
                }
                for one in self.fields
            ]
        return result

    def _body(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {one.name: one.schema() for one in self.fields},
            "required": [one.name for one in self.fields if one.needed],
            "additionalProperties": False,
        }


def openapi(
    operations: Sequence[Operation], schemas: Mapping[str, Any], *, title: str, version: str
) -> dict[str, Any]:
    """Return the OpenAPI document of some operations."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation.described()
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "security": [{"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(schemas),
        },
    }


def _response(about: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": about, "content": {JSON_TYPE: {"schema": reference}}}


MOST_SEEDS = 200
SAME = 1e-6  # songs with 1 - cosine below this sound the same; there is no path between them


@dataclass(frozen=True, slots=True, eq=False)
class FoundSongs:
    """Songs found in a store, in result order.

    Attributes
    ----------
    rows : ndarray, shape (m,), int64
    similarities : ndarray, shape (m,), float64
        From 0 (unlike) to 1 (the same).
    beside : Beside, optional
        Each song beside its nearest seed, or in a path beside the song before.
    """

    rows: Int64Array
    similarities: Float64Array
    beside: Beside | None = None

    def __len__(self) -> int:
        return len(self.rows)


def near(
    snapshot: Snapshot,
    seeds: Sequence[NamedSong],
    question: SimilarQuestion,
    *,
    chosen: Chosen | None = None,
) -> FoundSongs:
    """Return songs near one song, or near several, which vote; excludes the seeds.

    Parameters
    ----------
    snapshot : Snapshot
    seeds : sequence of NamedSong
    question : SimilarQuestion
        What is asked about them; it gets at most `MOST_SONGS` songs, each of which has a name for
        the caller.
    chosen : Chosen, optional
        A choice already evaluated on the store, instead of the question's; not with words.
    """
    if not seeds:
        raise InputError("no seed: name at least one song")
    library = snapshot.library
    rows = list(dict.fromkeys(seed.row for seed in seeds))[:MOST_SEEDS]
    with snapshot.lock:
        space = library.space("auto")
        known = comparable(space, rows)
    choice = Choice() if chosen else tellable(snapshot, seeds[0], question.choice)
    if not question.words:  # its facts are conditions of the choice
        chosen = chosen or library.chosen(choice)  # may take long
    k = max(1, min(question.k, MOST_SONGS))
    result = library.ask(replace(question, seeds=known, k=k, choice=choice), chosen=chosen)
    return FoundSongs(result.rows, np.clip(result.similarities, 0.0, 1.0), result.beside)


def comparable(space: Space, rows: Sequence[int]) -> Sequence[int]:
    """Return the rows that the space has; all of them if it has none, which it refuses."""
    return [row for row in rows if space.there[row]] or rows


def way(
    snapshot: Snapshot,
    start: NamedSong,
    end: NamedSong,
    count: int,
    *,
    choice: Choice = Choice(),  # noqa: B008 - frozen
) -> FoundSongs:
    """Return a path of at most `count` songs from one song to another, both included.

    Similarities are to the first song. If the two are the same song, or sound the same, there is
    nothing between them.
    """
    if count < 2 and start.row != end.row:
        raise InputError("a path has two ends: count must be at least 2")
    library = snapshot.library
    rows = np.asarray([start.row, end.row], np.int64)
    if start.row == end.row:
        return FoundSongs(rows[:1], np.ones(1))
    with snapshot.lock:
        space = library.space("auto")
        first, last = space.units(rows).astype(np.float64)
    chosen = library.chosen(tellable(snapshot, start, choice))
    steps, beside = min(count, MOST_SONGS, len(library)) - 2, None
    if steps >= 1 and float(first @ last) <= 1 - SAME:
        result = library.ask(PathQuestion(seeds=rows.tolist(), steps=steps), chosen=chosen)
        rows, beside = result.rows, result.beside
    similarities = np.clip(space.units(rows).astype(np.float64) @ first, 0.0, 1.0)
    return FoundSongs(rows, similarities, beside)


def long_list(
    snapshot: Snapshot, seeds: Sequence[NamedSong], question: PlaylistQuestion
) -> PlaylistOfSongs:
    """Return a playlist near some songs."""
    with snapshot.lock:
        snapshot.library.space("auto")  # made once
    choice = tellable(snapshot, seeds[0], question.choice)
    rows = [seed.row for seed in seeds]
    return snapshot.library.ask(replace(question, seeds=rows, choice=choice))


def described(snapshot: Snapshot, question: FindQuestion) -> DescribedSongs:
    """Return songs that a sentence describes; raises `InputError` if none is told."""
    choice = tellable(snapshot, snapshot.names.usual, question.choice)
    k = max(1, min(question.k, MOST_SONGS))
    return snapshot.library.ask(replace(question, k=k, choice=choice))


def as_found(songs: DescribedSongs) -> FoundSongs:
    """Return the songs of a sentence as other answers are served."""
    return FoundSongs(songs.rows, np.clip(songs.similarities, 0.0, 1.0), songs.beside)


def tellable(snapshot: Snapshot, like: NamedSong, choice: Choice) -> Choice:
    """Return a choice that also excludes the songs that the caller has no name for."""
    nameless = snapshot.names.nameless(like)
    if not nameless:
        return choice
    return replace(choice, exclude_ids=nameless | frozenset(choice.exclude_ids))

"""Requests and their responses, independent of sockets and framework, which keeps tests simple.

`ApiRequest` ──an API's handler, `Snapshot`──▶ `ApiReply`

`Operation`: path, method, fields ──.read──▶ values, or an `InputError` that names the field
                                  ──.described──▶ its part of the OpenAPI document
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from audiorec.errors import InputError, UnknownSongError
from audiorec.files.json_files import parse_json
from audiorec.web.access import MAX_BODY
from audiorec.web.apis.snapshot import Snapshot
from audiorec.web.forms import Document, FormField, Values, read_form

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
            found = parse_json(self.body, max_bytes=MAX_BODY)
        except (ValueError, RecursionError) as error:
            raise InputError("the body is not JSON") from error
        if not isinstance(found, dict):
            raise InputError("the body must be a JSON object")
        return found


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
        """Answer a request; an invalid one gets an error of one line."""
        try:
            return ApiReply.json(self.answer(snapshot, self.read(asked)))
        except (UnknownSongError, NotThereError) as error:
            return ApiReply.json({"error": str(error)}, 404)
        except InputError as error:
            return ApiReply.json({"error": str(error)}, 400)

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
        found: dict[str, Any] = {
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
            found["responses"]["404"] = _response("No such song or user.", "Problem")
        if self.method == "post":
            found["requestBody"] = {
                "required": True,
                "content": {JSON_TYPE: {"schema": self._body()}},
            }
        else:
            found["parameters"] = [
                {
                    "name": one.name,
                    "in": "query",
                    "required": one.needed,
                    "schema": one.schema(is_query=True),
                }
                for one in self.fields
            ]
        return found

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

"""Operations of audiorec's own API: one definition for both validation and OpenAPI.

`Operation`: path, method, fields ──.read──▶ values, or an `InputError` that names the field
                                  ──.described──▶ its part of the OpenAPI document
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from audiorec.errors import InputError, UnknownSongError
from audiorec.listening.profiles import LARGEST_NUMBER, MOST_FACTS, Profiles
from audiorec.web.apis.messages import JSON_TYPE, ApiReply, ApiRequest
from audiorec.web.apis.snapshot import Snapshot

Kind = Literal["text", "whole", "number", "flag", "texts", "facts"]
Values = dict[str, Any]
Document = dict[str, Any]
MOST_TEXT = 4096  # characters
MOST_LIST = 500
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,17})?([eE][-+]?[0-9]{1,3})?")
_TYPES = {"text": "string", "whole": "integer", "number": "number", "flag": "boolean"}


class NotThereError(Exception):
    """The requested object does not exist: a response of status 404."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One parameter of an operation.

    Attributes
    ----------
    name, about : str
    kind : {"text", "whole", "number", "flag", "texts", "facts"}
        ``texts`` is a list, ``facts`` an object of texts, numbers and booleans; of a POST only.
    usual : object
        Default; None for no default.
    needed : bool
        Whether it is required.
    least, most : float, optional
        Bounds of a number.
    """

    name: str
    about: str
    kind: Kind = "text"
    usual: Any = None
    needed: bool = False
    least: float | None = None
    most: float | None = None

    def read(self, value: Any) -> Any:
        """Validate a JSON value and return it."""
        if self.kind == "texts":
            least = 1 if self.needed else 0
            if not isinstance(value, list) or not least <= len(value) <= MOST_LIST:
                raise InputError(f"{self.name}: must be a list of {least} to {MOST_LIST} texts")
            return [self._text(one) for one in value]
        if self.kind == "facts":
            Profiles.of_user(self.name, value)
            return value
        if self.kind == "text":
            return self._text(value)
        if self.kind == "flag":
            if not isinstance(value, bool):
                raise InputError(f"{self.name}: must be true or false")
            return value
        return self._number(value)

    def parsed(self, text: str) -> Any:
        """Parse and validate a query parameter."""
        if self.kind == "flag":
            if text not in ("true", "false"):
                raise InputError(f"{self.name}: must be true or false")
            return text == "true"
        if self.kind == "text":
            return self._text(text)
        form = _WHOLE if self.kind == "whole" else _NUMBER
        if not form.fullmatch(text):
            raise InputError(f"{self.name}: must be a number, got {text[:40]!r}")
        return self._number(int(text) if self.kind == "whole" else float(text))

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the parameter."""
        if self.kind == "texts":
            return {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": MOST_TEXT},
                "minItems": 1 if self.needed else 0,
                "maxItems": MOST_LIST,
                "description": self.about,
            }
        if self.kind == "facts":
            ends = {"minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER}  # of numbers
            return {
                "type": "object",
                "additionalProperties": {"type": ["string", "number", "boolean"], **ends},
                "maxProperties": MOST_FACTS,
                "description": self.about,
            }
        found: dict[str, Any] = {"type": _TYPES[self.kind], "description": self.about}
        if self.kind == "text":
            found |= {"minLength": 1, "maxLength": MOST_TEXT}
        elif self.kind != "flag":
            bounds = {"minimum": self.least, "maximum": self.most}
            found |= {name: end for name, end in bounds.items() if end is not None}
        return found if self.usual is None else {**found, "default": self.usual}

    def _text(self, value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= MOST_TEXT:
            raise InputError(f"{self.name}: must be a text of 1 to {MOST_TEXT} characters")
        try:
            value.encode()
        except UnicodeEncodeError:  # a lone surrogate
            raise InputError(f"{self.name}: is not valid Unicode") from None
        return value

    def _number(self, value: Any) -> float:
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        if plain and self.kind == "whole" and isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON Schema accepts 5.0 as an integer
        good = plain and (self.kind != "whole" or isinstance(value, int))
        least = -1e308 if self.least is None else self.least
        most = 1e308 if self.most is None else self.most
        if not good or not least <= value <= most:
            raise InputError(f"{self.name}: must be a number from {least:g} to {most:g}")
        return value  # type: ignore[no-any-return]


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
        given = self._given(asked)
        known = {field.name: field for field in self.fields}
        for name in given:
            if name not in known:
                raise InputError(f"{name[:100]}: no such field; there are: {', '.join(known)}")
        values: Values = {}
        for name, field in known.items():
            if name in given:
                values[name] = given[name]
            elif field.needed:
                raise InputError(f"{name}: is required")
            else:
                values[name] = field.usual
        return values

    def _given(self, asked: ApiRequest) -> dict[str, Any]:
        fields = {field.name: field for field in self.fields}
        if self.method == "post":
            if asked.media_type != JSON_TYPE:
                raise InputError(f"the body must be {JSON_TYPE}")
            document = asked.document()
            return {n: fields[n].read(v) if n in fields else v for n, v in document.items()}
        found: dict[str, Any] = {}
        for name, texts in asked.query.items():
            if len(texts) > 1:
                raise InputError(f"{name[:100]}: given {len(texts)} times")
            found[name] = fields[name].parsed(texts[0]) if name in fields else texts[0]
        return found

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
                    "name": field.name,
                    "in": "query",
                    "required": field.needed,
                    "schema": field.schema(),
                }
                for field in self.fields
            ]
        return found

    def _body(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {field.name: field.schema() for field in self.fields},
            "required": [field.name for field in self.fields if field.needed],
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

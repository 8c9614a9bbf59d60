"""Parameters of requests, as the library's questions declare them.

    `SimilarQuestion` ──fields_for──▶ `FormField`s ──.schema──▶ OpenAPI, and the page's forms
    JSON, or a query  ──read_form───▶ values by field     or an `InputError` that names the field

A question's options (`audiorec.options`) are the parameters of the servers: only those that choose,
and name no file. Beside the declared bounds, no number is above what one answer holds.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from audiorec.errors import InputError
from audiorec.listening.profiles import LARGEST_NUMBER, MOST_FACTS, Profiles
from audiorec.options import ADVANCED, Field, fields_of

Kind = Literal["text", "whole", "number", "flag", "texts", "facts"]
Values = dict[str, Any]
Document = dict[str, Any]
MOST_SONGS = 500  # in one answer
MOST_MINUTES = 24 * 60.0
MOST_TEXT = 4096  # characters
MOST_LIST = 500
LARGEST = {"whole": MOST_SONGS, "number": MOST_MINUTES}  # where no bound is declared
KINDS: dict[Any, Kind] = {str: "text", int: "whole", float: "number", bool: "flag"}
_NUMBERS = {
    "whole": re.compile(r"-?[0-9]{1,9}"),
    "number": re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,17})?([eE][-+]?[0-9]{1,3})?"),
}
_TYPES = {"text": "string", "whole": "integer", "number": "number", "flag": "boolean"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One parameter of a request.

    Attributes
    ----------
    name, about : str
    kind : {"text", "whole", "number", "flag", "texts", "facts"}
        ``texts`` is a list; in JSON one text stands for a list of one. ``facts`` is an object of
        texts, numbers and booleans, in JSON only.
    usual : object
        Default; None for no default.
    needed : bool
        Whether it is required.
    least, most : float, optional
        Bounds of a number.
    choices : tuple of str
        The texts that are allowed; empty: any.
    label : str
        What a form calls it; empty if no form shows it.
    is_advanced : bool
        Whether a form shows it only on request.
    """

    name: str
    about: str
    kind: Kind = "text"
    usual: Any = None
    needed: bool = False
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    label: str = ""
    is_advanced: bool = False

    @classmethod
    def of(cls, field: Field) -> Self:
        """Return the parameter for an option."""
        option, key = field.option, field.key.replace("-", " ").capitalize()
        kind = "texts" if field.is_several else KINDS[str if field.choices else field.plain]
        return cls(
            name=field.name,
            about=option.help,
            kind=kind,
            usual=field.default,
            least=option.min,
            most=LARGEST.get(kind) if option.max is None else option.max,
            choices=field.choices,
            label=key if len(key) > 1 else option.help.removesuffix("."),
            is_advanced=option.panel == ADVANCED,
        )

    def read(self, value: Any) -> Any:
        """Validate a JSON value and return it."""
        if self.kind == "texts":
            texts, least = [value] if isinstance(value, str) else value, int(self.needed)
            if not isinstance(texts, list) or not least <= len(texts) <= MOST_LIST:
                raise InputError(f"{self.name}: must be a list of {least} to {MOST_LIST} texts")
            return [self._text(one) for one in texts]
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

    def parsed(self, texts: Sequence[str]) -> Any:
        """Parse and validate the values of a query parameter."""
        if self.kind == "texts":
            return self.read([*texts])
        if len(texts) > 1:
            raise InputError(f"{self.name}: given {len(texts)} times")
        text = texts[0]
        value: Any = None
        if self.kind == "text":
            value = text
        elif self.kind == "flag":
            value = {"true": True, "false": False}.get(text)
        elif _NUMBERS[self.kind].fullmatch(text):
            value = float(text) if self.kind == "number" else int(text)
        return self.read(value)

    def schema(self, *, is_query: bool = False) -> dict[str, Any]:
        """Return the JSON Schema of the parameter, in a body or in a query."""
        result: dict[str, Any] = {"description": self.about}
        text: dict[str, Any] = {"minLength": 1, "maxLength": MOST_TEXT}
        if self.choices:
            text["enum"] = [*self.choices]
        if self.kind == "texts":
            one = {"type": "string", **text}
            ends: dict[str, Any] = {"minItems": int(self.needed), "maxItems": MOST_LIST}
            several = {"type": "array", "items": one, **ends}
            return result | (several if is_query else {"anyOf": [several, one]})
        if self.kind == "facts":
            ends = {"minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER}  # of numbers
            values = {"type": ["string", "number", "boolean"], **ends}
            ends = {"maxProperties": MOST_FACTS}
            return result | {"type": "object", "additionalProperties": values, **ends}
        result["type"] = _TYPES[self.kind]
        if self.kind == "text":
            result |= text
        elif self.kind != "flag":
            bounds = {"minimum": self.least, "maximum": self.most}
            result |= {name: end for name, end in bounds.items() if end is not None}
        return result if self.usual in (None, "") else {**result, "default": self.usual}

    def input(self) -> Document:
        """Return what the page draws an input from; what the help has in quotes is an example."""
        quoted = re.search('"(.+?)"', self.about)
        example = {"example": quoted[1]} if quoted else {}
        about = {"name": self.name, "label": self.label, "advanced": self.is_advanced}
        return {**about, **example, **self.schema(is_query=True)}

    def _text(self, value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= MOST_TEXT:
            raise InputError(f"{self.name}: must be a text of 1 to {MOST_TEXT} characters")
        try:
            value.encode()
        except UnicodeEncodeError:  # a lone surrogate
            raise InputError(f"{self.name}: is not valid Unicode") from None
        if self.choices and value not in self.choices:
            known = ", ".join(self.choices)
            raise InputError(f"{self.name}: must be one of {known}, got {value[:40]!r}")
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
        return value


def fields_for(question: type, *, without: Collection[str] = ()) -> tuple[FormField, ...]:
    """Return the parameters for the options of a question that a client may set.

    Examples
    --------
    >>> from audiorec.search.questions import PathQuestion
    >>> [field.name for field in fields_for(PathQuestion)][:4]
    ['steps', 'only', 'exclude', 'per_artist']
    """
    there = [field for field in fields_of(question) if field.is_for_clients]
    return tuple(FormField.of(field) for field in there if field.name not in without)


def read_form(
    fields: Sequence[FormField], given: Mapping[str, Any], *, is_query: bool = False
) -> Values:
    """Return the values of a request by field, those that are not given by their default.

    Parameters
    ----------
    fields : sequence of FormField
    given : mapping
        JSON values; of a query, the list of texts of each parameter.
    is_query : bool

    Raises
    ------
    InputError
        If a field is missing, unknown, or has an invalid value.
    """
    known = {field.name: field for field in fields}
    for name in given:
        if name not in known:
            raise InputError(f"{name[:100]}: no such field; there are: {', '.join(known)}")
    values: Values = {}
    for name, field in known.items():
        if name in given:
            values[name] = (field.parsed if is_query else field.read)(given[name])
        elif field.needed:
            raise InputError(f"{name}: is required")
        else:
            values[name] = field.usual
    return values


def inputs(fields: Iterable[FormField]) -> list[Document]:
    """Return what the page draws a form from; lists of any texts have no input."""
    return [one.input() for one in fields if one.kind != "texts" or one.choices]

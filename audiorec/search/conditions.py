"""Conditions on songs in words: the small language of ``--only``.

    "genre=jazz|blues, duration<10:00"  ──parse_conditions──▶ conditions

All of the grammar::

    conditions = condition { "," condition }          all of them must hold
    condition  = name operator value { "|" value }    one of the values is enough
    operator   = "=" | "!=" | "<" | "<=" | ">" | ">="

What names and values there are is for `audiorec.search.filters` to say. Spaces around
them do not count. A name or value with one of ``= ! < > , | "`` in it stands in double
quotes; a double quote inside them is written twice.
"""

import re
from dataclasses import dataclass
from typing import Literal, cast

from audiorec.errors import InputError

Operator = Literal["=", "!=", "<", "<=", ">", ">="]

_NAME = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^=!<>,|"]+))\s*')
_OPERATOR = re.compile(r"!=|<=|>=|=|<|>")
_VALUE = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,|"=!<>\s][^,|"]*))\s*')


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as it was written; whether its name exists is for `matching` to say.

    Attributes
    ----------
    name : str
    operator : {"=", "!=", "<", "<=", ">", ">="}
    values : tuple of str
        One or more.
    """

    name: str
    operator: Operator
    values: tuple[str, ...]

    def __str__(self) -> str:
        """Return the condition as `parse_conditions` reads it."""
        values = "|".join(_written(value, _VALUE) for value in self.values)
        return f"{_written(self.name, _NAME)}{self.operator}{values}"


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Read conditions.

    Parameters
    ----------
    text : str
        As the head of this module describes it.

    Raises
    ------
    InputError
        If the text does not follow the grammar; says where.

    Examples
    --------
    >>> for condition in parse_conditions('genre = jazz|blues, artist != "Earth, Wind & Fire"'):
    ...     print(condition.name, condition.operator, condition.values)
    genre = ('jazz', 'blues')
    artist != ('Earth, Wind & Fire',)
    """
    found: list[Condition] = []
    at = 0
    while not found or at < len(text):
        condition, at = _condition(text, at)
        found.append(condition)
        if at < len(text):
            if text[at] != ",":
                raise _syntax(text, at, "a comma between conditions")
            at += 1
            if at == len(text):
                raise _syntax(text, at, "a condition after the comma")
    return tuple(found)


def _condition(text: str, at: int) -> tuple[Condition, int]:
    name, at = _token(text, at, _NAME, "a name")
    operator = _OPERATOR.match(text, at)
    if operator is None:
        raise _syntax(text, at, "one of = != < <= > >=")
    value, at = _token(text, operator.end(), _VALUE, "a value")
    values = [value]
    while at < len(text) and text[at] == "|":
        value, at = _token(text, at + 1, _VALUE, "a value")
        values.append(value)
    return Condition(name, cast("Operator", operator.group()), tuple(values)), at


def _token(text: str, at: int, pattern: re.Pattern[str], what: str) -> tuple[str, int]:
    found = pattern.match(text, at)
    if found is None:
        raise _syntax(text, at, what)
    quoted, bare = found.groups()
    return (bare.strip() if quoted is None else quoted.replace('""', '"')), found.end()


def _syntax(text: str, at: int, expected: str) -> InputError:
    where = f"before {text[at : at + 20]!r}" if text[at:].strip() else "at the end"
    return InputError(
        f"conditions {text!r}: {expected} expected {where}; for example: "
        "genre=jazz, duration<600, artist!=Abba"
    )


def _written(text: str, pattern: re.Pattern[str]) -> str:
    """Return a name or a value, in quotes where it needs them."""
    bare = pattern.fullmatch(text)
    plain = bare is not None and bare.group(2) == text and text.strip() == text
    return text if plain else '"' + text.replace('"', '""') + '"'

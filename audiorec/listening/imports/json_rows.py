r"""Read JSON larger than memory, arrays or lines, one value at a time.

    [{...}, {...}]                      ──array_rows──▶  1, {...};  2, {...}
    {"user": "ana", "plays": [{...}]}   ──array_rows──▶  the values of its first array
    {...}\n{...}\n                        ──line_rows───▶  1, {...};  2, {...}

The standard library parses each value; this module only handles the brackets and commas between
them. For a truncated file, all complete values are yielded, followed by a `Broken`. (A pull parser
such as ijson would raise an error instead.)
"""

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

CHUNK_BYTES = 1 << 18
LONGEST_VALUE = 1 << 24  # characters of a value in an array; a Last.fm page has 200,000
LONGEST_LINE = 1 << 22  # bytes of a line
AFTER_NUMBER = tuple(" \t\r\n,]")
_BETWEEN = re.compile(r"\}\s*,\s*(?=\{)")
_BLANK = re.compile(r"[ \t\r\n]*")
_STRING_OR_ARRAY = re.compile(r'"(?:[^"\\]|\\.)*("?)|\[', re.DOTALL)


class Broken(NamedTuple):
    """A part of a file that is not valid JSON."""

    reason: str
    content: str


def array_rows(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Yield number (from 1) and value of each element of the first array in a JSON text.

    A damaged part is yielded as `Broken`, up to the next apparent start of an object (between
    ``}`` and ``{``), or else up to the end of the file.
    """
    text = _Text(file)
    if not _find_array(text):
        yield 1, Broken("holds no JSON array", text.held)
        return
    row, decoder, is_sure = 0, json.JSONDecoder(), True
    while True:
        row += 1
        next_letter = text.letter()
        if next_letter == "]":
            rest = text.behind_end()
            # A comma is followed by other keys of the object that contains the list.
            if rest and not (is_sure and rest.startswith(",")):
                yield row, Broken("is damaged, and goes on behind the end of a list", rest)
            return
        if next_letter == "," and row > 1:
            text.skip(1)
            next_letter = text.letter()
        if not next_letter:
            yield row, Broken("is cut off", text.held)
            return
        found = _value(text, decoder)
        after = "" if isinstance(found, Broken) else text.letter()
        if isinstance(found, Broken) or after not in (",", "]", ""):
            if not isinstance(found, Broken):
                yield row, found
                row, found = row + 1, Broken("is no JSON", text.held)
            next_one = _BETWEEN.search(text.held)
            if next_one is None:
                yield row, found
                return
            yield row, Broken(found.reason, text.held[: next_one.start() + 1])
            text.skip(next_one.end())
            is_sure = False
            continue
        yield row, found


def line_rows(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Yield number (from 1) and value of each line; `Broken` for a line that is not JSON."""
    row = 0
    while line := file.readline(LONGEST_LINE + 1):
        row += 1
        if len(line) > LONGEST_LINE:
            yield row, Broken(f"is longer than {LONGEST_LINE} bytes", _shown(line))
            while line and not line.endswith(b"\n"):
                line = file.readline(LONGEST_LINE)
            continue
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = Broken("is no JSON", _shown(line))
        yield row, found


def is_lines(head: bytes) -> bool:
    """Return whether a file with this beginning has one JSON object per line."""
    first, there, _rest = head.partition(b"\n")
    if not there:
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _shown(line: bytes) -> str:
    return line[:CHUNK_BYTES].decode("utf-8", "backslashreplace")


class _Text:
    """Buffered window on a text file, extended on demand."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = getincrementaldecoder("utf-8-sig")("backslashreplace")
        self._is_over = False
        self.held = ""

    def more(self) -> bool:
        """Extend the window; return False at the end of the file."""
        if self._is_over:
            return False
        data = self._file.read(CHUNK_BYTES)
        self._is_over = not data
        self.held += self._decoder.decode(data, final=not data)
        return not self._is_over

    def twice_as_much(self) -> bool:
        """Double the window, so that a long value is not parsed again for every chunk."""
        goal = 2 * len(self.held)
        is_more = self.more()
        while is_more and len(self.held) < goal and self.more():
            pass
        return is_more

    def skip(self, letters: int) -> None:
        """Drop the first characters of the window."""
        self.held = self.held[letters:]

    def behind_end(self) -> str:
        """Skip the bracket that ends a list, and enclosing brackets; return the rest."""
        self.skip(1)
        while self.letter() in ("]", "}") and self.held:
            self.skip(1)
        return self.held

    def letter(self) -> str:
        """Skip white space and return the next character without consuming it; "" at the end."""
        while True:
            self.skip(_BLANK.match(self.held).end())  # type: ignore[union-attr]
            if self.held or not self.more():
                return self.held[:1]


def _find_array(text: _Text) -> bool:
    """Advance past the opening bracket of the first array; return False if there is none."""
    while True:
        rest = ""
        for found in _STRING_OR_ARRAY.finditer(text.held):
            if found[0] == "[":
                text.skip(found.end())
                return True
            if not found[1]:  # the string continues beyond the window
                rest = text.held[found.start() :]
                break
        text.held = rest
        if len(rest) > LONGEST_VALUE or not text.more():
            return False


def _value(text: _Text, decoder: json.JSONDecoder) -> Any:
    while True:
        try:
            found, end = decoder.raw_decode(text.held)
        except RecursionError:
            return Broken("is nested too deeply", text.held)
        except ValueError:
            if len(text.held) > LONGEST_VALUE:
                return Broken(f"has a value longer than {LONGEST_VALUE} letters", text.held)
            if not text.twice_as_much():
                return Broken("is cut off or no JSON", text.held)
            continue
        # A number may continue beyond the window: 0, then .5
        is_open = isinstance(found, (int, float)) and text.held[end : end + 1] not in AFTER_NUMBER
        if (end == len(text.held) or is_open) and text.more():
            continue
        text.skip(end)
        return found

r"""Read JSON larger than memory, arrays or lines, one value at a time.

    [{...}, {...}]                      ──array_rows──▶  1, {...};  2, {...}
    {"user": "ana", "plays": [{...}]}   ──array_rows──▶  the values of its first array
    {...}\n{...}\n                        ──line_rows───▶  1, {...};  2, {...}

The standard library parses each value; this module only handles the brackets and commas between
them. For a truncated file, all complete values are yielded, followed by a `Broken`. (A pull parser
such as ijson would raise an error instead.) Time grows with the length of a text alone, and memory
with its longest value, however it is broken.
"""

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from audiorec.listening.imports.rows import LONGEST_KEPT

CHUNK_BYTES = 1 << 18
LONGEST_VALUE = 1 << 24  # characters of a value in an array; a Last.fm page has 200,000
LONGEST_LINE = 1 << 22  # bytes of a line
LONGEST_TOKEN = 32  # characters of a number or word that the end of the window may cut
LONGEST_GAP = 1 << 12  # characters between two objects, where damage is skipped
MOST_AGAIN = 1 << 24  # characters that may be parsed in vain, so that less of the text is lost
DROPPED = 1 << 14  # characters; errors of the parser count the lines before them
AFTER_NUMBER = tuple(" \t\r\n,]")
_DECODER = json.JSONDecoder()
_BETWEEN = re.compile(r"\}\s*,\s*(?=\{)")
_BLANK = re.compile(r"[ \t\r\n]*")
_STRING_OR_ARRAY = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|\[', re.DOTALL)


class Broken(NamedTuple):
    """A part of a file that is not valid JSON: the reason, and the beginning of the part."""

    reason: str
    content: str


def array_rows(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Yield number (from 1) and value of each element of the first array in a JSON text.

    A damaged part is yielded as `Broken`, up to the next apparent start of an object (between
    ``}`` and ``{``), or else up to the end of the file.
    """
    text = _Text(file)
    if not _find_array(text):
        yield 1, Broken("holds no JSON array", text.beginning())
        return
    row, is_sure = 0, True
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
            yield row, Broken("is cut off", "")
            return
        found, parsed = _value(text)
        if not isinstance(found, Broken):
            yield row, found
            if text.letter() in (",", "]", ""):
                continue
            row, found = row + 1, Broken("is no JSON", "")
        lost, goes_on = text.skip_damage(parsed)
        yield row, Broken(found.reason, lost)
        if not goes_on:
            return
        is_sure = False


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
    return line[:LONGEST_KEPT].decode("utf-8", "backslashreplace")


class _Text:
    """Window on a text file: `held` from `at` on, extended on demand."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = getincrementaldecoder("utf-8-sig")("backslashreplace")
        self._is_over = False
        self._again = MOST_AGAIN
        self.held, self.at = "", 0

    @property
    def length(self) -> int:
        """Number of characters in the window."""
        return len(self.held) - self.at

    def more(self) -> bool:
        """Extend the window to twice its length; return False if there is nothing more.

        A long value is thus parsed a few times, not again for every chunk.
        """
        before, parts = self.length, [self.held[self.at :]]
        length = before
        while length <= 2 * before and not self._is_over:
            data = self._file.read(CHUNK_BYTES)
            self._is_over = not data
            parts.append(self._decoder.decode(data, final=not data))
            length += len(parts[-1])
        if length > before:
            self.held, self.at = "".join(parts), 0
        return length > before

    def skip(self, letters: int) -> None:
        """Move the beginning of the window."""
        self.at += letters
        if self.at > DROPPED:
            self.held, self.at = self.held[self.at :], 0

    def beginning(self) -> str:
        """Return the beginning of the window, as much as is stored of a rejected row."""
        return self.held[self.at : self.at + LONGEST_KEPT]

    def behind_end(self) -> str:
        """Skip the bracket that ends a list, and enclosing brackets; return what follows."""
        self.skip(1)
        while self.letter() in ("]", "}") and self.length:
            self.skip(1)
        return self.beginning()

    def letter(self) -> str:
        """Skip white space and return the next character without consuming it; "" at the end."""
        while True:
            blank = _BLANK.match(self.held, self.at)
            self.skip(len(blank[0]) if blank else 0)
            if self.length or not self.more():
                return self.held[self.at : self.at + 1]

    def skip_damage(self, parsed: int) -> tuple[str, bool]:
        """Skip to the next object; return the beginning of what is lost, and whether there is one.

        It is looked for from the start of the damage. Once too much has been parsed in vain, it is
        looked for behind the `parsed` characters instead.
        """
        self._again -= parsed
        lost, shown = 0, self.beginning()
        start = self.at + (parsed if self._again < 0 else 0)
        while (found := _BETWEEN.search(self.held, start)) is None:
            end = max(start, len(self.held) - LONGEST_GAP)
            lost, self.at = lost + end - self.at, end
            if not self.more():
                return shown, False
            start = self.at
        shown = shown[: lost + found.start() + 1 - self.at]
        self.skip(found.end() - self.at)
        return shown, True


def _find_array(text: _Text) -> bool:
    """Advance past the opening bracket of the first array; return False if there is none."""
    while True:
        end = len(text.held)
        for found in _STRING_OR_ARRAY.finditer(text.held, text.at):
            if found[0] == "[":
                text.skip(found.end() - text.at)
                return True
            if not found[1]:  # the string continues beyond the window
                end = found.start()
                break
        text.at = end
        if text.length > LONGEST_VALUE or not text.more():
            return False


def _value(text: _Text) -> tuple[Any, int]:
    """Return the next value, or a `Broken` and the number of characters parsed in vain."""
    while True:
        held, at = text.held, text.at
        try:
            found, end = _DECODER.raw_decode(held, at)
        except json.JSONDecodeError as error:
            is_string = error.msg.startswith("Unterminated string")
            if is_string or error.pos > len(held) - LONGEST_TOKEN:
                if text.length > LONGEST_VALUE:
                    reason = f"has a value longer than {LONGEST_VALUE} letters"
                    return Broken(reason, ""), text.length
                if text.more():
                    continue
            parsed = text.length if is_string else error.pos - at
            return Broken("is cut off or no JSON", ""), parsed
        except RecursionError:
            return Broken("is nested too deeply", ""), text.length
        except ValueError:
            return Broken("has a number with too many digits", ""), text.length
        # A number may continue beyond the window: 0, then .5
        is_open = isinstance(found, (int, float)) and held[end : end + 1] not in AFTER_NUMBER
        if is_open and end > len(held) - LONGEST_TOKEN and text.more():
            continue
        text.skip(end - at)
        return found, 0

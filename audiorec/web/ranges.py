"""HTTP range requests, which players need to seek.

    open file, ``Range`` ──answer──▶ 200 whole file, 206 a part, 416 out of range

Supports one range per request, as browsers send for audio; several ranges get the whole file.
"""

import os
import re
from collections.abc import Iterator
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

CHUNK = 1 << 17  # bytes
_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def answer(request: Request, file: BinaryIO, media_type: str) -> Response:
    """Return a response with the file, or the requested part; it closes the file when sent."""
    about = os.fstat(file.fileno())
    size, tag = about.st_size, f'"{about.st_size:x}-{about.st_mtime_ns:x}"'
    headers = {"accept-ranges": "bytes", "etag": tag}
    asked = request.headers.get("range")
    if asked is not None and request.headers.get("if-range", tag) != tag:
        asked = None  # the file has changed since the previous part was sent
    span = None if asked is None else part_of(asked, size)
    if span == NOWHERE:
        file.close()
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{size}"})
    start, stop = span or (0, size)
    headers["content-length"] = str(stop - start)
    if span is not None:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    status = 200 if span is None else 206
    if request.method == "HEAD":
        file.close()
        return Response(status_code=status, headers=headers, media_type=media_type)
    body = _pieces(file, start, stop)
    return StreamingResponse(body, status, headers=headers, media_type=media_type)


NOWHERE = (-1, -1)


def part_of(text: str, size: int) -> tuple[int, int] | None:
    """Return start and stop of a ``Range``; None for the whole file, `NOWHERE` if out of range.

    Examples
    --------
    >>> part_of("bytes=0-99", 500), part_of("bytes=400-", 500), part_of("bytes=-100", 500)
    ((0, 100), (400, 500), (400, 500))
    >>> part_of("bytes=500-", 500) == NOWHERE, part_of("bytes=0-1,3-4", 500)
    (True, None)
    """
    found = _ONE.fullmatch(text.replace(" ", ""))
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if first == "":
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), size if last == "" else min(size, int(last) + 1)
        if last and int(last) < int(first):
            return None
    return (start, stop) if start < stop else NOWHERE


def _pieces(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < stop:
            piece = file.read(min(CHUNK, stop - start))
            if not piece:  # the file was truncated meanwhile
                return
            start += len(piece)
            yield piece

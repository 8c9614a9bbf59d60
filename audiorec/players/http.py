"""Ask a music server by HTTP, with limits: one connection, kept open, to one host alone.

    HttpClient("https://music.example.org").post("/rest/ping", {...})  ──▶ the body of the answer

TLS is verified. Redirects are refused, since they would take the secret elsewhere: the message
names where they lead. What is slow, busy (429) or failing (5xx, a broken connection) is asked again
a few times, if the request may be repeated; then it is a `LostPlayerError`.
"""

import http.client
import json
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from audiorec.errors import InputError, LostPlayerError, PlayerError
from audiorec.files.visible import visible
from audiorec.players.contract import address

LIKE = "https://music.example.org"
WAIT_S, ANSWER_S = 30.0, 120.0  # longest silence, longest time of an answer
MOST_BYTES = 64 << 20  # of an answer
PIECE_BYTES = 1 << 16
TRIES = 4  # of a request that may be repeated
PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # the first pause, which doubles; the longest
BUSY = 429
REFUSED = (401, 403)


class HttpClient:
    """Requests to one address.

    Parameters
    ----------
    url : str
        ``http://`` or ``https://``, a host, and perhaps a port and a path.

    Raises
    ------
    InputError
        If the address is another one, or has a user, a password or a question in it.
    """

    def __init__(self, url: str) -> None:
        parts = address(url, LIKE)
        if not parts.hostname:
            raise InputError(f"url must be like {LIKE}, with a host")
        self.url, self._path = url.rstrip("/"), parts.path.rstrip("/")
        place = (parts.hostname, parts.port)
        self._connection = http.client.HTTPConnection(*place, WAIT_S)
        if parts.scheme == "https":
            about = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(*place, timeout=WAIT_S, context=about)

    def post(
        self, path: str, form: Mapping[str, str | Sequence[str]], *, again: bool = True
    ) -> bytes:
        """Send a form, and return the body of the answer; `again` says if it may be repeated."""
        body = urlencode(form, doseq=True).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.request("POST", path, body, kind, again=again)

    def json(
        self,
        method: str,
        path: str,
        content: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        again: bool = True,
    ) -> Any:
        """Send JSON, or nothing, and return the answer as JSON; None for an empty one."""
        body = None if content is None else json.dumps(content).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        answer = self.request(method, path, body, {**kind, **(headers or {})}, again=again)
        return self.parsed(answer) if answer else None

    def parsed(self, answer: bytes) -> Any:
        """Parse an answer as JSON; raise `PlayerError` for anything else."""
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise PlayerError(
                f"{self.url}: its answer is not JSON; is this the address of the server?"
            ) from error

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        again: bool = True,
    ) -> bytes:
        """Send a request and return the body of the answer.

        Raises
        ------
        LostPlayerError
            If the server cannot be reached, is too slow, or fails at every try.
        PlayerError
            If it refuses the account or the request, or its answer is too large.
        """
        why, pause = "", PAUSE_S
        if not again:  # a connection that was kept may have ended meanwhile
            self.close()
        for one in range(TRIES if again else 1):
            if one:
                time.sleep(min(pause, LONGEST_PAUSE_S))
                pause *= 2
            try:
                status, asked_s, answer = self._once(method, path, body, headers or {})
            except ssl.SSLCertVerificationError as error:
                self.close()
                raise PlayerError(
                    f"{self.url}: its certificate is not valid: {error.verify_message}"
                ) from error
            except (OSError, http.client.HTTPException) as error:
                self.close()
                why = str(error) or type(error).__name__
                continue
            if status != BUSY and status < 500:
                return answer
            why, pause = f"it answers {status}", max(pause, asked_s)
        raise LostPlayerError(f"{self.url}: no answer: {visible(why)}")

    def _once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, float, bytes]:
        """Return status, the pause that the server asks for, and body of one answer."""
        self._connection.request(method, f"{self._path}{path}", body, dict(headers))
        answer = self._connection.getresponse()
        if 300 <= answer.status < 400:
            to = visible(answer.headers.get("Location") or "somewhere else")
            self.close()
            raise PlayerError(f"{self.url}: sends us to {to}; if you trust it, make that the url")
        with answer:  # once it is closed, the connection takes the next request
            content = self._body(answer)
        if answer.will_close:
            self._connection.close()
        if 400 <= answer.status < 500 and answer.status != BUSY:
            refused = answer.status in REFUSED
            what = "does not accept the account" if refused else "refuses a request"
            raise PlayerError(f"{self.url}: {what}: it answers {answer.status}")
        pause = answer.headers.get("Retry-After") or ""
        return answer.status, float(pause) if pause.isdecimal() else 0.0, content

    def _body(self, answer: http.client.HTTPResponse) -> bytes:
        ends, pieces, size = time.monotonic() + ANSWER_S, [], 0
        while piece := answer.read1(PIECE_BYTES):
            pieces.append(piece)
            size += len(piece)
            if size > MOST_BYTES:
                self.close()
                raise PlayerError(f"{self.url}: an answer has over {MOST_BYTES} bytes")
            if time.monotonic() > ends:
                raise TimeoutError(f"an answer took over {ANSWER_S:g} s")
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        return b"".join(pieces)

    def close(self) -> None:
        """End the connection; a further request opens a new one."""
        self._connection.close()

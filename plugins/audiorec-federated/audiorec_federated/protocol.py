"""Wire format of messages between two parties: fields, bounds, encoding and decoding.

    Message ──encode──▶ bytes ──decode──▶ the same message, or a `ProtocolError`

``plugins/audiorec-federated/protocol.md`` specifies the format; only this module implements it.
Every field of every kind has a check here, and the length of a payload is verified before it is
parsed.
"""

import hashlib
import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import ProtocolError
from audiorec.types import FloatArray

VERSION = 2
MAGIC = b"ARFD"
FRAME = struct.Struct("<4sHHIQ")  # magic, version, kind, bytes of the header and of the payload
MAX_HEADER = 64 << 10
MAX_PAYLOAD = 32 << 20
MAX_MESSAGE = FRAME.size + MAX_HEADER + MAX_PAYLOAD
MAX_IDS = 200_000_000
MAX_BUCKET_IDS = 20_000
MAX_BUCKETS = 8  # in a message
MAX_CHECKS = 64  # common users that a side asks the other one to show
MAX_ROWS = 65_536
MAX_WIDTH = 4_096
MAX_STEPS = 1 << 40
MAX_TEXT = 2_000
TOKEN_BYTES = 32
PURPOSES = ("align", "train")
DTYPES: Mapping[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
BLOB = struct.Struct("<I")  # bytes of the blob that follows
HEX = re.compile(r"[0-9a-f]*")

Check = Callable[[Any], bool]
Array = npt.NDArray[Any]


class MessageKind(IntEnum):
    """Kind of a message."""

    HELLO = 1
    WELCOME = 2
    REFUSED = 3
    NOTED = 4
    COUNT = 5
    COUNTED = 6
    BUCKET = 7
    ANSWER = 8
    COMMON = 9
    AGREED = 10
    VECTORS = 11
    GRADIENTS = 12
    TABLE = 13
    BEGIN = 14
    SAVE = 15
    FINISH = 16
    CHECK = 17
    CHECKED = 18
    SHOW = 19

    @property
    def word(self) -> str:
        """Name in lower case, as in the protocol specification."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, sent or received."""

    kind: MessageKind
    session: str = ""  # 32 hex digits; empty in ``hello``
    number: int = 0  # number of the question; its answer has the same
    # remaining header fields: exactly those of the kind
    fields: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes = b""

    def __str__(self) -> str:
        """Return the kind and the number, for errors."""
        return f"{self.kind.word} {self.number}"

    def __getitem__(self, name: str) -> Any:
        """Return a field."""
        return self.fields[name]

    def array(self) -> FloatArray:
        """Return the payload's numbers, (rows, width) float32; all must be finite."""
        kind = DTYPES[self.fields.get("dtype", "float32")]
        shape = (self.fields["rows"], self.fields["width"])
        result: FloatArray = np.frombuffer(self.payload, kind).reshape(shape).astype(np.float32)
        if not np.isfinite(result).all():
            raise ProtocolError(str(self), "finite numbers", "NaN or infinity")
        return result

    def blobs(self, n: int) -> list[bytes]:
        """Return the payload's `n` blobs, neither more nor fewer; undoes `joined`."""
        result: list[bytes] = []
        at = 0
        while at + BLOB.size <= len(self.payload) and len(result) < n:
            end = at + BLOB.size + BLOB.unpack_from(self.payload, at)[0]
            result.append(self.payload[at + BLOB.size : end])
            at = end
        if at != len(self.payload) or len(result) != n:
            raise ProtocolError(
                str(self), f"a payload of {n} parts", f"{len(self.payload):,} bytes"
            )
        return result

    def tokens(self) -> Array:
        """Return the payload's tokens, (n, 32) uint8."""
        return np.frombuffer(self.payload, np.uint8).reshape(-1, TOKEN_BYTES)


def integer_check(low: int, high: int) -> Check:
    """Return a check for integers from `low` to `high`, inclusive."""
    return lambda value: type(value) is int and low <= value <= high


def _digits(*lengths: int) -> Check:
    def check(value: Any) -> bool:
        return isinstance(value, str) and len(value) in lengths and bool(HEX.fullmatch(value))

    return check


def _one_of(*values: str) -> Check:
    return lambda value: isinstance(value, str) and value in values


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _settings(value: Any) -> bool:
    """Whether a value is an object; its size is bounded by the header, and it is only compared."""
    return isinstance(value, dict)


def _counts(value: Any) -> bool:
    """Whether a value is a list of the numbers of ids in some buckets."""
    check = integer_check(0, MAX_BUCKET_IDS)
    return isinstance(value, list) and 1 <= len(value) <= MAX_BUCKETS and all(map(check, value))


def _places(value: Any) -> bool:
    """Whether a value is a list of aligned rows to check."""
    return isinstance(value, list) and len(value) <= MAX_CHECKS and all(map(COUNT, value))


COUNT = integer_check(0, MAX_IDS)
STEP: dict[str, Check] = {
    "epoch": integer_check(0, MAX_STEPS),
    "step": integer_check(0, MAX_STEPS),
}
SHAPE: dict[str, Check] = {"rows": integer_check(0, MAX_ROWS), "width": integer_check(1, MAX_WIDTH)}
DTYPE = _one_of(*DTYPES)
# Header fields of each kind besides session and number; no others are allowed.
FIELDS: Mapping[MessageKind, Mapping[str, Check]] = MappingProxyType(
    {
        MessageKind.HELLO: {
            "purpose": _one_of(*PURPOSES),
            "nonce": _digits(64),
            "settings": _settings,
            "alignment": _digits(0, 64),
        },
        MessageKind.WELCOME: {"nonce": _digits(64)},
        MessageKind.REFUSED: {"about": _text, "reason": _text},
        MessageKind.NOTED: {},
        MessageKind.COUNT: {"ids": COUNT, "commitment": _digits(64)},
        MessageKind.COUNTED: {"ids": COUNT, "commitment": _digits(64)},
        MessageKind.BUCKET: {"first": COUNT, "ids": _counts},
        MessageKind.ANSWER: {"first": COUNT, "ids": _counts},
        MessageKind.COMMON: {"first": COUNT, "total": COUNT},
        MessageKind.AGREED: {"alignment": _digits(0, 64)},
        MessageKind.VECTORS: {**STEP, **SHAPE, "dtype": DTYPE},
        MessageKind.GRADIENTS: {**STEP, **SHAPE},
        MessageKind.TABLE: {**SHAPE, "first": COUNT, "total": COUNT, "dtype": DTYPE},
        MessageKind.BEGIN: STEP,
        MessageKind.SAVE: STEP,
        MessageKind.FINISH: {"space": _digits(16)},
        MessageKind.CHECK: {"places": _places},
        MessageKind.CHECKED: {"places": _places},
        MessageKind.SHOW: {},
    }
)


# Kinds whose payload has a length that the header does not determine.
OF_PARTS = {MessageKind[n] for n in ("COMMON", "BUCKET", "ANSWER", "CHECKED", "SHOW")}


def encode(message: Message) -> bytes:
    """Encode a message; raise `ProtocolError` if `decode` would refuse it."""
    header = {"session": message.session, "number": message.number, **message.fields}
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    sizes = (len(text), len(message.payload))
    data = FRAME.pack(MAGIC, VERSION, message.kind, *sizes) + text + message.payload
    decode(data)
    return data


def decode(data: bytes) -> Message:
    """Decode a message; the `ProtocolError` of an invalid one names what was expected."""
    kind, header, payload = _frame(data)
    session, number = header.pop("session", None), header.pop("number", None)
    lengths = {MessageKind.HELLO: (0,), MessageKind.REFUSED: (0, 32)}.get(kind, (32,))
    if not _digits(*lengths)(session):
        raise ProtocolError(kind.word, "a session of 32 hex digits", _shown(session))
    if not integer_check(0, MAX_STEPS)(number):
        raise ProtocolError(kind.word, "a number from 0", _shown(number))
    message = Message(kind=kind, session=session, number=number, fields=header, payload=payload)
    checks = FIELDS[kind]
    if set(header) != set(checks):
        raise ProtocolError(
            str(message), f"the fields {_names(checks)}", f"the fields {_names(header)}"
        )
    for name, check in checks.items():
        if not check(header[name]):
            raise ProtocolError(str(message), f"a valid {name}", _shown(header[name]))
    _check_length(message)
    return message


def pack(values: Array, dtype: str = "float32") -> tuple[dict[str, Any], bytes]:
    """Return the header fields and the payload of vectors (rows, width)."""
    rows, width = values.shape
    payload = np.ascontiguousarray(values, DTYPES[dtype]).tobytes()
    return {"rows": int(rows), "width": int(width)}, payload


def parts_of(total: int, width: int) -> Iterator[slice]:
    """Yield the rows of each message of a table, at least one part."""
    rows = max(1, min(MAX_ROWS, MAX_PAYLOAD // (4 * width)))
    for first in range(0, max(1, total), rows):
        yield slice(first, min(first + rows, total))


def joined(blobs: Iterable[bytes]) -> bytes:
    """Return blobs as one payload, each after its length."""
    return b"".join(BLOB.pack(len(blob)) + blob for blob in blobs)


def session_id(purpose: str, nonces: Sequence[str], certificates: Sequence[str]) -> str:
    """Return the session id of a hello and a welcome; of each pair the caller's value is first.

    The fingerprints of the certificates bind the session to the two ends of the connection.
    """
    parts = ["session", str(VERSION), purpose, *nonces, *certificates]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _frame(data: bytes) -> tuple[MessageKind, dict[str, Any], bytes]:
    """Split a frame into kind, header and payload after checking their lengths."""
    if len(data) > MAX_MESSAGE:
        raise ProtocolError("of any kind", f"at most {MAX_MESSAGE:,} bytes", f"{len(data):,}")
    if len(data) < FRAME.size:
        raise ProtocolError("of any kind", f"at least {FRAME.size} bytes", str(len(data)))
    magic, version, number, n_header, n_payload = FRAME.unpack_from(data)
    if magic != MAGIC:
        raise ProtocolError("of any kind", f"the magic bytes {MAGIC!r}", repr(magic))
    if version != VERSION:
        raise ProtocolError("of any kind", f"version {VERSION}", f"version {version}")
    if number not in set(MessageKind):
        raise ProtocolError("of any kind", f"a kind from 1 to {max(MessageKind)}", str(number))
    kind = MessageKind(number)
    if n_header > MAX_HEADER or n_payload > MAX_PAYLOAD:
        most = f"at most {MAX_HEADER:,} and {MAX_PAYLOAD:,} bytes"
        raise ProtocolError(kind.word, most, f"{n_header:,} and {n_payload:,}")
    if len(data) != FRAME.size + n_header + n_payload:
        expected = f"{FRAME.size + n_header + n_payload:,} bytes in all"
        raise ProtocolError(kind.word, expected, f"{len(data):,}")
    text = data[FRAME.size : FRAME.size + n_header]
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(kind.word, "a header in JSON", "none") from error
    if not isinstance(header, dict):
        raise ProtocolError(kind.word, "a JSON object as header", type(header).__name__)
    return kind, header, data[FRAME.size + n_header :]


def _check_length(message: Message) -> None:
    """Refuse a payload whose length disagrees with the header."""
    expected = _length(message)
    if expected is not None and len(message.payload) != expected:
        got = f"{len(message.payload):,}"
        raise ProtocolError(str(message), f"a payload of {expected:,} bytes", got)
    if message.kind == MessageKind.COMMON:
        n, rest = divmod(len(message.payload), TOKEN_BYTES)
        if rest or message["first"] + n > message["total"]:
            got = f"{len(message.payload):,} bytes"
            raise ProtocolError(str(message), f"{TOKEN_BYTES} bytes for each user", got)
    if message.kind == MessageKind.TABLE and message["first"] + message["rows"] > message["total"]:
        raise ProtocolError(str(message), f"{message['total']} vectors in all", "more")


def _length(message: Message) -> int | None:
    """Return the required payload length in bytes; None if the header does not determine it."""
    if message.kind in OF_PARTS:
        return None
    if "width" in message.fields:
        item = int(DTYPES[message.fields.get("dtype", "float32")].itemsize)
        return int(message["rows"]) * int(message["width"]) * item
    return 0


def _names(fields: Mapping[str, Any]) -> str:
    return ", ".join(sorted(map(str, fields)))[:MAX_TEXT] or "none"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

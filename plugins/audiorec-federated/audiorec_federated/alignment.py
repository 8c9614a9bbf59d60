"""Which users both parties have, by private set intersection, and ``aligned.parquet``.

    ids ──normalised, HMAC under a common salt──▶ buckets ──openmined-psi──▶ common ids
    common ids ──another HMAC──▶ tokens, sorted: an order nobody chose ──▶ `Alignment` of both

The partner learns which of its ids the other side has, then names them to it by tokens that can
only be matched by a party with the same ids. Elliptic-curve operations take 0.3 ms per id on each
side, so buckets run in several processes, and both parties compute concurrently. Each side says how
many ids it has, and is held to it: the other one counts the elements of every bucket before it
computes with them, so nobody tries more ids than it said. Each commits to its set beforehand, and
shows afterwards that common users, which the other one draws, were in it: nobody adds ids once it
has seen an answer.

The file has one row per common user, in the agreed order.

=============  ==================================================================
column         what
=============  ==================================================================
user_id        string, this party's id of the user; empty if the user was forgotten
=============  ==================================================================

Batches are drawn by row number, so rows are never removed: a user who is forgotten keeps a row with
an empty id and no data. The metadata key ``audiorec`` is a JSON object: ``kind``, ``alignments``
(the id of the alignment, in a list), ``format_version``.
"""

import hashlib
import hmac
import json
import secrets
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa

from audiorec.columns import ListColumns
from audiorec.errors import (
    InputError,
    MissingExtraError,
    MissingStoreError,
    PeerError,
    ProtocolError,
    SpecMismatchError,
    StoreError,
)
from audiorec.files.own_files import write_errors
from audiorec.files.tables import TableFile, table_writer
from audiorec.runs.workers import Limits, Workers
from audiorec.store.schema import METADATA_KEY, own_metadata
from audiorec.types import StageProgress
from audiorec_federated.link import NOTED, Caller, OutOfTurnError, Reply
from audiorec_federated.protocol import (
    HEX,
    MAX_BUCKET_IDS,
    MAX_BUCKETS,
    MAX_CHECKS,
    MAX_IDS,
    MAX_PAYLOAD,
    TOKEN_BYTES,
    Message,
    MessageKind,
    joined,
)

KIND = "alignment"
FORMAT_VERSION = 1
SCHEMA = pa.schema([pa.field(ListColumns.USER, pa.string(), nullable=False)])
HOW = "align with the other party: audiorec federated align --config FILE --yes"
PSI_BOUND = ">=2.0.6"
BUCKET_IDS = 5_000  # mean number of the larger party's ids in a bucket
CPU_S = 0.00031  # CPU seconds of both parties per id of the larger one, for the plan
TIMEOUT_S = 1_800.0  # time limit of one bucket
HANDLER = "audiorec_federated.alignment:handler"
TOKENS_A_MESSAGE = MAX_PAYLOAD // TOKEN_BYTES // 2
Submit = Callable[..., "Future[Any]"]
# Called with the number of ids that the other side tries, and with its commitment to them.
Hear = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class Alignment:
    """Users common to both parties, in the agreed order."""

    user_ids: tuple[str, ...]  # this party's ids
    # Ids of the alignment: 64 hex digits, equal on both sides if both have the same rows in the
    # same order. Files of earlier versions may have several, one per other party
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.user_ids)


@dataclass(frozen=True, slots=True)
class Normalised:
    """Distinct ids in the form that the parties compare, sorted."""

    forms: tuple[str, ...]
    originals: tuple[str, ...]  # original id of each form: the first of those that became equal
    merged: int  # number of ids dropped because their form equals that of another

    def __len__(self) -> int:
        return len(self.forms)

    @classmethod
    def of(cls, ids: Iterable[str]) -> "Normalised":
        """Normalise ids: Unicode NFC, no white space at the ends; `InputError` if one is empty.

        Examples
        --------
        >>> Normalised.of(["Zoë ", "7", "Zoë"]).forms
        ('7', 'Zoë')
        """
        result: dict[str, str] = {}
        given = 0
        for one in ids:
            given += 1
            form = unicodedata.normalize("NFC", one).strip()
            if not form:
                raise InputError(f"user id {one!r} is empty without its white space")
            result.setdefault(form, one)
        if len(result) > MAX_IDS:
            raise InputError(f"{len(result):,} ids; the protocol allows {MAX_IDS:,}")
        forms = tuple(sorted(result))
        return cls(forms, tuple(result[form] for form in forms), given - len(result))


@dataclass(frozen=True, slots=True)
class Salt:
    """Common salt of the ids, derived from nonces of both parties."""

    key: bytes

    @classmethod
    def of(cls, nonces: Sequence[str]) -> "Salt":
        """Derive the salt from the nonces of a hello and its welcome."""
        return cls(hashlib.sha256("\0".join(("salt", *nonces)).encode()).digest())

    def element(self, form: str) -> str:
        """Return the element of an id in the intersection."""
        return self._hmac("element", form).hex()

    def token(self, form: str) -> bytes:
        """Return the token that identifies an id to a party that has it: 32 bytes."""
        return self._hmac("token", form)

    def bucket(self, form: str, n_buckets: int) -> int:
        """Return the bucket of an id."""
        return int.from_bytes(self._hmac("bucket", form)[:8], "big") % n_buckets

    def _hmac(self, purpose: str, form: str) -> bytes:
        return hmac.digest(self.key, f"{purpose}\0{form}".encode(), "sha256")


class Commitment:
    """Merkle tree of a set of ids: its root commits to them, and tells nothing about them.

    Pairs are hashed in order, so that a path needs no places; each id has a secret of its own.
    """

    def __init__(self, forms: Sequence[str]) -> None:
        self._key = secrets.token_bytes(TOKEN_BYTES)
        self._rows = [sorted(_leaf(self._secret(form), form) for form in forms)]
        while len(row := self._rows[-1]) > 1:
            pairs = [row[i : i + 2] for i in range(0, len(row), 2)]
            self._rows.append([_node(*pair) if len(pair) == 2 else pair[0] for pair in pairs])

    @property
    def root(self) -> str:
        """The commitment: 64 hex digits."""
        return (self._rows[-1] or [bytes(TOKEN_BYTES)])[0].hex()

    def opening(self, form: str) -> bytes:
        """Return what shows that an id is in the set: its secret, and the path to the root."""
        result = [self._secret(form)]
        place = bisect_left(self._rows[0], _leaf(result[0], form))
        for row in self._rows[:-1]:
            result += row[place ^ 1 : (place ^ 1) + 1]  # the last one may have no other
            place //= 2
        return b"".join(result)

    def _secret(self, form: str) -> bytes:
        return hmac.digest(self._key, form.encode(), "sha256")


def is_in(root: str, ids: int, form: str, opening: bytes) -> bool:
    """Whether an opening shows that an id is in a committed set of so many ids.

    A path as deep as a larger set has shows nothing: one would choose from that set later.
    """
    parts = [opening[i : i + TOKEN_BYTES] for i in range(0, len(opening), TOKEN_BYTES)]
    result = _leaf(parts[0], form) if parts else b""
    for part in parts[1:]:
        result = _node(result, part)
    return result.hex() == root and len(parts) <= 1 + max(0, ids - 1).bit_length()


def _leaf(secret: bytes, form: str) -> bytes:
    return hashlib.sha256(b"id" + secret + form.encode()).digest()


def _node(one: bytes, other: bytes) -> bytes:
    return hashlib.sha256(b"pair" + min(one, other) + max(one, other)).digest()


class _Spots:
    """Spot checks of an alignment: rows to ask for, and what the two sides show."""

    def __init__(self, own: Commitment, said: Message, common: Sequence[str]) -> None:
        self._own, self._common = own, common
        self._theirs = said["commitment"], said["ids"]
        drawn = secrets.SystemRandom().sample(range(len(common)), min(MAX_CHECKS, len(common)))
        self.rows = sorted(drawn)

    def shown(self, asked: Message) -> bytes:
        """Return the openings of the rows that the other side asks for."""
        if any(row >= len(self._common) for row in asked["places"]):
            raise ProtocolError(str(asked), f"rows below {len(self._common):,}", "more")
        return joined(self._own.opening(self._common[row]) for row in asked["places"])

    def check(self, answer: Message) -> None:
        """Raise ProtocolError if a row that was asked for was not in the other side's set."""
        openings = zip(self.rows, answer.blobs(len(self.rows)), strict=True)
        if not all(is_in(*self._theirs, self._common[row], one) for row, one in openings):
            what = "a common user that was not in its set before"
            raise ProtocolError(str(answer), "users of the set that it committed to", what)


def buckets_for(larger: int) -> int:
    """Return the number of buckets for `larger` ids, the count of the larger party."""
    return max(1, -(-larger // BUCKET_IDS))


class _Buckets:
    """Own ids in buckets, and a tally of the other side's against the number that it said."""

    def __init__(self, ids: Normalised, salt: Salt, theirs: int) -> None:
        self.n, self._salt, self._forms = buckets_for(max(theirs, len(ids))), salt, ids.forms
        self.places: list[list[int]] = [[] for _ in range(self.n)]
        for index, form in enumerate(ids.forms):
            self.places[salt.bucket(form, self.n)].append(index)
        largest = max(map(len, self.places))
        if largest > MAX_BUCKET_IDS:
            raise InputError(
                f"a bucket has {largest:,} ids; the protocol allows {MAX_BUCKET_IDS:,}"
            )
        self._said = self._left = theirs
        self._expected = 0

    def elements(self, bucket: int) -> list[str]:
        """Return the elements of a bucket."""
        return [self._salt.element(self._forms[place]) for place in self.places[bucket]]

    def counts(self, first: int) -> list[int]:
        """Return the number of ids in each bucket of a message."""
        return [len(places) for places in self.places[first : first + MAX_BUCKETS]]

    def count(self, message: Message) -> None:
        """Count the other party's ids; raise ProtocolError if there are more or fewer than said."""
        self._left -= sum(message["ids"])
        self._expected += len(message["ids"])
        if self._left < 0 or (self._left and self._expected >= self.n):
            got = f"{self._said - self._left:,} up to this bucket"
            raise ProtocolError(str(message), f"{self._said:,} ids in all buckets, as said", got)


def align_partner(
    caller: Caller,
    ids: Normalised,
    submit: Submit,
    *,
    progress: StageProgress | None = None,
    hear: Hear | None = None,
) -> Alignment:
    """Find the common users, as the caller with an open ``align`` session.

    `submit` gives a bucket to a pool of processes (`bucket_pool`). `hear` is called with the number
    of ids that the other side tries, and its commitment, before anything is computed; it may
    refuse. `PeerError` if the other side is lost or violates the protocol.
    """
    salt, own = Salt.of(caller.nonces), Commitment(ids.forms)
    fields: dict[str, Any] = {"ids": len(ids), "commitment": own.root}
    said = caller.ask(MessageKind.COUNT, fields, expect=MessageKind.COUNTED)
    if hear is not None:
        hear(said["ids"], said["commitment"])
    buckets = _Buckets(ids, salt, said["ids"])

    def requests(first: int) -> list[Future[Any]]:
        numbers = range(first, min(first + MAX_BUCKETS, buckets.n))
        return [submit("request", buckets.elements(number)) for number in numbers]

    result: list[Future[list[int]]] = []
    asking = requests(0)
    for first in range(0, buckets.n, MAX_BUCKETS):
        made = [future.result() for future in asking]
        asking = requests(first + MAX_BUCKETS)  # computed while the other side answers
        fields = {"first": first, "ids": buckets.counts(first)}
        payload = joined(request for _, request in made)
        answer = caller.ask(MessageKind.BUCKET, fields, payload, expect=MessageKind.ANSWER)
        if len(answer["ids"]) != len(made):
            raise ProtocolError(str(answer), f"{len(made)} buckets", str(len(answer["ids"])))
        buckets.count(answer)
        blobs = answer.blobs(2 * len(made))
        for number, (key, _) in enumerate(made):
            elements, n = buckets.elements(first + number), answer["ids"][number]
            result.append(submit("compare", elements, key, *blobs[2 * number : 2 * number + 2], n))
        _tell(progress, first + len(made), buckets.n)
    common: list[str] = []
    for places, future in zip(buckets.places, result, strict=True):
        inside = future.result()
        if inside and not 0 <= inside[0] <= inside[-1] < len(places):
            raise PeerError("the other party's answer contains users that were not requested")
        common += [ids.forms[places[i]] for i in inside]
    common.sort(key=salt.token)
    name = _name(caller, salt, common)
    spots = _Spots(own, said, common)
    answer = caller.ask(MessageKind.CHECK, {"places": spots.rows}, expect=MessageKind.CHECKED)
    spots.check(answer)
    caller.ask(MessageKind.SHOW, {}, spots.shown(answer))
    original = dict(zip(ids.forms, ids.originals, strict=True))
    return Alignment(tuple(original[form] for form in common), (name,))


class AlignMusic:
    """The music side of an alignment: a `Host`. Parameters are those of `align_partner`."""

    def __init__(
        self,
        ids: Normalised,
        submit: Submit,
        *,
        progress: StageProgress | None = None,
        hear: Hear | None = None,
    ) -> None:
        self._ids, self._submit, self._progress, self._hear = ids, submit, progress, hear
        self._own = Commitment(ids.forms)
        self.found: Alignment | None = None  # the result, once it is done

    @property
    def is_done(self) -> bool:
        """Whether the common users are known."""
        return self.found is not None

    def greet(self, hello: Message, nonces: tuple[str, str]) -> None:
        """Begin a new alignment."""
        if hello["purpose"] != "align":
            raise SpecMismatchError(f"this side is running align, not {hello['purpose']}")
        self._salt = Salt.of(nonces)
        self._turn = MessageKind.COUNT
        self._answered = 0
        self._common: list[int] = []

    def answer(self, message: Message) -> Reply:
        """Answer a question; see `Host`."""
        if message.kind != self._turn:
            raise OutOfTurnError(f"expected {self._turn.word} now")
        return {
            MessageKind.COUNT: self._count,
            MessageKind.BUCKET: self._answer,
            MessageKind.COMMON: self._agree,
            MessageKind.CHECK: self._show,
            MessageKind.SHOW: self._end,
        }[message.kind](message)

    def _count(self, message: Message) -> Reply:
        self._said = message
        if self._hear is not None:
            self._hear(message["ids"], message["commitment"])
        self._buckets = _Buckets(self._ids, self._salt, message["ids"])
        self._turn = MessageKind.BUCKET
        return MessageKind.COUNTED, {"ids": len(self._ids), "commitment": self._own.root}, b""

    def _answer(self, message: Message) -> Reply:
        buckets, first = self._buckets, self._answered
        counts = buckets.counts(first)
        if message["first"] != first or len(message["ids"]) != len(counts):
            raise OutOfTurnError(f"expected {len(counts)} buckets from {first}")
        buckets.count(message)
        requests = message.blobs(len(counts))
        answers = [
            self._submit("answer", buckets.elements(first + number), request, said)
            for number, (request, said) in enumerate(zip(requests, message["ids"], strict=True))
        ]
        blobs = [blob for future in answers for blob in _result(future, message)]
        self._answered += len(counts)
        if self._answered == buckets.n:
            self._turn = MessageKind.COMMON
        _tell(self._progress, self._answered, buckets.n)
        return MessageKind.ANSWER, {"first": first, "ids": counts}, joined(blobs)

    def _agree(self, message: Message) -> Reply:
        """Find the users whose tokens the partner sends, at most all of its own."""
        result, theirs = self._common, self._said["ids"]
        if message["first"] != len(result):
            raise OutOfTurnError(f"expected first {len(result)}")
        if message["total"] > theirs:
            got = f"{message['total']:,} common users of {theirs:,} ids"
            raise ProtocolError(str(message), f"at most {theirs:,} users", got)
        if not result:
            self._place = {self._salt.token(form): i for i, form in enumerate(self._ids.forms)}
            self._name = hashlib.sha256()
        places = [self._place.pop(row.tobytes(), -1) for row in message.tokens()]
        if -1 in places:
            reason = "a token that is unknown to this side or repeated"
            raise ProtocolError(str(message), "tokens of our users, each once", reason)
        result += places
        self._name.update(message.payload)
        if len(result) < message["total"]:
            if not places:
                raise ProtocolError(str(message), "at least one user", "none")
            return MessageKind.AGREED, {"alignment": ""}, b""
        self._turn = MessageKind.CHECK
        return MessageKind.AGREED, {"alignment": self._name.hexdigest()}, b""

    def _show(self, message: Message) -> Reply:
        """Show the users that the partner asks for, and ask for some as well."""
        forms = [self._ids.forms[i] for i in self._common]
        self._spots = _Spots(self._own, self._said, forms)
        self._turn = MessageKind.SHOW
        return MessageKind.CHECKED, {"places": self._spots.rows}, self._spots.shown(message)

    def _end(self, message: Message) -> Reply:
        self._spots.check(message)
        users = tuple(self._ids.originals[i] for i in self._common)
        self.found = Alignment(users, (self._name.hexdigest(),))
        return NOTED


def _name(caller: Caller, salt: Salt, common: Sequence[str]) -> str:
    """Send the music side the tokens of the common users; return the id of the alignment."""
    tokens = b"".join(map(salt.token, common))
    expected, got = hashlib.sha256(tokens).hexdigest(), ""
    for first in range(0, max(1, len(common)), TOKENS_A_MESSAGE):
        part = tokens[first * TOKEN_BYTES : (first + TOKENS_A_MESSAGE) * TOKEN_BYTES]
        fields = {"first": first, "total": len(common)}
        got = caller.ask(MessageKind.COMMON, fields, part, expect=MessageKind.AGREED)["alignment"]
    if got != expected:
        raise ProtocolError("agreed", f"alignment {expected[:16]}…", got[:16])
    return expected


class MissingLibraryError(MissingExtraError):
    """A package that the plug-in does not bring is not installed."""

    def __str__(self) -> str:
        """Return what needs the package, and the command that installs it."""
        return (
            f'{self.feature} needs {self.extra}: pip install --no-deps "{self.extra}{PSI_BOUND}" '
            "(with its dependencies, it would bring another protobuf)"
        )


def require_library() -> None:
    """Raise `MissingLibraryError` if there is no library for the intersection."""
    if find_spec("private_set_intersection") is None:
        raise MissingLibraryError("federated align", "openmined-psi", "not installed")


def handler() -> Callable[[Any], Any]:
    """Return the function that workers apply to a bucket; loads the library once."""
    import private_set_intersection.python as psi

    def request(elements: list[str]) -> tuple[bytes, bytes]:
        client = psi.client.CreateWithNewKey(True)
        return client.GetPrivateKeyBytes(), client.CreateRequest(elements).SerializeToString()

    def answer(elements: list[str], request: bytes, theirs: int) -> tuple[bytes, bytes]:
        server = psi.server.CreateWithNewKey(True)
        asked = psi.Request()
        asked.ParseFromString(request)
        _check_elements("bucket", theirs, asked.encrypted_elements)
        # The false positive rate matters for Bloom filters only; a raw container has none.
        setup = server.CreateSetupMessage(1e-9, len(elements), elements, psi.DataStructure.RAW)
        return setup.SerializeToString(), server.ProcessRequest(asked).SerializeToString()

    def compare(own: list[str], key: bytes, first: bytes, second: bytes, theirs: int) -> list[int]:
        client = psi.client.CreateFromKey(key, True)
        setup, response = psi.ServerSetup(), psi.Response()
        setup.ParseFromString(first)
        response.ParseFromString(second)
        _check_elements("answer", theirs, setup.raw.encrypted_elements)
        _check_elements("answer", len(own), response.encrypted_elements)
        return sorted(client.GetIntersection(setup, response))

    tasks: dict[str, Callable[..., Any]] = {
        "request": request,
        "answer": answer,
        "compare": compare,
    }
    nothing = {"request": (b"", b""), "answer": (b"", b""), "compare": []}

    def work(item: tuple[str, list[str], *tuple[Any, ...]]) -> Any:
        task, elements, *rest = item
        # One side of the bucket is empty, so there is nothing to compute.
        is_empty = not elements or (task != "request" and not rest[task == "compare"])
        return nothing[task] if is_empty else tasks[task](elements, *rest)

    return work


def _check_elements(what: str, expected: int, elements: Any) -> None:
    """Raise ProtocolError if a message of the library has another number of elements than said."""
    if len(elements) != expected:
        raise ProtocolError(what, f"{expected:,} ids, as said", f"{len(elements):,}")


def _result(done: "Future[Any]", question: Message) -> tuple[bytes, bytes]:
    try:
        setup, response = done.result()
    except ProtocolError:
        raise
    except PeerError as error:
        raise ProtocolError(str(question), "requests of openmined-psi", str(error)) from error
    return setup, response


@contextmanager
def bucket_pool(jobs: int) -> Iterator[Submit]:
    """Yield a function that submits a bucket to `jobs` disposable processes."""
    limits = Limits(timeout_s=TIMEOUT_S)
    with Workers(HANDLER, jobs=jobs, limits=limits) as workers, ThreadPoolExecutor(jobs) as threads:

        def ask(item: Any) -> Any:
            answer = workers.ask(item)
            if answer.error is not None:
                raise answer.error
            if answer.failure is not None:
                raise PeerError(f"a bucket cannot be intersected: {answer.message}")
            return answer.value

        try:
            yield lambda *item: threads.submit(ask, item)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _tell(progress: StageProgress | None, done: int, total: int) -> None:
    if progress is not None:
        progress("buckets", done, total)


def write_alignment(path: Path, alignment: Alignment) -> None:
    """Write an alignment atomically."""
    about = {
        "kind": KIND,
        "alignments": list(alignment.ids),
        "format_version": FORMAT_VERSION,
    }
    schema = SCHEMA.with_metadata({METADATA_KEY: json.dumps(about).encode()})
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with table_writer(path, schema) as writer:
            table = pa.table(
                {ListColumns.USER: pa.array(alignment.user_ids, pa.string())}, schema=schema
            )
            writer.write_table(table)


def read_alignment(path: Path) -> Alignment:
    """Read what `write_alignment` wrote; `StoreError` if it is missing, damaged or another file."""
    try:
        with TableFile.open(path) as file:
            about = own_metadata(file.schema)
            if about.get("kind") != KIND:
                raise StoreError(f"{path}: holds {about.get('kind') or 'no alignment'}; {HOW}")
            if about.get("format_version") != FORMAT_VERSION:
                raise StoreError(
                    f"{path}: format version {about.get('format_version')}, this audiorec reads "
                    f"{FORMAT_VERSION}; a newer audiorec may read it"
                )
            names = about.get("alignments")
            if not isinstance(names, list) or not names or not all(map(_is_name, names)):
                raise StoreError(f"{path}: has no valid alignment ids; {HOW}")
            table = file.read_as(SCHEMA)
    except MissingStoreError as error:
        raise MissingStoreError(f"{path}: no such file; {HOW}") from error
    return Alignment(tuple(table.column(ListColumns.USER).to_pylist()), tuple(names))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and bool(HEX.fullmatch(value))

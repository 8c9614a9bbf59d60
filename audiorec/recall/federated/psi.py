"""Alignment by private set intersection: find common users without revealing the others.

    ids ──normalised, HMAC under a common salt──▶ buckets ──openmined-psi──▶ common ids
    common ids ──another HMAC──▶ tokens, sorted: an order nobody chose ──▶ `Alignment` of both

The partner learns which of its ids the other side has, then names them to it by tokens that can
only be matched by a party with the same ids. Elliptic-curve operations take 0.3 ms per id on each
side, so buckets run in several processes, and both parties compute concurrently.

Each side says how many ids it has, and is held to it: the other one counts the elements of every
bucket before it computes with them, so nobody tries more ids than it said.
"""

import hashlib
import hmac
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from audiorec.errors import InputError, MissingExtraError, PeerError, ProtocolError
from audiorec.recall.federated.alignment import Alignment, Normalised
from audiorec.recall.federated.link import Caller, Desk
from audiorec.recall.federated.protocol import (
    MAX_BUCKET_IDS,
    MAX_PAYLOAD,
    TOKEN_BYTES,
    Message,
    MessageKind,
)
from audiorec.runs.workers import Limits, Workers
from audiorec.types import StageProgress

BUCKET_IDS = 5_000  # mean number of the larger party's ids in a bucket
CPU_S = 0.00031  # CPU seconds of both parties per id of the larger one, for the plan
TIMEOUT_S = 1_800.0  # time limit of one bucket
HANDLER = "audiorec.recall.federated.psi:handler"
TOKENS_A_MESSAGE = MAX_PAYLOAD // TOKEN_BYTES // 2
Say = Callable[[str], None]
Admit = Callable[[int, int], str]
NO_ANSWER = {"bucket": -1, "setup": 0, "ids": 0}


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


def buckets_for(larger: int) -> int:
    """Return the number of buckets for `larger` ids, the count of the larger party."""
    return max(1, -(-larger // BUCKET_IDS))


def align_partner(
    callers: Sequence[Caller],
    ids: Normalised,
    *,
    jobs: int = 1,
    progress: StageProgress | None = None,
    say: Say | None = None,
    admit: Admit | None = None,
) -> Alignment:
    """Find the users common to all item sides, as the caller.

    Parameters
    ----------
    callers : sequence of Caller
        Callers with an open ``align`` session.
    ids : Normalised
    jobs : int
        Number of worker processes.
    progress : callable, optional
        Called with the stage, the buckets done and the total.
    say : callable, optional
        Called with one line of text: how many ids another party has, or tries.
    admit : callable, optional
        Called with the number of a peer and how many ids it tries; returns why it may not.

    Raises
    ------
    PeerError
        If an item side is lost or violates the protocol.
    """
    _require()
    places: set[int] = set(range(len(ids)))
    with _pool(jobs) as submit:
        for number, caller in enumerate(callers):

            def one(theirs: int, number: int = number) -> str:
                return "" if admit is None else admit(number, theirs)

            found = _intersected(caller, ids, submit, jobs, progress, say, one)
            places &= set(found)
    tokens = {place: Salt.of(callers[0].nonces).token(ids.forms[place]) for place in places}
    order = sorted(tokens, key=tokens.__getitem__)
    names = [_name(caller, [ids.forms[place] for place in order]) for caller in callers]
    return Alignment(tuple(ids.originals[place] for place in order), tuple(names))


def align_music(
    desk: Desk,
    ids: Normalised,
    *,
    jobs: int = 1,
    progress: StageProgress | None = None,
    say: Say | None = None,
    admit: Admit | None = None,
) -> Alignment:
    """Find the users that the partner has as well, as the desk.

    Parameters and errors are those of `align_partner`; the ``hello`` must be answered before.
    """
    _require()
    salt = Salt.of(desk.nonces)
    theirs = int(desk.receive(MessageKind.COUNT)["ids"])
    _tell(say, theirs)
    reason = "" if admit is None else admit(0, theirs)
    if reason:
        desk.refuse(reason)
        raise PeerError(f"the partner was refused: {reason}")
    n_buckets = buckets_for(max(theirs, len(ids)))
    desk.reply(MessageKind.COUNTED, {"ids": len(ids), "buckets": n_buckets})
    buckets = [forms for _, forms in _in_buckets(ids, salt, n_buckets)]
    with _pool(jobs) as submit:
        _answer_buckets(desk, salt, buckets, _Tally(theirs, n_buckets), submit, jobs, progress)
    return _named(desk, ids, salt, theirs)


def _tell(say: Say | None, theirs: int) -> None:
    if say is not None:
        say(f"the other side tries {theirs:,} ids")


class _Tally:
    """Ids of the other party, bucket by bucket, against the number that it said it had."""

    def __init__(self, said: int, n_buckets: int) -> None:
        self._said, self._left, self._buckets = said, said, n_buckets

    def count(self, message: Message) -> None:
        """Count a bucket; raise ProtocolError if there are more ids than said, or fewer in all."""
        n, self._buckets = int(message["ids"]), self._buckets - 1
        self._left -= n
        if self._left < 0 or (self._left and not self._buckets):
            got = f"{self._said - self._left:,} up to this bucket"
            raise ProtocolError(str(message), f"{self._said:,} ids in all buckets, as said", got)


def _check_elements(what: str, expected: int, elements: Any) -> None:
    """Raise ProtocolError if a message of the library has another number of elements than said."""
    if len(elements) != expected:
        raise ProtocolError(what, f"{expected:,} ids, as said", f"{len(elements):,}")


def handler() -> Callable[[Any], Any]:
    """Return the function that workers apply to a bucket; loads the library once."""
    psi = _require()

    def work(item: tuple[str, bytes, list[str], bytes, bytes, int]) -> Any:
        task, key, elements, first, second, theirs = item
        if task == "request":
            client = psi.client.CreateWithNewKey(True)
            request = client.CreateRequest(elements).SerializeToString()
            return client.GetPrivateKeyBytes(), request
        if task == "answer":
            return _answered(psi, elements, first, theirs)
        client = psi.client.CreateFromKey(key, True)
        setup, response = psi.ServerSetup(), psi.Response()
        setup.ParseFromString(first)
        response.ParseFromString(second)
        _check_elements("answer", theirs, setup.raw.encrypted_elements)
        _check_elements("answer", len(elements), response.encrypted_elements)
        return sorted(client.GetIntersection(setup, response))

    return work


def _answered(psi: Any, elements: list[str], request: bytes, theirs: int) -> tuple[bytes, bytes]:
    server = psi.server.CreateWithNewKey(True)
    asked = psi.Request()
    asked.ParseFromString(request)
    _check_elements("bucket", theirs, asked.encrypted_elements)
    # The false positive rate matters for Bloom filters only; a raw container has none.
    setup = server.CreateSetupMessage(1e-9, len(elements), elements, psi.DataStructure.RAW)
    return setup.SerializeToString(), server.ProcessRequest(asked).SerializeToString()


def _intersected(
    caller: Caller,
    ids: Normalised,
    submit: Any,
    jobs: int,
    progress: StageProgress | None,
    say: Say | None,
    admit: Callable[[int], str],
) -> list[int]:
    """Return the indices of the ids that an item side has."""
    salt = Salt.of(caller.nonces)
    counted = caller.ask(MessageKind.COUNT, {"ids": len(ids)}, expect=MessageKind.COUNTED)
    _tell(say, int(counted["ids"]))
    reason = admit(int(counted["ids"]))
    if reason:
        raise PeerError(f"an item side may not go on: {reason}")
    n_buckets = int(counted["buckets"])
    if n_buckets != buckets_for(max(int(counted["ids"]), len(ids))):
        raise ProtocolError(str(counted), "buckets of about 5,000 ids", f"{n_buckets} buckets")
    buckets = _in_buckets(ids, salt, n_buckets)
    requests: deque[tuple[int, Future[Any]]] = deque()
    keys: dict[int, bytes] = {}
    tally = _Tally(int(counted["ids"]), n_buckets)
    found: list[Future[list[int]]] = []
    sent = answered = 0

    def next_question() -> tuple[dict[str, Any], bytes]:
        """Return the next encrypted bucket; bucket -1 once all have been sent."""
        nonlocal sent
        while sent + len(requests) < n_buckets and len(requests) <= jobs:
            number = sent + len(requests)
            elements = [salt.element(form) for form in buckets[number][1]]
            requests.append((number, submit("request", b"", elements)))
        if not requests:
            return {"bucket": -1, "ids": 0}, b""
        number, made = requests.popleft()
        keys[number], request = made.result()
        sent += 1
        return {"bucket": number, "ids": len(buckets[number][1])}, request

    while answered < n_buckets:
        answer = caller.ask(MessageKind.BUCKET, *next_question(), expect=MessageKind.ANSWER)
        if answer["bucket"] == -1:
            continue
        if answer["bucket"] != answered or answered not in keys:
            raise ProtocolError(str(answer), f"bucket {answered}", str(answer["bucket"]))
        tally.count(answer)
        found.append(
            submit("compare", keys.pop(answered), buckets[answered][1], answer, int(answer["ids"]))
        )
        answered += 1
        if progress is not None:
            progress("buckets", answered, n_buckets)
    places = []
    for (own, _), future in zip(buckets, found, strict=True):
        inside = future.result()
        if inside and not 0 <= inside[0] <= inside[-1] < len(own):
            raise PeerError("the other party's answer contains users that were not requested")
        places += [own[i] for i in inside]
    return places


def _answer_buckets(
    desk: Desk,
    salt: Salt,
    buckets: list[list[str]],
    tally: _Tally,
    submit: Any,
    jobs: int,
    progress: StageProgress | None,
) -> None:
    """Answer all buckets; up to `jobs` are computed while further questions arrive."""
    under_way: deque[tuple[int, Future[tuple[bytes, bytes]]]] = deque()
    asked = answered = 0
    while answered < len(buckets):
        question = desk.receive(MessageKind.BUCKET)
        number = int(question["bucket"])
        if number != (asked if asked < len(buckets) else -1):
            expected = asked if asked < len(buckets) else -1
            desk.refuse(f"expected bucket {expected}")
            raise ProtocolError(str(question), f"bucket {expected}", str(number))
        if number >= 0:
            try:
                tally.count(question)
            except ProtocolError as error:
                desk.refuse(str(error))
                raise
            elements = [salt.element(form) for form in buckets[number]]
            under_way.append((number, submit("answer", b"", elements, question, question["ids"])))
            asked += 1
        if number >= 0 and len(under_way) <= jobs:
            desk.reply(MessageKind.ANSWER, NO_ANSWER)
            continue
        number, done = under_way.popleft()
        setup, response = _result(done, desk, question)
        fields = {"bucket": number, "setup": len(setup), "ids": len(buckets[number])}
        desk.reply(MessageKind.ANSWER, fields, setup + response)
        answered += 1
        if progress is not None:
            progress("buckets", answered, len(buckets))


def _result(
    done: "Future[tuple[bytes, bytes]]", desk: Desk, question: Message
) -> tuple[bytes, bytes]:
    try:
        return done.result()
    except ProtocolError as error:
        desk.refuse(str(error))
        raise
    except PeerError as error:
        desk.refuse("the request of a bucket is unreadable")
        raise ProtocolError(str(question), "requests of openmined-psi", str(error)) from error


def _name(caller: Caller, forms: list[str]) -> str:
    """Send an item side the tokens of the common users; return the alignment's id."""
    salt = Salt.of(caller.nonces)
    tokens = b"".join(map(salt.token, forms))
    expected = hashlib.sha256(tokens).hexdigest()
    answer = None
    for first in range(0, max(1, len(forms)), TOKENS_A_MESSAGE):
        part = tokens[first * TOKEN_BYTES : (first + TOKENS_A_MESSAGE) * TOKEN_BYTES]
        fields = {"first": first, "total": len(forms)}
        answer = caller.ask(MessageKind.COMMON, fields, part, expect=MessageKind.AGREED)
    assert answer is not None  # noqa: S101 - at least one part is sent
    if answer["alignment"] != expected:
        raise ProtocolError(str(answer), f"alignment {expected[:16]}…", answer["alignment"][:16])
    return expected


def _named(desk: Desk, ids: Normalised, salt: Salt, theirs: int) -> Alignment:
    """Return the alignment of the users whose tokens the partner sends, at most all of its own."""
    place = {salt.token(form): i for i, form in enumerate(ids.forms)}
    found: list[int] = []
    name = hashlib.sha256()
    while True:
        message = desk.receive(MessageKind.COMMON, expect={"first": len(found)})
        if message["total"] > theirs:
            reason = f"{message['total']:,} common users of {theirs:,} ids"
            desk.refuse(reason)
            raise ProtocolError(str(message), f"at most {theirs:,} users", reason)
        tokens = [row.tobytes() for row in message.tokens()]
        places = [place.pop(token, -1) for token in tokens]
        if -1 in places:
            reason = "a token is unknown to this side or repeated"
            desk.refuse(reason)
            raise ProtocolError(str(message), "tokens of our users, each once", "another")
        found += places
        name.update(message.payload)
        is_last = len(found) == message["total"]
        if not is_last and not places:
            desk.refuse("a part without users")
            raise ProtocolError(str(message), "at least one user", "none")
        desk.reply(MessageKind.AGREED, {"alignment": name.hexdigest() if is_last else ""})
        if is_last:
            return Alignment(tuple(ids.originals[i] for i in found), (name.hexdigest(),))


def _in_buckets(ids: Normalised, salt: Salt, n_buckets: int) -> list[tuple[list[int], list[str]]]:
    """Return the indices and the forms of the ids in each bucket."""
    buckets: list[tuple[list[int], list[str]]] = [([], []) for _ in range(n_buckets)]
    for place, form in enumerate(ids.forms):
        places, forms = buckets[salt.bucket(form, n_buckets)]
        places.append(place)
        forms.append(form)
    largest = max(len(places) for places, _ in buckets)
    if largest > MAX_BUCKET_IDS:
        raise InputError(f"a bucket has {largest:,} ids; the protocol allows {MAX_BUCKET_IDS:,}")
    return buckets


@contextmanager
def _pool(jobs: int) -> Iterator[Callable[..., "Future[Any]"]]:
    """Yield a function that submits a bucket to a pool of worker processes."""
    limits = Limits(timeout_s=TIMEOUT_S)
    with Workers(HANDLER, jobs=jobs, limits=limits) as workers, ThreadPoolExecutor(jobs) as threads:

        def ask(item: Any) -> Any:
            answer = workers.ask(item)
            if answer.error is not None:
                raise answer.error
            if answer.failure is not None:
                raise PeerError(f"a bucket cannot be intersected: {answer.message}")
            return answer.value

        def submit(
            task: str,
            key: bytes,
            elements: list[str],
            message: Message | None = None,
            theirs: int = 0,
        ) -> "Future[Any]":
            payload = b"" if message is None else message.payload
            cut = len(payload) if message is None else message.fields.get("setup", len(payload))
            first, second = payload[:cut], payload[cut:]
            future: Future[Any] = Future()
            if _is_trivial(task, elements, first):
                future.set_result(_TRIVIAL[task])
                return future
            return threads.submit(ask, (task, key, elements, first, second, theirs))

        try:
            yield submit
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


_TRIVIAL: dict[str, Any] = {"request": (b"", b""), "answer": (b"", b""), "compare": []}


def _is_trivial(task: str, elements: list[str], first: bytes) -> bool:
    """Whether one side of a bucket is empty, so the intersection is empty without computing."""
    if task == "request":
        return not elements
    if task == "answer":
        return not elements or not first
    return not first


def _require() -> Any:
    try:
        import private_set_intersection.python as psi
    except ImportError as error:
        raise MissingExtraError("alignment", "federated", str(error)) from error
    return psi

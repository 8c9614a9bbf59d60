"""The desk refuses what has no place in the session; nothing of that reaches the training."""

import threading

import pytest
from direct_transport import Direct, Served

from audiorec.errors import LostPeerError, ProtocolError, RefusedError
from audiorec_federated.link import NOTED, Caller, OutOfTurnError, PartyRun
from audiorec_federated.protocol import Message, MessageKind, decode, encode

FIELDS = {"ids": 1, "commitment": "0" * 64}


class Counting:
    """A host that notes every count."""

    is_done = False

    def __init__(self):
        self.got = []

    def greet(self, hello, _nonces):
        self.got.append(f"hello {hello['purpose']}")

    def answer(self, message):
        if message.kind != MessageKind.COUNT:
            raise OutOfTurnError("expected count now")
        self.got.append(str(message))
        return NOTED


class Echo(Served):
    def __init__(self, **how):
        self.stop = threading.Event()
        super().__init__(Counting(), PartyRun(**{"wait_s": 5, "stop": self.stop, **how}))

    @property
    def got(self):
        return self.host.got


@pytest.fixture
def echo():
    made = Echo()
    yield made
    made.stop.set()
    made.thread.join(5)


@pytest.fixture
def caller(echo):
    found = Caller(Direct(echo.desk))
    found.hello("train")
    return found


def answer(echo, data):
    """Send bytes as an attacker would; return the reason of the refusal."""
    found = decode(echo.desk.answer(data, 2.0))
    assert found.kind == MessageKind.REFUSED
    return found["reason"]


def count(caller, number, session=None):
    about = {"session": session or caller.session, "number": number, "fields": FIELDS}
    return encode(Message(kind=MessageKind.COUNT, **about))


def ask(caller, expect=MessageKind.NOTED):
    return caller.ask(MessageKind.COUNT, FIELDS, expect=expect)


def test_a_replayed_message_is_refused_and_not_seen(echo, caller):
    ask(caller)
    assert "number 1 is a replay; expected 2" in answer(echo, count(caller, 1))
    assert echo.got[1:] == ["count 1"]
    ask(caller)  # the session goes on
    assert echo.got[1:] == ["count 1", "count 2"]


def test_a_message_from_ahead_is_refused(echo, caller):
    assert "number 7 is too high; expected 1" in answer(echo, count(caller, 7))
    assert echo.got == ["hello train"]


def test_a_message_of_another_session_is_refused(echo, caller):
    before = caller.session
    caller.hello("train")
    assert caller.session != before
    assert "has closed this session" in answer(echo, count(caller, 1, before))
    assert echo.got == ["hello train", "hello train"]


def test_a_forged_message_without_a_session_is_refused():
    echo = Echo()
    forged = Message(kind=MessageKind.COUNT, session="00" * 16, number=1, fields=FIELDS)
    assert "send hello first" in answer(echo, encode(forged))
    echo.stop.set()


def test_bytes_that_are_no_message_are_refused(echo, caller):
    assert "expected at least 20 bytes" in answer(echo, b"GET / HTTP/1.1")
    ask(caller)


def test_a_kind_out_of_turn_is_refused(echo, caller):
    with pytest.raises(RefusedError, match="finish 1: expected count now"):
        caller.ask(MessageKind.FINISH, {"space": "0" * 16})
    assert echo.got == ["hello train"]


def test_the_two_ends_must_see_the_same_certificates(echo):
    other = ("0" * 64, "2" * 64)
    caller = Caller(Direct(echo.desk, certificates=other))
    with pytest.raises(ProtocolError, match="the session of these two certificates"):
        caller.hello("train")


def test_an_answer_that_does_not_fit_ends_the_session(echo, caller):
    ask(caller)
    kept = []

    def changed(message):
        class Changing(Direct):
            def ask(self, data, timeout_s):
                kept.append(super().ask(data, timeout_s))
                return message(kept[-1])

        return Changing(echo.desk)

    caller.transport = changed(
        lambda _: encode(Message(kind=MessageKind.NOTED, session="ff" * 16, number=2))
    )
    with pytest.raises(ProtocolError, match="noted 2: expected session"):
        ask(caller)
    caller.transport = changed(lambda _: kept[0])  # an old answer again
    with pytest.raises(ProtocolError, match="noted 2: expected number 3, got 2"):
        ask(caller)
    caller.transport = Direct(echo.desk)
    with pytest.raises(ProtocolError, match="noted 4: expected agreed after count 4, got noted"):
        ask(caller, MessageKind.AGREED)


def test_a_caller_that_is_silent_is_lost():
    echo = Echo(wait_s=0.2)
    Caller(Direct(echo.desk)).hello("train")
    with pytest.raises(LostPeerError, match=r"the other party has sent nothing for 0\.2 s"):
        echo.join()


def test_a_host_that_fails_says_nothing_of_why(echo, caller):
    def fail(_message):
        raise OSError("/home/somebody/plays.csv: disk full")

    echo.host.answer = fail
    with pytest.raises(LostPeerError, match="was stopped, or has finished"):
        ask(caller)
    with pytest.raises(OSError, match="disk full"):
        echo.join()


def test_a_desk_that_ended_says_so(echo, caller):
    echo.desk.close()
    with pytest.raises(LostPeerError, match="was stopped, or has finished"):
        ask(caller)
    with pytest.raises(LostPeerError, match="was stopped, or has finished"):
        caller.hello("train")


def test_one_question_at_a_time(echo, caller):
    """A second one waits for the first, and is then refused by its number."""
    answers = []
    asking = [
        threading.Thread(
            target=lambda: answers.append(decode(echo.desk.answer(count(caller, 1), 3)))
        )
        for _ in range(2)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert sorted(found.kind for found in answers) == [MessageKind.REFUSED, MessageKind.NOTED]

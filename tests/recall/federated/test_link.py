"""The desk refuses what has no place in the session; nothing of that reaches the training."""

import threading

import pytest
from direct_transport import Direct

from audiorec.errors import LostPeerError, ProtocolError, RefusedError
from audiorec.recall.federated.link import Caller, Desk
from audiorec.recall.federated.protocol import Message, MessageKind, decode, encode


class Echo:
    """A desk that notes every pause, in a thread, until it is lost."""

    def __init__(self, timeout_s=5.0):
        self.stop = threading.Event()
        self.desk = Desk(timeout_s=timeout_s, stop=self.stop)
        self.got = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stop.is_set():
            try:
                self.desk.welcome(self.desk.accept(5))
                while True:
                    self.got.append(str(self.desk.receive(MessageKind.PAUSE, MessageKind.COUNT)))
                    self.desk.reply(MessageKind.NOTED)
            except LostPeerError as error:
                self.got.append(str(error))


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


def pause(caller, number, session=None):
    return encode(Message(kind=MessageKind.PAUSE, session=session or caller.session, number=number))


def test_a_replayed_message_is_refused_and_not_seen(echo, caller):
    caller.ask(MessageKind.PAUSE, expect=MessageKind.NOTED)
    assert "number 1 is a replay; expected 2" in answer(echo, pause(caller, 1))
    assert echo.got == ["pause 1"]
    caller.ask(MessageKind.PAUSE, expect=MessageKind.NOTED)  # the session goes on
    assert echo.got == ["pause 1", "pause 2"]


def test_a_message_from_ahead_is_refused(echo, caller):
    assert "number 7 is too high; expected 1" in answer(echo, pause(caller, 7))
    assert echo.got == []


def test_a_message_of_another_session_is_refused(echo, caller):
    before = caller.session
    caller.hello("train")
    assert caller.session != before
    assert "has closed this session" in answer(echo, pause(caller, 1, before))
    assert echo.got == ["the other party has started a new session"]


def test_a_forged_message_without_a_session_is_refused():
    echo = Echo()
    forged = Message(kind=MessageKind.PAUSE, session="00" * 16, number=1)
    assert "send hello first" in answer(echo, encode(forged))
    echo.stop.set()


def test_bytes_that_are_no_message_are_refused(echo, caller):
    assert "expected at least 20 bytes" in answer(echo, b"GET / HTTP/1.1")
    caller.ask(MessageKind.PAUSE, expect=MessageKind.NOTED)


def test_a_kind_out_of_turn_is_refused(echo, caller):
    with pytest.raises(RefusedError, match="finish 1: expected pause or count now"):
        caller.ask(MessageKind.FINISH, {"space": "0" * 16}, expect=MessageKind.FINISHED)
    assert echo.got == []


def test_the_two_ends_must_see_the_same_certificates(echo):
    other = ("0" * 64, "2" * 64)
    caller = Caller(Direct(echo.desk, certificates=other))
    with pytest.raises(ProtocolError, match="the session of these two certificates"):
        caller.hello("train")


def test_an_answer_that_does_not_fit_ends_the_session(echo, caller):
    caller.ask(MessageKind.PAUSE, expect=MessageKind.NOTED)
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
        caller.ask(MessageKind.PAUSE, expect=MessageKind.NOTED)
    caller.transport = changed(lambda _: kept[0])  # an old answer again
    with pytest.raises(ProtocolError, match="noted 2: expected number 3, got 2"):
        caller.ask(MessageKind.PAUSE, expect=MessageKind.NOTED)
    caller.transport = Direct(echo.desk)
    with pytest.raises(ProtocolError, match="noted 4: expected agreed after pause 4, got noted"):
        caller.ask(MessageKind.PAUSE, expect=MessageKind.AGREED)


def test_a_caller_that_is_silent_is_lost():
    echo = Echo(timeout_s=0.2)
    Caller(Direct(echo.desk)).hello("train")
    echo.thread.join(0.5)
    echo.stop.set()
    assert echo.got[0] == "the other party has sent nothing for 0.2 s"


def test_a_desk_that_ended_says_so(echo, caller):
    echo.desk.close()
    with pytest.raises(LostPeerError, match="was stopped, or has finished"):
        caller.ask(MessageKind.PAUSE, expect=MessageKind.NOTED)
    with pytest.raises(LostPeerError, match="was stopped, or has finished"):
        caller.hello("train")


def test_one_question_at_a_time():
    """A second one waits for the first, and is then refused by its number."""
    desk = Desk(timeout_s=5)
    caller = Caller(Direct(desk))
    hello = threading.Thread(target=lambda: desk.welcome(desk.accept(5)))
    hello.start()
    caller.hello("train")
    hello.join()
    answers = []
    asking = [
        threading.Thread(target=lambda: answers.append(decode(desk.answer(pause(caller, 1), 3))))
        for _ in range(2)
    ]
    for thread in asking:
        thread.start()
    desk.receive(MessageKind.PAUSE)
    desk.reply(MessageKind.NOTED)
    for thread in asking:
        thread.join()
    assert sorted(found.kind for found in answers) == [MessageKind.REFUSED, MessageKind.NOTED]

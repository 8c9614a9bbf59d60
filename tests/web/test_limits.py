"""`web.limits`, `web.connections`: addresses take turns, and none takes all."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from needs import needs
from served_library import finished

from audiorec.runs.timing import OverdueError, check_deadline, ending_in, punctual

needs("starlette")

from audiorec.web.limits import Guesses, Pool, RefusedRequest, RequestLimits, address_of
from audiorec.web.listener import Crowd


def run(coroutine):
    return finished(coroutine)


def test_an_address_leaves_a_thread_and_room_in_the_queue_to_others():
    free = threading.Event()

    async def ask():
        pool = Pool(RequestLimits(at_once=2, waiting=6, seconds=60))
        busy = [asyncio.create_task(pool.run(free.wait, "a")) for _ in range(6)]
        await asyncio.sleep(0.05)
        with pytest.raises(RefusedRequest, match="too busy"):
            await pool.run(free.wait, "a")
        other = await pool.run(lambda: "answered", "b")
        free.set()
        return other, await asyncio.gather(*busy), pool.taken

    assert run(ask()) == ("answered", [True] * 6, 0)


def test_addresses_take_turns():
    order, free = [], threading.Event()

    async def ask():
        pool = Pool(RequestLimits(at_once=1, waiting=20, seconds=60))
        first = asyncio.create_task(pool.run(free.wait, "a"))
        await asyncio.sleep(0.05)
        rest = [(who, n) for who in "ab" for n in range(3)]
        tasks = [
            asyncio.create_task(pool.run(lambda w=one: order.append(w), one[0])) for one in rest
        ]
        await asyncio.sleep(0.05)
        free.set()
        await asyncio.gather(first, *tasks)

    run(ask())
    assert order == [("b", 0), ("a", 0), ("b", 1), ("a", 1), ("b", 2), ("a", 2)]


def test_work_ends_at_its_deadline_and_gives_its_thread_back():
    def work():
        while True:
            check_deadline()

    async def ask():
        pool = Pool(RequestLimits(at_once=1, waiting=1, seconds=0.1))
        with pytest.raises(RefusedRequest, match="timed out"):
            await pool.run(work, "a")
        pool._seconds = 60.0
        return await pool.run(lambda: "free again", "a")

    assert run(ask()) == "free again"


def test_an_error_of_the_work_is_that_of_the_request():
    def work():
        raise TimeoutError("of the work itself")

    async def ask():
        await Pool(RequestLimits()).run(work, "a")

    with pytest.raises(TimeoutError, match="of the work itself"):
        run(ask())


def test_deadlines_nest_and_end():
    with ending_in(60):
        with ending_in(-1), pytest.raises(OverdueError):
            list(punctual(range(3)))
        assert list(punctual(range(600))) == list(range(600))
    check_deadline()


def test_guesses_are_counted_by_address():
    guesses = Guesses(0.001)
    for _ in range(10):
        guesses.check("a")
        guesses.count("a")
    with pytest.raises(RefusedRequest) as caught:
        guesses.check("a")
    assert caught.value.status == 429
    guesses.check("b")
    for _ in range(100):  # who only shows the right one is never refused
        guesses.check("b")


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_an_address_is_what_a_client_cannot_change(host, address):
    assert address_of((host, 1)) == address


class Connections:
    """A crowd of four, and connections that are made up."""

    def __init__(self):
        self.closed = []
        self.crowd = Crowd(4, self.closed.append)

    def new(self, address, *, is_idle=True):
        one = SimpleNamespace(address=address, is_idle=is_idle, aborted=False)
        one.transport = SimpleNamespace(abort=lambda: setattr(one, "aborted", True))
        one = Hashable(one)
        self.crowd.admit(one)
        return one


class Hashable:
    def __init__(self, one):
        self.__dict__ = one.__dict__


def test_an_address_closes_its_own_oldest_idle_connection():
    made = Connections()
    a, b = made.new("a"), made.new("a")
    other = made.new("b")
    made.crowd.used(a)
    made.new("a")
    assert (a.aborted, b.aborted, other.aborted) == (False, True, False)
    assert made.closed == ["a"]


def test_where_all_are_busy_the_new_one_is_closed():
    made = Connections()
    busy = [made.new("a", is_idle=False) for _ in range(2)]
    new = made.new("a")
    assert new.aborted
    assert not any(one.aborted for one in busy)


def test_many_addresses_make_room_for_one_more():
    made = Connections()
    many = [made.new("a"), made.new("a"), made.new("b"), made.new("c")]
    last = made.new("d")
    assert [one.aborted for one in many] == [True, False, False, False]
    assert not last.aborted
    for one in (*many[1:], last):
        made.crowd.forget(one)
    assert made.crowd._all == {}

"""All APIs behind one port: who is let in, how much may be asked, and what is written down."""

import asyncio
import json
import sys
import threading

import pytest
from made_package import install
from needs import needs
from served_library import BEARER, TOKEN, finished, server_id

from audiorec.errors import InputError
from audiorec.web.apis.messages import ApiReply
from audiorec.web.apis.routes import APIS, ApiServer, Route, all_routes, audiomuse_routes
from audiorec.web.editions import Editions
from audiorec.web.gate import Gate
from audiorec.web.limits import RateLimiter, RequestLimits

httpx = needs("httpx")
OPEN = RequestLimits(rate=0, guesses=0)


class Asking:
    """APIs of one snapshot, asked in this process."""

    def __init__(self, snapshot, *, token=TOKEN, limits=OPEN, routes=None, page=None):
        self.lines = []
        self.apis = ApiServer(
            Editions([], lambda: snapshot),
            token,
            gate=Gate(limits, write=self.lines.append),
            routes=routes,
            page=page,
        ).application

    def __call__(self, method, path, **more):
        return finished(self.ask(method, path, **more))

    async def ask(self, method, path, *, client="127.0.0.1", **more):
        transport = httpx.ASGITransport(self.apis, client=(client, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **more)


@pytest.fixture
def ask(snapshot):
    return Asking(snapshot)


PRIVATE = [
    ("GET", f"/api/similar_tracks?item_id={server_id(0)}"),
    ("GET", f"/v1/similar?id={server_id(0)}"),
    ("GET", "/metrics"),
]


@pytest.mark.parametrize(("method", "path"), PRIVATE)
def test_a_token_is_asked_for(ask, method, path):
    assert ask(method, path, headers=BEARER).status_code == 200
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {TOKEN}"}):
        refused = ask(method, path, headers=headers)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/healthz", "/v1/openapi.json"])
def test_what_holds_nothing_of_the_user_is_open(ask, path):
    assert ask("GET", path).status_code == 200


def test_openapi_is_what_the_module_says(ask):
    from audiorec.web.apis.own import document

    assert ask("GET", "/v1/openapi.json").json() == document()


def test_subsonic_lets_in_by_its_own_ways_and_tells_its_extensions_to_all(ask):
    assert ask("GET", "/rest/getOpenSubsonicExtensions").status_code == 200
    refused = ask("GET", "/rest/ping?f=json&u=me&p=wrong").json()["subsonic-response"]
    assert refused["error"]["code"] == 40
    good = ask("POST", "/rest/ping.view", data={"u": "me", "p": TOKEN, "f": "json"})
    assert good.json()["subsonic-response"]["status"] == "ok"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/similar", "GET, POST, HEAD"),
        ("POST", "/api/similar_tracks", "GET, HEAD"),
        ("GET", "/api/clap/search", "POST"),
        ("PUT", "/rest/ping", "GET, POST, HEAD"),
    ],
)
def test_other_methods_are_refused(ask, method, path, allowed):
    refused = ask(method, path, headers=BEARER)
    assert (refused.status_code, refused.headers["allow"]) == (405, allowed)


def test_head_is_answered_without_a_body(ask):
    got = ask("GET", "/healthz")
    head = ask("HEAD", "/healthz")
    assert (head.content, head.headers["content-length"]) == (b"", got.headers["content-length"])


@pytest.mark.parametrize("path", ["/", "/v1/nothing", "/api/nothing", "/restless"])
def test_nothing_else_is_there_without_the_page(ask, path):
    assert ask("GET", path, headers=BEARER).status_code == 404


def test_a_wrong_address_of_the_own_api_hears_where_all_are_listed(ask):
    assert "/v1/openapi.json" in ask("GET", "/v1/songs", headers=BEARER).json()["error"]
    assert ask("GET", "/api/nothing", headers=BEARER).json() == {"error": "not found"}


def test_every_answer_names_its_edition_and_is_not_kept(ask):
    found = ask("GET", f"/v1/similar?id={server_id(0)}", headers=BEARER)
    assert found.headers["audiorec-edition"] == "1"
    assert found.headers["cache-control"] == "no-store"
    assert found.headers["x-content-type-options"] == "nosniff"


def test_a_body_that_is_too_large_is_refused_stated_or_not(snapshot):
    ask = Asking(snapshot, limits=RequestLimits(rate=0, body=2000))
    big = {"headers": BEARER, "content": b"x" * 2001}
    assert ask("POST", "/api/clap/search", **big).status_code == 413

    async def pieces():
        for _ in range(30):
            yield b"y" * 100

    assert ask("POST", "/api/clap/search", headers=BEARER, content=pieces()).status_code == 413
    both = {**BEARER, "Content-Length": "2", "Transfer-Encoding": "chunked"}
    assert ask("POST", "/api/clap/search", headers=both, content=b"{}").status_code == 413


def test_a_body_that_does_not_come_is_waited_for_no_longer(snapshot):
    ask = Asking(snapshot, limits=RequestLimits(rate=0, seconds=0.1))

    async def never():
        yield b"{"
        await asyncio.sleep(5)
        yield b"}"

    assert ask("POST", "/api/clap/search", headers=BEARER, content=never()).status_code == 408


def test_one_address_may_not_ask_too_often(snapshot):
    ask = Asking(snapshot, limits=RequestLimits(rate=0.01, burst=3))
    codes = [ask("GET", "/healthz").status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]
    assert int(ask("GET", "/healthz").headers["retry-after"]) >= 1


def test_tokens_cannot_be_guessed_quickly(snapshot):
    ask = Asking(snapshot, limits=RequestLimits(rate=0, guesses=0.01))
    wrong = {"Authorization": "Bearer wrong"}
    codes = [ask("GET", "/metrics", headers=wrong).status_code for _ in range(12)]
    assert codes == [401] * 10 + [429] * 2
    right = f"/rest/ping?u=me&p={TOKEN}&f=json"
    asked = [ask("GET", path).status_code for path in ("/rest/ping?u=me&p=wrong&f=json", right)]
    assert asked == [429, 429]
    # Not even the right one is looked at, or each guess would be answered.
    assert ask("GET", "/metrics", headers=BEARER).status_code == 429
    assert ask("GET", "/healthz").status_code == 200
    assert ask("GET", "/metrics", headers=BEARER, client="127.0.0.2").status_code == 200


def test_no_token_is_no_guess(snapshot):
    ask = Asking(snapshot, limits=RequestLimits(rate=0, guesses=0.01))
    assert {ask("GET", "/metrics").status_code for _ in range(20)} == {401}
    assert ask("GET", "/metrics", headers=BEARER).status_code == 200


def test_buckets_fill_up_again():
    now = [0.0]
    buckets = RateLimiter(2.0, 3, clock=lambda: now[0])
    assert [buckets.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait("b") == 0  # another address
    now[0] = 0.5
    assert buckets.wait("a") == 0
    now[0] = 1000.0
    assert [buckets.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]  # never more than it holds


class Slow:
    """A question that lasts until it is let go."""

    def __init__(self):
        self.let_go = threading.Event()
        self.asked = 0

    def __call__(self, _, __):
        self.asked += 1
        self.let_go.wait(10)
        return ApiReply.json({})


def test_a_question_that_takes_too_long_is_given_up_and_others_are_refused_meanwhile(snapshot):
    slow = Slow()
    limits = RequestLimits(rate=0, seconds=0.2, at_once=1, waiting=1)
    ask = Asking(snapshot, limits=limits, routes={"/slow": Route("test", {"GET": slow})})

    async def at_once():
        return await asyncio.gather(*(ask.ask("GET", "/slow", headers=BEARER) for _ in range(4)))

    try:
        found = finished(at_once())
        said = sorted(reply.json()["error"] for reply in found)
        assert {reply.status_code for reply in found} == {503}
        assert said == ["the request timed out"] * 2 + ["too busy"] * 2
        assert slow.asked == 1  # who waited was not begun
    finally:
        slow.let_go.set()


def test_a_bug_is_one_answer_and_a_line_of_the_log(snapshot, caplog):
    def broken(snapshot, asked):
        raise ZeroDivisionError

    ask = Asking(snapshot, routes={"/broken": Route("test", {"GET": broken})})
    found = ask("GET", "/broken", headers=BEARER)
    assert found.status_code == 500
    assert "ZeroDivisionError" not in found.text
    assert "ZeroDivisionError" in caplog.text
    assert ask("GET", "/broken", headers=BEARER).status_code == 500


def test_the_log_has_a_line_a_request_and_no_secret(ask):
    ask("GET", f"/v1/similar?id={server_id(0)}", headers=BEARER)
    ask("GET", f"/rest/ping?apiKey={TOKEN}&f=json")
    ask("POST", "/rest/ping", data={"u": "someone", "p": TOKEN})
    ask("GET", "/metrics")
    ask("GET", "/nothing/%1b%5b31mred", headers=BEARER)
    lines = [json.loads(line) for line in ask.lines]
    assert [line["status"] for line in lines] == [200, 200, 200, 401, 404]
    assert [line["api"] for line in lines] == [
        *("audiorec", "opensubsonic", "opensubsonic", "metrics", "page"),
    ]
    assert set(lines[0]) == {
        *("schema", "time", "client", "api", "method", "path", "status", "bytes", "ms", "edition")
    }
    assert lines[3]["refused"] == "token"
    text = "".join(ask.lines)
    assert TOKEN not in text
    assert "someone" not in text
    assert server_id(0) not in text
    assert "\x1b" not in text


def test_metrics_are_what_prometheus_reads(ask):
    for _ in range(3):
        ask("GET", f"/v1/similar?id={server_id(0)}", headers=BEARER)
    ask("GET", "/v1/similar")
    text = ask("GET", "/metrics", headers=BEARER).text
    parser = needs("prometheus_client.parser")
    found = {m.name: m for m in parser.text_string_to_metric_families(text)}
    counts = {tuple(s.labels.values()): s.value for s in found["audiorec_serve_requests"].samples}
    assert counts["audiorec", "200"] == 3
    assert counts["audiorec", "401"] == 1
    histogram = found["audiorec_serve_request_seconds"]
    assert histogram.type == "histogram"
    buckets = [s.value for s in histogram.samples if s.name.endswith("bucket")]
    assert max(buckets) == 4
    assert found["audiorec_serve_songs"].samples[0].value == 8
    assert found["audiorec_serve_resident_memory_bytes"].samples[0].value > 1e7


def test_without_a_token_this_machine_is_answered_and_no_page_of_another_site(snapshot):
    ask = Asking(snapshot, token="", routes=audiomuse_routes())
    path = f"/api/similar_tracks?item_id={server_id(0)}"
    assert ask("GET", path).status_code == 200
    for headers in ({"Origin": "http://evil.example"}, {"Host": "rebound.example:12000"}):
        assert ask("GET", path, headers=headers).status_code == 403
    assert ask("GET", "/v1/store").status_code == 404


def test_all_other_addresses_go_to_the_page(snapshot):
    async def page(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    ask = Asking(snapshot, page=page)
    assert ask("GET", "/api/library").text == "/api/library"
    assert ask("GET", "/").text == "/"
    assert ask("POST", "/api/similar_tracks").status_code == 405
    assert ask("GET", "/v1/nothing").status_code == 404


def test_each_api_has_an_address():
    apis = {route.api for route in all_routes().values() if not route.api.startswith("+")}
    assert apis == {
        *("audiomuse", "opensubsonic", "audiorec", "document", "metrics", "health"),
    }


OTHERS = """
from audiorec.web.apis.messages import ApiReply
from audiorec.web.apis.routes import Route

def routes():
    told = lambda snapshot, request: ApiReply.json({{"songs": len(snapshot.library)}})
    return {{{path!r}: Route({api!r}, {{"GET": told}})}}
"""


def test_an_api_of_another_package_is_served_behind_the_token(snapshot, tmp_path, monkeypatch):
    """Whatever it calls itself: a name of ours would open it to all."""
    code = OTHERS.format(path="/winamp/count", api="health")
    install(tmp_path, "winamp_b", code, APIS.group, {"winamp": "winamp_b:routes"})
    monkeypatch.syspath_prepend(str(tmp_path))
    ask = Asking(snapshot, routes=all_routes())
    assert ask("GET", "/winamp/count").status_code == 401
    counted = ask("GET", "/winamp/count", headers=BEARER)
    assert counted.json() == {"songs": len(snapshot.library)}
    assert json.loads(ask.lines[-1])["api"] == "+winamp"


@pytest.mark.parametrize("path", ["/healthz", "/v1/similar", "/api/similar_tracks"])
def test_an_api_of_another_package_takes_no_address_of_ours(path, tmp_path, monkeypatch):
    code = OTHERS.format(path=path, api="winamp")
    install(tmp_path, "winamp_c", code, APIS.group, {"winamp": "winamp_c:routes"})
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "winamp_c", raising=False)
    with pytest.raises(InputError, match=f"the API 'winamp' has {path}, as another one has"):
        all_routes()

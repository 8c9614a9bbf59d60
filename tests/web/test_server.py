"""`audiorec browse` as a process: its end, its port, and a page whose server has gone."""

import re
import socket

import pytest
from command import run_command
from made_library import series, song
from needs import needs
from web_server import browsing, choose, split_address, until, write_music

needs("starlette")


def test_it_ends_at_a_signal_and_leaves_nothing(tmp_path, monkeypatch):
    httpx = needs("httpx")
    store = write_music(tmp_path / "home")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    with browsing(store) as address:
        base, token = split_address(address)
        bearer = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=base, headers=bearer, timeout=30) as client:
            row = client.get("/api/texts").json()["id"].index("drum-loop.aiff")
            url = client.get(f"/api/song/{row}").json()["sound"]["url"]
            whole = client.get(url)
            assert whole.content[:4] == b"RIFF"
            assert client.get(url).content == whole.content  # kept, not made again
            assert len(list(scratch.rglob("*.wav"))) == 1
    assert list(scratch.iterdir()) == []
    assert sorted(p.name for p in store.parent.iterdir()) == [
        *("music", "scores.parquet", "vecs.map-pca.parquet", "vecs.parquet"),
    ]


def test_a_port_that_is_taken(tmp_path, monkeypatch, capsys):
    store = write_music(tmp_path / "home", songs=[], more=[song("a", series(0))])
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, out, err = run_command(
            monkeypatch, capsys, "browse", "--no-open", "-v", store, "--port", port
        )
    assert (code, out) == (2, "")
    assert err == f"error: cannot listen on 127.0.0.1, port {port}: address already in use\n"


def test_a_library_has_a_port_of_its_own_where_a_browser_knows_it_again(tmp_path):
    store = write_music(tmp_path / "home", songs=[], more=[song("a", series(0))])
    with browsing(store) as first, browsing(store) as meanwhile:
        assert split_address(first)[0] != split_address(meanwhile)[0]
    with browsing(store) as again:
        assert split_address(again)[0] == split_address(first)[0]
        assert split_address(again)[1] != split_address(first)[1]  # the token is a new one


def test_other_machines_are_let_in_only_when_told(tmp_path):
    httpx = needs("httpx")
    store = write_music(tmp_path / "home", songs=[], more=[song("a", series(0))])
    with browsing(store, "--host-name", "music.example.org") as address:
        base, _ = split_address(address)
        found = httpx.get(base, headers={"Host": "music.example.org"})
        assert found.status_code == 200
        origin = {"Host": "music.example.org", "Origin": "https://music.example.org"}
        assert httpx.get(base, headers=origin).status_code == 200
        assert httpx.get(base, headers={"Host": "other.example.org"}).status_code == 421


def test_a_page_whose_server_has_gone_says_so(open_page, tmp_path):
    store = write_music(tmp_path / "home")
    with browsing(store) as address:
        # What was asked last may still be answered with "the server is ending".
        page = open_page(address, allow=["ERR_CONNECTION_REFUSED", "503"])
    page.locator(".grid .space .row").first.click()
    told = page.wait_for_selector(".song .failure").inner_text()
    assert "does not respond" in told
    page.wait_for_timeout(300)


def test_a_song_that_may_not_be_played_says_how(open_page, tmp_path):
    away = song("away.mp3", series(0), uri="/elsewhere/away.mp3", title="Away")
    broken = song(
        "broken.mp3", series(1), uri=str(tmp_path / "home" / "music" / "b.mp3"), title="B"
    )
    store = write_music(tmp_path / "home", songs=[], more=[away, broken])
    (tmp_path / "home" / "music" / "b.mp3").write_bytes(b"no audio at all")
    with browsing(store) as address:
        page = open_page(address, allow=["400"])
        choose(page, "Away")
        page.wait_for_selector('.song .note >> text=audiorec browse --root "/elsewhere"')
        assert page.is_disabled(".song button.main")
        choose(page, "B")
        page.click(".song button.main")
        told = page.wait_for_selector(".player .failure").inner_text()
        assert re.search("not audio", told)


def test_a_map_that_takes_long_takes_the_place_of_the_first(open_page, tmp_path):
    needs("sklearn")
    store = write_music(tmp_path / "home")
    with browsing(store, "--projection", "tsne") as address:
        page = open_page(address)
        script = "import('/js/store.js').then(s => [...s.page.get().library.numbers.x])"
        first = page.evaluate(script)
        until(page, "import('/js/store.js').then(s => s.page.get().maps === 1)", timeout_s=40)
        found = page.evaluate(script)
    assert len(found) == len(first)
    assert found != first
    assert max(map(abs, found)) <= 1.2


@pytest.mark.parametrize("name", ["--root", "--recall"])
def test_folders_that_are_not_there(tmp_path, monkeypatch, capsys, name):
    store = write_music(tmp_path / "home", songs=[], more=[song("a", series(0))])
    code, out, err = run_command(
        monkeypatch, capsys, "browse", "--no-open", "-v", store, name, tmp_path / "gone"
    )
    assert (code, out) == (2, "")
    assert "gone" in err

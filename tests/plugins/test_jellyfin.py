"""The worked example of a player: its requests, against a server that plays Jellyfin's part.

No Jellyfin is run: the answers are those of its API description.
"""

import importlib.util
import json
import re
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from faulty_http import send, serving

from audiorec.errors import PlayerError
from audiorec.players.contract import Account, check_player

PLUGIN = Path(__file__).parents[2] / "plugins" / "audiorec-jellyfin" / "audiorec_jellyfin.py"
SECRET = "the secret"  # noqa: S105


@pytest.fixture(scope="module")
def kind():
    spec = importlib.util.spec_from_file_location("audiorec_jellyfin", PLUGIN)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module.Jellyfin
    del sys.modules[spec.name]


def song(n, **data):
    return {
        "Id": f"s{n}",
        "Name": f"Song {n}",
        "Artists": ["Ana"],
        "Album": "One",
        "Path": f"/media/music/ana/{n}.flac",
        "RunTimeTicks": 612_345_678,
        "ProviderIds": {"MusicBrainzRecording": "8F3471B5-7E6A-48DA-86A9-C1C07A0F47AE"},
        "UserData": {"PlayCount": n, "LastPlayedDate": "2026-11-01T20:00:00.0000000Z", **data},
    }


class Part:
    """What a Jellyfin with one user holds, and how it answers."""

    def __init__(self):
        self.songs = [song(n) for n in range(700)]  # two pages
        self.songs[1]["UserData"] |= {"IsFavorite": True}
        self.songs[2]["UserData"] |= {"Likes": False}
        self.lists = {"p1": ("Mine", ["s0"])}

    def __call__(self, handler, _):
        path = urlsplit(handler.path)
        key = path.path.rpartition("/")[2]
        content = self.received()
        if path.path == "/Users/AuthenticateByName":
            good = content == {"Username": "ana", "Pw": SECRET}
            answer = {"AccessToken": "tok", "User": {"Id": "u1"}}
            send(handler, 200 if good else 401, json.dumps(answer).encode())
            return
        assert 'Token="tok"' in handler.headers["Authorization"]
        if path.path == "/Users/u1/Items":
            query = {name: value[0] for name, value in parse_qs(path.query).items()}
            rows = (
                self.songs
                if query["IncludeItemTypes"] == "Audio"
                else [{"Id": k, "Name": name} for k, (name, _) in self.lists.items()]
            )
            first = int(query["StartIndex"])
            rows = rows[first : first + int(query["Limit"])]
            send(handler, 200, json.dumps({"Items": rows}).encode())
        elif match := re.fullmatch(r"/Playlists/(.+)/Items", path.path):
            self.items(handler, match[1])
        else:
            self.write(handler, path.path, key, content)

    def received(self):
        body = self.requests[-1][1]
        return json.loads(body) if body else None

    def items(self, handler, key):
        if key not in self.lists:
            send(handler, 404)
        else:
            items = [{"Id": one} for one in self.lists[key][1]]
            send(handler, 200, json.dumps({"Items": items}).encode())

    def write(self, handler, path, key, content):
        if path == "/Playlists":
            self.lists[f"p{len(self.lists) + 1}"] = (content["Name"], content["Ids"])
            send(handler, 200, b'{"Id": "p"}')
        elif handler.command == "DELETE":
            del self.lists[key]
            send(handler, 204, b"")
        else:
            if path != "/Sessions/Logout":
                self.lists[key] = (self.lists[key][0], content["Ids"])
            send(handler, 204, b"")


@pytest.fixture
def jellyfin():
    part = Part()
    with serving(part) as (url, requests):
        part.requests = requests
        yield part, url


def test_the_contract_holds(kind, jellyfin):
    part, url = jellyfin
    with kind(Account(url=url, user="ana", secret=SECRET)) as player:
        assert check_player(player) == ()
    assert part.lists == {"p1": ("Mine", ["s0"])}
    assert part.requests[-1][0] == "/Sessions/Logout"


def test_songs_are_read_with_what_the_user_did(kind, jellyfin):
    _, url = jellyfin
    with kind(Account(url=url, user="ana", secret=SECRET)) as player:
        found = {one.song.id: one for one in player.songs()}
    assert len(found) == 700
    liked = found["s1"]
    assert (liked.plays, liked.played_s, liked.verdict) == (1, 1793563200.0, "like")
    assert round(liked.song.duration_s, 3) == 61.235
    assert liked.song.mbid == "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"
    assert found["s2"].verdict == "dislike"


def test_a_wrong_password_and_another_server(kind, jellyfin):
    _, url = jellyfin
    player = kind(Account(url=url, user="ana", secret="wrong one"))  # noqa: S106
    with player, pytest.raises(PlayerError, match="does not accept the account") as caught:
        player.lists()
    assert "wrong one" not in str(caught.value)
    other = serving(lambda handler, _: send(handler, 200, b"[]"))
    with other as (there, _):
        player = kind(Account(url=there, user="ana", secret=SECRET))
        with player, pytest.raises(PlayerError, match="does not answer like a Jellyfin"):
            player.lists()

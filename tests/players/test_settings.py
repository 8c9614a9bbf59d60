"""Servers in settings: whose files count, where secrets are, and what a list may say."""

import os
import re
from pathlib import Path

import pytest
from command import run_command

from audiorec.errors import InputError, MissingFileError
from audiorec.players.settings import read_secret, read_servers, server_names
from audiorec.recall.serving.answers import RecommendQuestion
from audiorec.search.questions import FindQuestion, PlaylistQuestion

BASE = """
[players.home]
kind = "subsonic"
url = "http://localhost:1"
members = [{ user = "ana", secret = "env:ANA" }, { user = "ben", name = "b" }]
"""


@pytest.fixture
def read(tmp_path):
    """Read one server from settings with more behind the usual ones."""

    def call(more="", base=BASE):
        (tmp_path / "p.toml").write_text(base + more)
        return read_servers(["home"], tmp_path / "p.toml")[0]

    return call


def test_a_server_without_lists_has_two(read):
    home = read()
    assert (home.name, home.kind, home.url) == ("home", "subsonic", "http://localhost:1")
    assert [home.called(member) for member in home.members] == ["ana", "b"]
    assert [one.name for one in home.lists] == ["Tonight", "Radio"]
    assert [one.question.entry for one in home.lists] == ["daily", "radio"]


def test_a_server_without_members_is_one_household(read):
    home = read(base='[players.home]\nkind = "mpd"\nurl = "mpd://a"\n')
    assert [home.called(member) for member in home.members] == ["home"]


def test_the_first_key_is_a_command_and_the_others_its_options(read):
    home = read(
        """
[players.home.lists.A]
recommend = "discover"
k = 7
[players.home.lists.B]
find = "calm piano"
k = 9
only = "duration<10:00"
[players.home.lists.C]
playlist = ["x", "y"]
words = "saxophone"
minutes = 30
curve = "metal:rise"
max-per-artist = 1
members = ["b"]
[players.home.lists.D]
file = "~/d.m3u8"
[players.home.lists.E]
similar = "x"
also = ["non-music"]
"""
    )
    a, b, c, d, e = home.lists
    assert a.question == RecommendQuestion(entry="discover", k=7)
    assert isinstance(b.question, FindQuestion)
    assert (b.question.text, b.question.k, b.question.choice.only) == (
        "calm piano",
        9,
        "duration<10:00",
    )
    assert isinstance(c.question, PlaylistQuestion)
    assert (c.question.seeds, c.question.minutes) == (("x", "y"), 30.0)
    assert (c.question.curve, c.question.choice.per_artist) == (("metal:rise",), 1)
    assert (c.question.words, c.members) == ("saxophone", ("b",))
    assert d.file == d.file.expanduser() != None  # noqa: E711
    assert e.question.seeds == ("x",)
    assert e.question.choice.also == ("non-music",)


def test_the_servers_and_lists_of_the_page_can_be_read(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "players.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "p.toml").write_text("".join(one for one in blocks if "[players." in one))
    home, kitchen = read_servers(["home", "kitchen"], tmp_path / "p.toml")
    assert [home.called(one) for one in home.members] == ["ana", "benjamin"]
    assert {one.name for one in home.lists} >= {"Tonight", "Party", "From jazz to metal"}
    assert [kitchen.called(one) for one in kitchen.members] == ["ana"]


def test_limits_of_a_playlist_are_those_of_its_command(read):
    home = read('[players.home.lists.C]\nplaylist = "x"\nonly = "genre=jazz"\n')
    assert home.lists[0].question.choice.per_artist == PlaylistQuestion().choice.per_artist


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("[players.home.lists.A]\nk = 3\n", "give one of recommend, playlist, similar, find, file"),
        ('[players.home.lists.A]\nfind = "x"\nrecommend = "daily"\n', "give one of"),
        ('by-sound = "yes"\n', "by_sound must be true or false"),
        ('[players.home.lists.A]\nrecommend = "weekly"\n', "entry must be one of"),
        ('[players.home.lists.A]\nrecommend = "daily"\nk = 0\n', "k is from 1, got 0"),
        ('[players.home.lists.A]\nrecommend = "daily"\nonly = "x"\n', "unknown key 'only'"),
        ('[players.home.lists.A]\nfind = "x"\nout = "y"\n', "unknown key 'out'"),
        ("[players.home.lists.A]\nfind = 7\n", "text must be text"),
        ("[players.home.lists.A]\nplaylist = [7]\n", "seeds must be texts"),
        ('[players.home.lists.A]\nfile = "x"\nk = 7\n', "a file has no k"),
        ('[players.home.lists.A]\nfind = "x"\nmembers = ["zoe"]\n', "no member 'zoe'"),
        ("[players.home.lists]\nA = 7\n", "expected a table"),
        ('[players.home.lists."A/B"]\nfind = "x"\n', "no line break, / or"),
        ('[players.home.lists.""]\nfind = "x"\n', "no line break, / or"),
        ("retries = 7\n", "unknown setting 'retries'"),
        ('name = "other"\n', "unknown setting 'name'"),
    ],
)
def test_what_a_table_may_not_say(read, more, says):
    with pytest.raises(InputError, match=says) as caught:
        read(more)
    assert "p.toml: [players.home]" in str(caught.value)


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ('[players.home]\nkind = "mpd"\n', "lacks url"),
        ('[players.home]\nkind = 7\nurl = "x"\n', "kind must be text"),
        ('[players.home]\nkind = "mpd"\nurl = "x"\nmembers = []\n', "there is none"),
        ('[players.home]\nkind = "mpd"\nurl = "x"\nmembers = [{ password = "x" }]\n', "unknown"),
        ('[players.home]\nkind = "mpd"\nurl = "x"\nmembers = [{}, {}]\n', "one name"),
        ('[players.cellar]\nkind = "mpd"\nurl = "x"\n', r"no table \[players.home\].*: cellar"),
        ("[players]\nhome = 7\n", r"no table \[players.home\]"),
        ("[recall]\n", r"no table \[players\]"),
        (
            f"{BASE}{BASE.replace('home', 'night')}lists = {{}}\n",
            r"home\] and .*night\] have one url",
        ),
    ],
)
def test_what_settings_may_not_say(read, base, says):
    with pytest.raises(InputError, match=says):
        read(base=base)


def test_an_unknown_kind_is_named_with_those_there_are(read):
    home = read(base='[players.home]\nkind = "winamp"\nurl = "x"\n')
    with pytest.raises(InputError, match=r"\[players.home\]: unknown kind of player 'winamp'"):
        home.player(home.members[0])


# Where a secret is.


def test_a_secret_from_the_environment(monkeypatch):
    monkeypatch.setenv("ANA", "x y")
    assert read_secret("env:ANA") == "x y"
    assert read_secret("") == ""
    monkeypatch.delenv("ANA")
    with pytest.raises(InputError, match="ANA is not set"):
        read_secret("env:ANA")


def test_a_secret_from_a_file_that_no_other_can_read(tmp_path):
    path = tmp_path / "ana"
    path.write_text("x y\n")
    path.chmod(0o600)
    assert read_secret(f"file:{path}") == "x y"
    for mode in (0o640, 0o604, 0o666):
        path.chmod(mode)
        with pytest.raises(InputError, match="others can read it; run: chmod 600") as caught:
            read_secret(f"file:{path}")
        assert "x y" not in str(caught.value)
    path.chmod(0o600)
    path.write_text(" \n")
    with pytest.raises(InputError, match="is empty"):
        read_secret(f"file:{path}")
    with pytest.raises(MissingFileError):
        read_secret(f"file:{path}.none")
    with pytest.raises(InputError, match="is not a file"):
        read_secret(f"file:{os.devnull}")


@pytest.mark.parametrize("place", ["hunter2", "env:", "http://x", "file", "keyring:music"])
def test_a_secret_does_not_stand_in_the_settings(place):
    with pytest.raises(InputError, match="not the secret") as caught:
        read_secret(place)
    assert "hunter2" not in str(caught.value)


# Whose files count.


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Make a user's own settings file, and a folder to stand in."""
    (tmp_path / "own.toml").write_text(BASE)
    monkeypatch.setenv("AUDIOREC_CONFIG", str(tmp_path / "own.toml"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def test_the_users_own_file_counts_and_other_commands_pass_it_by(own, monkeypatch, capsys):
    assert server_names() == ["home"]
    assert read_servers(["home"])[0].url == "http://localhost:1"
    code, _, err = run_command(monkeypatch, capsys, "recall", "train")
    assert code == 0, err


def test_a_file_in_a_folder_never_names_a_server(own):
    planted = BASE.replace("localhost:1", "evil.example.org")
    (own / "here" / "audiorec.toml").write_text(planted)
    assert read_servers(["home"])[0].url == "http://localhost:1"


def test_without_settings_the_message_says_where_to_read(monkeypatch):
    monkeypatch.setenv("AUDIOREC_CONFIG", "")
    with pytest.raises(InputError, match=r"servers there: none; .*audiorec sync --help"):
        read_servers(["home"])

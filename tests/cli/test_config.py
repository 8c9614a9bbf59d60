"""Options in the user's file and in the environment: who wins, and what is refused."""

import json
import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from audiorec.errors import InputError
from audiorec.files.own_settings import SettingsFile
from audiorec.options import WRITES
from audiorec_cli.main import app
from audiorec_cli.shared.configured import configurable, of_environment, of_file

ROOT = app
KNOWN = configurable(ROOT)
OPTIONS = [option for options in KNOWN.values() for option in options.values()]
AHEAD = {"token", "token-file"}  # of commands that are still to come


def written(content):
    return SettingsFile(Path("s.toml"), content)


def nested(command, name, value):
    content = {name: value}
    for word in reversed(command.split()):
        content = {word: content}
    return content


def sample(option):
    """Return a value that an option may have."""
    kind, low, high = option.declared.plain, option.declared.option.min, option.declared.option.max
    if get_origin(kind) is Literal:
        return [get_args(kind)[0]] if option.declared.is_several else get_args(kind)[0]
    if option.declared.is_several:
        return [3] if kind is int else ["x"]
    if kind in (int, float):
        return kind(low if low is not None else high if high is not None else 1)
    return True if kind is bool else "x"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user with settings of their own, and a folder to stand in."""
    (tmp_path / "config").mkdir()
    (tmp_path / "music").mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("AUDIOREC_CONFIG")
    monkeypatch.chdir(tmp_path / "music")
    own = tmp_path / "config" / "audiorec" / "audiorec.toml"
    own.parent.mkdir()
    own.write_text("")
    return own


# ------------------------------------------------------------------ every option of every command


def test_what_says_that_it_writes_is_classified_so():
    says = re.compile(r"\b(Write|to this file|store to (?:make|create)|PNG)\b")
    for option in OPTIONS:
        if says.search(option.declared.option.help) or option.name == "out":
            assert option.declared.option.reach == WRITES, option


def _command(name):
    found = ROOT
    for word in name.split():
        found = found.commands[word]
    return found


def test_every_option_can_be_set_by_a_file_and_by_a_variable(monkeypatch):
    variables = [o.variable for o in OPTIONS]
    assert len(set(variables)) == len(variables)
    for option in OPTIONS:
        value = sample(option)
        found = of_file(written(nested(option.command, option.name, value)), KNOWN)
        assert list(found) == [(option.command, option.name)]
        defaults = {option.parameter: found[option.command, option.name].value}
        settings = {"resilient_parsing": True, "default_map": defaults}
        with _command(option.command).make_context(option.command, [], **settings) as made:
            got = made.params[option.parameter]
            plain = [str(v) for v in got] if isinstance(got, (list, tuple)) else str(got)
            assert plain == ([str(v) for v in value] if isinstance(value, list) else str(value))
        monkeypatch.setenv(option.variable, str(value[0] if isinstance(value, list) else value))
    read = {(o.option.command, o.option.name): o for o in of_environment(ROOT, KNOWN)}
    for option in OPTIONS:
        value = read[option.command, option.name].value
        plain = [str(v) for v in value] if isinstance(value, tuple) else str(value)
        expected = sample(option)
        assert plain == (
            [str(v) for v in expected] if isinstance(expected, list) else str(expected)
        )


# ----------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"similar": {"kk": 1}}, r"unknown key 'kk' in \[similar\]; did you mean k\?"),
        ({"recal": {"train": {}}}, r"unknown key 'recal' in the top; did you mean recall"),
        ({"recall": {"trian": {"seed": 1}}}, r"unknown key 'trian' in \[recall\]; did you mean"),
        ({"similar": {"k": "five"}}, r"\[similar\]: k must be a whole number, got 'five'"),
        ({"similar": {"k": 2.5}}, r"\[similar\]: k must be a whole number, got 2\.5"),
        ({"similar": {"k": True}}, r"\[similar\]: k must be a whole number, got True"),
        ({"similar": {"k": 0}}, r"\[similar\]: k is from 1, got 0"),
        (
            {"browse": {"projection": "taste"}},
            r"\[browse\]: projection must be one of pca, tsne, umap, got 'taste'",
        ),
        ({"similar": {"k": {"is": 3}}}, r"k is an option, not a table"),
        ({"similar": {"exclude": [1]}}, r"exclude must be text, got 1"),
    ],
)
def test_what_cannot_be_used_is_one_line_that_says_where(content, message):
    with pytest.raises(InputError, match=message) as caught:
        of_file(written(content), KNOWN)
    assert str(caught.value).startswith("s.toml: ")
    assert "\n" not in str(caught.value)


def test_the_nearest_table_counts():
    content = {
        "vectors": "a",
        "recall": {"vectors": "b", "train": {"vectors": "c"}},
        "similar": {"max_per_artist": 2, "exclude": "live/"},
    }
    found = of_file(written(content), KNOWN)
    stores = {command: one.value for (command, name), one in found.items() if name == "vectors"}
    assert stores["recall train"] == "c"
    assert stores["recall evaluate"] == "b"
    assert stores["playlist"] == "a"
    assert found["similar", "max-per-artist"].value == 2
    assert found["similar", "exclude"].value == ["live/"]


# ------------------------------------------------------------------------------------- who wins


def shown(audiorec, *words):
    code, out, err = audiorec("config", "--json", *words)
    assert code == 0, err
    rows = json.loads(out)["options"]
    return {row["option"]: (row["value"], row["origin"]) for row in rows}


def test_the_command_line_wins_then_the_environment_then_the_user(home, audiorec, monkeypatch):
    home.write_text("[similar]\nk = 2\nminimum = 0.2\ndiversity = 0.2\nmax-per-album = 2\n")
    monkeypatch.setenv("AUDIOREC_SIMILAR_K", "4")
    monkeypatch.setenv("AUDIOREC_SIMILAR_MINIMUM", "0.4")
    found = shown(audiorec, "similar", "etude", "--k", "5")
    assert found["k"] == (5, "command line")
    assert found["minimum"] == (0.4, "$AUDIOREC_SIMILAR_MINIMUM")
    assert found["max-per-album"] == (2, str(home))
    assert found["by"] == ("auto", "default")


def test_the_commands_take_what_is_set(home, in_store, audiorec, monkeypatch):
    home.write_text("[similar]\nk = 1\nminimum = -1\njson = true\n")
    code, out, err = audiorec("similar", "a/one.flac")
    assert code == 0, err
    assert len(json.loads(out)["songs"]) == 1
    _, out, _ = audiorec("similar", "a/one.flac", "--k", "2")
    assert len(json.loads(out)["songs"]) == 2
    monkeypatch.setenv("AUDIOREC_SIMILAR_K", "3")
    _, out, _ = audiorec("similar", "a/one.flac")
    assert len(json.loads(out)["songs"]) == 3


@pytest.fixture
def in_store():
    from made_library import series, song, write_library

    names = ("a/one.flac", "a/two.flac", "b/three.mp3", "b/four.mp3")
    write_library(Path(), [song(name, series(n)) for n, name in enumerate(names)])


def test_the_store_of_the_environment_wins_over_files(home, in_store, audiorec, monkeypatch):
    home.write_text('vectors = "elsewhere.parquet"\n')
    code, _, err = audiorec("info")
    assert (code, "elsewhere.parquet" in err) == (2, True)
    monkeypatch.setenv("AUDIOREC_VECTORS", "vecs.parquet")
    assert audiorec("info")[0] == 0


def test_the_example_of_the_page_works_as_pasted(home, in_store, audiorec):
    page = (Path(__file__).parents[2] / "docs" / "config.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    home.write_text(block)
    code, _, err = audiorec("info")
    assert code == 0, err
    assert shown(audiorec, "similar")["exclude"] == (["live/*", "*.wav"], str(home))
    assert shown(audiorec, "recall", "evaluate")["seed"] == (7, str(home))


def test_mistakes_end_with_2_and_help_still_works(home, audiorec, monkeypatch):
    home.write_text("[similar]\nkk = 1\n")
    code, out, err = audiorec("similar", "x")
    assert (code, out) == (2, "")
    assert err == f"error: {home}: unknown key 'kk' in [similar]; did you mean k?\n"
    assert audiorec("similar", "--help")[0] == 0
    home.write_text("not toml")
    assert audiorec("info")[0] == 4
    home.write_text("")
    monkeypatch.setenv("AUDIOREC_SIMILAR_K", "many")
    said = audiorec("similar", "x")[2]
    assert "Invalid value for '$AUDIOREC_SIMILAR_K': 'many' is not a valid integer." in said
    monkeypatch.delenv("AUDIOREC_SIMILAR_K")
    monkeypatch.setenv("AUDIOREC_CONFIG", "gone.toml")
    assert audiorec("info")[0] == 2


def test_the_users_file_may_be_a_link(home, audiorec, tmp_path):
    kept = tmp_path / "dotfiles.toml"
    kept.write_text("[similar]\nk = 7\n")
    home.unlink()
    home.symlink_to(kept)
    assert shown(audiorec, "similar")["k"] == (7, str(home))


def test_show_says_what_there_is(home, audiorec):
    home.write_text('[extract]\njobs = 2\nexclude = ["*.wav", "live/*"]\n')
    code, out, err = audiorec("config")
    assert code == 0
    assert out.splitlines()[1:] == [
        f"extract\texclude\t*.wav, live/*\t{home}",
        f"extract\tjobs\t2\t{home}",
    ]
    assert f"your own file: {home}; options set: 2" in err
    code, _, err = audiorec("config", "simlar")
    assert code == 2
    assert "no command 'simlar'; there are: start," in err


def test_variables_of_lists_and_flags(monkeypatch):
    def read(command, name, text):
        monkeypatch.setenv(KNOWN[command][name].variable, text)
        (one,) = of_environment(ROOT, {command: {name: KNOWN[command][name]}})
        return one.value

    assert read("similar", "exclude", "a b/*") == ("a b/*",)
    flags = [read("extract", "quiet", text) for text in ("1", "no", "ON", "")]
    assert flags == [True, False, True, False]


@pytest.mark.parametrize(
    ("command", "option", "text", "message"),
    [
        ("extract", "QUIET", "maybe", "'maybe' is not a valid boolean"),
        ("similar", "K", "0", "0 is not in the range x>=1"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    home, audiorec, monkeypatch, command, option, text, message
):
    monkeypatch.setenv(f"AUDIOREC_{command.upper()}_{option}", text)
    code, _, said = audiorec(command, "x")
    assert code == 2
    assert f"Invalid value for '$AUDIOREC_{command.upper()}_{option}': " in said
    assert message in said

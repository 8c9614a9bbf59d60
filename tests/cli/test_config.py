"""Options in the user's file and in the environment: who wins, and what is refused."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from audiorec.errors import InputError
from audiorec.files.own_settings import SettingsFile
from audiorec.options import WRITES
from audiorec_cli.main import app
from audiorec_cli.shared.configured import (
    LOOKS,
    command_of,
    commands_of,
    options_of,
    parameter,
    settings_of,
    variable,
)

ROOT = app
OPTIONS = [
    (path, declared)
    for path, command in commands_of(ROOT)
    if path != (LOOKS,)
    for declared in options_of(command).values()
]


def written(content):
    return SettingsFile(Path("s.toml"), content)


def nested(path, name, value):
    content = {name: value}
    for word in reversed(path):
        content = {word: content}
    return content


def read(content, command):
    """Return what a file with this content sets for a command."""
    return settings_of(written(content), ROOT, tuple(command.split()))


def sample(declared):
    """Return a value that an option may have."""
    kind, low, high = declared.plain, declared.option.min, declared.option.max
    if get_origin(kind) is Literal:
        return [get_args(kind)[0]] if declared.is_several else get_args(kind)[0]
    if declared.is_several:
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
    for path, declared in OPTIONS:
        if says.search(declared.option.help) or declared.key == "out":
            assert declared.option.reach == WRITES, (path, declared)


def test_every_option_can_be_set_by_a_file_and_by_a_variable(monkeypatch):
    variables = [variable(path, declared.key) for path, declared in OPTIONS]
    assert len(set(variables)) == len(variables)
    for path, declared in OPTIONS:
        name, value = declared.key, sample(declared)
        found = settings_of(written(nested(path, name, value)), ROOT, path)
        assert list(found) == [name]
        named = variable(path, name)
        assert got(path, name, default_map={parameter(name): found[name]}) == texts(value)
        monkeypatch.setenv(named, str(value[0] if isinstance(value, list) else value))
        prefix = named.removesuffix(f"_{parameter(name).upper()}")
        assert got(path, name, auto_envvar_prefix=prefix) == texts(value)


def got(path, name, **how):
    """Return what click makes of an option that is not on the command line, as text."""
    made = command_of(ROOT, path)[1].make_context(path[-1], [], resilient_parsing=True, **how)
    with made:
        return texts(made.params[parameter(name)])


def texts(value):
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else str(value)


# ----------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("command", "content", "message"),
    [
        ("similar", {"kk": 1}, r"unknown key 'kk' in \[similar\]; did you mean k\?"),
        ("similar", {"k": "five"}, r"\[similar\]: k must be a whole number, got 'five'"),
        ("similar", {"k": 2.5}, r"\[similar\]: k must be a whole number, got 2\.5"),
        ("similar", {"k": True}, r"\[similar\]: k must be a whole number, got True"),
        ("similar", {"k": 0}, r"\[similar\]: k is from 1, got 0"),
        (
            "browse",
            {"projection": "taste"},
            r"\[browse\]: projection must be one of pca, tsne, umap, got 'taste'",
        ),
        ("similar", {"k": {"is": 3}}, r"k is an option, not a table"),
        ("similar", {"exclude": [1]}, r"exclude must be text, got 1"),
    ],
)
def test_what_cannot_be_used_is_one_line_that_says_where(command, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read({command: content}, command)
    assert str(caught.value).startswith("s.toml: ")
    assert "\n" not in str(caught.value)
    assert read({command: content}, "info") == {}  # which reads no other command's table


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"recal": {"train": {}}}, r"unknown key 'recal' in the top; did you mean recall"),
        ({"recall": {"trian": {"seed": 1}}}, r"unknown key 'trian' in \[recall\]; did you mean"),
    ],
)
def test_a_table_of_no_command_is_refused(content, message):
    with pytest.raises(InputError, match=message):
        read(content, "recall train")


def test_the_nearest_table_counts():
    content = {
        "vectors": "a",
        "recall": {"vectors": "b", "train": {"vectors": "c"}},
        "similar": {"max_per_artist": 2, "exclude": "live/"},
    }
    named = {"recall train": "c", "recall evaluate": "b", "playlist": "a"}
    assert {command: read(content, command)["vectors"] for command in named} == named
    found = read(content, "similar")
    assert (found["max-per-artist"], found["exclude"]) == (2, ["live/"])


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


def test_a_file_imports_only_the_command_that_runs(home):
    home.write_text("quiet = true\n[recall.run]\nseed = 1\n")
    code = (
        "import sys; from audiorec_cli.main import app; from audiorec_cli.shared import configured;"
        "print(configured.defaults(app, ['extract', 'songs']));"
        "print('audiorec_cli.recommend.recall' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["{'extract': {'quiet': True}}", "False"]


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


def test_variables_of_lists_and_flags(home, audiorec, monkeypatch):
    def read(command, name, text):
        monkeypatch.setenv(variable((command,), name), text)
        return shown(audiorec, command)[name]

    assert read("similar", "exclude", "a b/*")[0] == ["a b/*"]
    flags = [read("extract", "quiet", text)[0] for text in ("1", "no", "ON", "")]
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

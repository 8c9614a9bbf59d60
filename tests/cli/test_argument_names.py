"""The library names arguments as Python has them; the command line shows them as its options."""

import ast
import re
from pathlib import Path

import pytest
from command import run_command

from audiorec.errors import InputError
from audiorec_cli.shared import console

ROOT = Path(__file__).parents[2]
OPTION = re.compile(r"(?<![\w/-])--[a-z][a-z-]*")
WHOLE_COMMAND = re.compile(r"audiorec [a-z{][^;:]*")
# What declares options and arguments is read by the command line alone.
DECLARES = {"chooses", "reads", "writes", "setting", "argument"}


def told(tree):
    """Yield the strings of a module that may be told: not docstrings, nor the help of options."""
    hidden = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                hidden.add(id(first.value))
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in DECLARES:
                hidden.update(map(id, ast.walk(node)))
    parts = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts.update(map(id, node.values))
            if id(node) not in hidden:
                texts = (v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
                yield node.lineno, "".join(texts)
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in hidden | parts:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", sorted((ROOT / "audiorec").rglob("*.py")), ids=lambda p: p.stem)
def test_no_message_of_the_library_names_an_option_of_the_shell(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [
        (line, text)
        for line, text in told(tree)
        if " " in text and OPTION.search(WHOLE_COMMAND.sub("", text))
    ]
    assert not found


@pytest.fixture
def options():
    console.name_options({"time_column": "--time-column", "also": "--also", "start": "--from"})
    yield
    console.name_options({})


@pytest.mark.parametrize(
    ("remark", "shown"),
    [
        ("name it with `time_column`", "name it with --time-column"),
        ("left out (`also=non-music`)", "left out (--also non-music)"),
        ("train without `start`", "train without --from"),
        ("`budget` of [federated]", "`budget` of [federated]"),
        ("a song called `Also`", "a song called `Also`"),
    ],
)
def test_an_argument_is_shown_as_the_option_of_the_command(options, remark, shown):
    assert console.as_options(remark) == shown


def test_python_hears_arguments_and_a_terminal_hears_options(tmp_path, monkeypatch, capsys):
    log = tmp_path / "counts.csv"
    log.write_text("user_id,song_id,weight\nana,a,3\nana,b,1\nben,a,2\n")
    line = ("recall", "evaluate", "popular", "--interactions", log, "--split", "last")
    code, _, err = run_command(monkeypatch, capsys, *line)
    assert code != 0
    assert "hide songs at random: --split random" in err
    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.sequences import to_sequences
    from audiorec.recall.judging.splits import cuts

    plays = to_sequences(read_interactions(log))
    with pytest.raises(InputError, match="hide songs at random: `split=random`"):
        cuts(plays, "last")

"""`files.user_files`: typed values, and one clear error for everything else."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from audiorec.errors import InputError
from audiorec.files.user_files import as_field_type, from_table, parse_value, read_settings


@dataclass(frozen=True)
class Recipe:
    place: Path
    epochs: int = 3
    rate: float | None = 0.1
    kind: Literal["a", "b"] = "a"
    hidden: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    name: str = ""
    on: bool = False


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("epochs", 5, 5), ("rate", 1, 1.0), ("rate", None, None), ("kind", "b", "b"),
        ("hidden", [8, 4], (8, 4)), ("weights", [1, 2.5], (1.0, 2.5)),
        ("place", "a/b", Path("a/b")),
        ("on", True, True), ("name", "x", "x"),
    ],
)  # fmt: skip
def test_values_have_the_type_of_their_field(name, value, read):
    found = as_field_type(Recipe, name, value)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 1.5), ("epochs", "5"), ("epochs", True), ("kind", "c"), ("hidden", ["x"]),
        ("hidden", 8), ("on", 1), ("name", 3), ("rate", "fast"), ("nothing", 1),
    ],
)  # fmt: skip
def test_other_types_are_refused(name, value):
    with pytest.raises(InputError, match=name):
        as_field_type(Recipe, name, value)


def test_a_table_fills_a_dataclass():
    assert from_table(Recipe, {"place": "p", "epochs": 1}, "here") == Recipe(Path("p"), 1)
    with pytest.raises(InputError, match=r"^here: .*place"):
        from_table(Recipe, {}, "here")


def test_command_line_values():
    assert [parse_value(text) for text in ("5", "0.1", "true", "[1,2]", "word", "null")] == [
        5, 0.1, True, [1, 2], "word", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[recall]\nk = 1\n[music]\n", "unknown table 'music'"),
        ("[library]\n", r"has no table \[recall\]"),
        ("recall = 3\n", r"has no table \[recall\]"),
        ("not toml", "not TOML"),
        ("a = " + "[" * 5000, "not TOML"),
    ],
)
def test_settings_files(tmp_path, text, message):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(InputError, match=rf"s\.toml: .*{message}"):
        read_settings(tmp_path / "s.toml", "recall")

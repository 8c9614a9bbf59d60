"""What users read points to commands: an installed package has neither docs nor fixtures."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "audiorec", ROOT / "cli" / "audiorec_cli", *ROOT.glob("plugins/*/audiorec_*")]
OF_THE_CLONE = re.compile(r"\bdocs/[\w/]+\.md|\bfixtures/")


def modules():
    return sorted(path for source in SOURCES for path in source.rglob("*.py"))


def is_of_commands(path):
    """Whether public functions of a module are commands, whose docstrings are their help."""
    return "audiorec_cli" in path.parts or path.name in {"command.py", "commands.py"}


def shown(path):
    """Yield the texts of a module that users may see: strings, and docstrings of commands."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node, clean=False)
        if text is None:
            continue
        is_public = isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        if not (is_public and is_of_commands(path)):
            hidden.add(id(node.body[0].value))
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in hidden:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_users_read_names_a_file_of_the_clone(path):
    found = [(line, text) for line, text in shown(path) if OF_THE_CLONE.search(text)]
    assert not found

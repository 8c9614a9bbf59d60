"""The folder listing tells the story: what each package says of itself is what is there."""

import ast
import importlib
import re
from collections import defaultdict
from pathlib import Path

import pytest
from needs import needs

REPOSITORY = Path(__file__).parents[1]
ROOT, COMMANDS = REPOSITORY / "audiorec", REPOSITORY / "cli" / "audiorec_cli"
PACKAGES = sorted(path.parent for path in ROOT.rglob("__init__.py") if path.parent != ROOT)
LOOSE = {"distribution", "errors", "spec", "types"}


def docstring(package: Path) -> str:
    return ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""


def table(text: str) -> set[str]:
    """Return the names in the first column of a docstring's table."""
    rows = re.findall(r"^(``\w+``(?:, ``\w+``)*,?)", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"``(\w+)``", row)}


def public(package: Path) -> dict[str, set[str]]:
    """Return the public names of each module, from the block below ``Public::``."""
    _, found, block = docstring(package).partition("Public::\n")
    names: dict[str, set[str]] = defaultdict(set)
    module = ""
    for line in block.splitlines() if found else ():
        if not line.strip():
            continue
        if not line.startswith(" "):
            break
        start = re.match(r"    (\w+)  +(\S.*)", line)
        if start:
            module, line = start.groups()
        names[module] |= {name for name in re.split(r"[,\s]+", line) if name}
    return names


def dotted(package: Path) -> str:
    return ".".join(package.relative_to(REPOSITORY).parts)


PUBLIC = {
    f"{dotted(package)}.{module}": names
    for package in PACKAGES
    for module, names in public(package).items()
}


def test_only_the_base_lies_loose_at_the_top():
    assert {path.stem for path in ROOT.glob("*.py")} - {"__init__"} == LOOSE


@pytest.mark.parametrize("package", PACKAGES, ids=dotted)
def test_a_package_lists_its_modules_and_imports_nothing(package):
    here = {path.stem for path in package.glob("*.py")} - {"__init__"}
    here |= {path.parent.name for path in package.glob("*/__init__.py")}
    assert table(docstring(package)) == here
    assert len(ast.parse((package / "__init__.py").read_text()).body) == 1


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_exist_and_have_docstrings(module):
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:  # a module that trains
        needs(error.name or "")
        raise
    for name in PUBLIC[module]:
        assert hasattr(found, name), name
        if callable(value := getattr(found, name)) and value.__module__ == module:
            assert value.__doc__, name


@pytest.mark.parametrize("folder", [COMMANDS, ROOT / "web"], ids=lambda p: p.name)
def test_commands_and_the_page_use_public_names_alone(folder):
    wrong = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("audiorec."):
                of = str(node.module)
                known = PUBLIC.get(of, set()) if of.count(".") > 1 else None
                known = None if of.startswith(f"audiorec.{folder.name}.") else known  # its own
                wrong += [
                    f"{path.relative_to(REPOSITORY)}:{node.lineno}: {of}.{alias.name}"
                    for alias in node.names
                    if known is not None and alias.name not in known
                ]
    assert not wrong, "\n".join(wrong)


def test_each_class_name_means_one_thing():
    places = defaultdict(list)
    for path in [*ROOT.rglob("*.py"), *COMMANDS.rglob("*.py")]:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(REPOSITORY)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_arrays_have_one_name_a_kind():
    """`audiorec.types` names arrays of float32, float64, int32, int64 and bool for all."""
    alias = re.compile(
        r"^\w+ = (?:npt\.)?NDArray\[np\.(?:float32|float64|int32|int64|bool_)\]", re.M
    )
    others = [
        p for p in ROOT.rglob("*.py") if p != ROOT / "types.py" and alias.search(p.read_text())
    ]
    assert others == []

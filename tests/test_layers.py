"""The direction of dependencies in `docs/architecture.md`, and the size of what is written."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "audiorec"
BASE = {"columns", "distribution", "errors", "exports", "options", "spec", "types"}
FILES = BASE | {"files"}
STORE = FILES | {"store", "tagger"}  # the store checks statistics, which the tagger defines
SEARCH = STORE | {"runs", "search"}
LISTENING = STORE | {"listening", "runs"}
EXTRACTION = STORE | {"audio", "runs", "extraction"}
FAMILY = EXTRACTION | SEARCH | LISTENING | {"evaluation", "learning", "recall.contract"}
JOINS = FAMILY | {"recall"}  # judging and serving reach families through the registry alone
MAY_IMPORT = {
    "distribution": set(),
    "options": {"errors"},
    "errors": {"distribution"},
    "exports": set(),
    "spec": {"errors"},
    "types": {"errors", "spec"},
    "files": BASE,
    "audio": FILES,
    "tagger": FILES,
    "evaluation": FILES,
    "runs": FILES,
    "learning": FILES | {"runs"},
    "store": STORE,
    "search": SEARCH,
    "extraction": EXTRACTION,
    "listening": LISTENING,
    "labelling": EXTRACTION | {"evaluation", "learning"},
    "playlists": SEARCH,
    "words": SEARCH,
    "library": SEARCH | EXTRACTION | {"playlists", "words", "library"},
    "analysis": LISTENING | {"evaluation"},
    "simulation": LISTENING,
    "recall": FILES
    | {"learning", "recall.contract", "runs"},  # the registry: families by entry point
    "recall.contract": LISTENING | {"evaluation", "learning", "search"},
    "recall.simple": FAMILY,
    "recall.graph": FAMILY,
    "recall.sequence": FAMILY,
    "recall.interests": FAMILY,
    "recall.audio": FAMILY,
    "recall.cold_start": FAMILY,
    "recall.judging": JOINS,
    "recall.serving": JOINS | {"recall.judging"},  # weights are judged
    "web": JOINS | {"recall.serving", "playlists", "words", "library"},
    "players": JOINS | {"recall.serving", "playlists", "words", "library"},
}
COMMANDS = ROOT.parent / "cli" / "audiorec_cli"
PLUGINS = sorted(path.parent for path in ROOT.parent.glob("plugins/*/audiorec_*/__init__.py"))
MODULES = [p for p in sorted(ROOT.rglob("*.py")) if p != ROOT / "__init__.py"]
OTHERS = [path for folder in (COMMANDS, *PLUGINS) for path in sorted(folder.rglob("*.py"))]
WRITTEN = [p for p in [*MODULES, *OTHERS] if p.name != "__init__.py"]
MOST_LINES, MOST_LINES_OF_A_BODY = 650, 60
HEAVY = (
    "torch scipy librosa onnxruntime numpy pyarrow av soundfile starlette rich click joblib"
).split()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def dotted(path: Path) -> str:
    root = next(one for one in (ROOT, COMMANDS, *PLUGINS) if path.is_relative_to(one))
    return ".".join(path.relative_to(root.parent).with_suffix("").parts)


NAMES = {dotted(path): path for path in [*MODULES, *WRITTEN]}


def part(name: str) -> str:
    """Return the package of a module: ``recall`` counts by its families."""
    _, *parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "recall" and len(parts) > 2 else parts[0]


def imports(path: Path) -> list[tuple[int, str]]:
    """Return line and module of all imports of our own, those for type checkers included."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write absolute imports"
            of = node.module or ""
            found += [
                (node.lineno, name if (name := f"{of}.{alias.name}") in NAMES else of)
                for alias in node.names
            ]
        elif isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
    ours = tuple(f"{root.name}." for root in (ROOT, COMMANDS, *PLUGINS))
    return [(line, name) for line, name in found if f"{name}.".startswith(ours)]


def package_of(path: Path) -> str:
    return part(dotted(path).removesuffix(".__init__") + ".x" * (path.name == "__init__.py"))


def test_imports_point_downwards():
    """Nothing of the package imports the command line or a plug-in, for one."""
    wrong = [
        f"{path.relative_to(ROOT.parent)}:{line} imports {name}"
        for path in MODULES
        if path != ROOT / "recall" / "__init__.py"  # gathers names of all families for programs
        for line, name in imports(path)
        if part(name) not in MAY_IMPORT[here := package_of(path)] | {here}
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_is_loaded_by_name_against_the_direction_of_imports():
    found = set()
    for path in MODULES:
        if path == ROOT / "recall" / "__init__.py":
            continue  # gathers names of all families for programs
        here = package_of(path)
        for node in ast.walk(tree(path)):
            text = node.value if isinstance(node, ast.Constant) else None
            name = text.partition(":")[0] if isinstance(text, str) else ""
            if name in NAMES and part(name) not in MAY_IMPORT[here] | {here}:
                found.add((here, name))
    assert found == set()


def test_no_modules_import_each_other_in_a_circle():
    ahead = {name: sorted({n for _, n in imports(path)}) for name, path in NAMES.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for other in ahead.get(name, ()):
                visit(other, (*way, name))
            done.add(name)

    for name in ahead:
        visit(name, ())


def test_files_and_functions_stay_readable():
    lines = {dotted(path): path.read_text().count("\n") for path in WRITTEN}
    assert {name: n for name, n in lines.items() if n > MOST_LINES} == {}
    long = []
    for path in WRITTEN:
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                if length > MOST_LINES_OF_A_BODY:
                    long.append(f"{dotted(path)}: {node.name} has {length} lines")
    assert not long, "\n".join(long)


def test_the_import_is_light():
    script = f"import sys, audiorec; print([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_public_names_are_those_of_the_docstring():
    import audiorec

    for name in audiorec.__all__:
        assert getattr(audiorec, name)
        assert name in dir(audiorec)
        if name != "errors":
            assert f"``{name}(" in audiorec.__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        audiorec.nothing  # noqa: B018

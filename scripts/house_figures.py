"""Print the size of the package and who imports whom, one JSON line each.

    python scripts/house_figures.py [--root DIR]

The first line counts lines, statements, modules, folders, functions and public names of `audiorec`
and `cli/audiorec_cli`, modules that one other module of their folder imports and no one else, and
commands and their options, a common one counted once. The second has lines and modules by folder.
Each further line names a package and the packages that it imports, those imported for type checkers
included. The last line lists circles of modules: there are none. An import of a public name is one
of the module that it lies in. DIR is a checkout of any revision, for a comparison.
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

FOLDERS = ("audiorec", "cli/audiorec_cli")
PUBLIC = re.compile(r"^from (\S+) import (\w+) as \w+$", re.MULTILINE)  # in a stub


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1])
    root = parser.parse_args().root.resolve()
    print(json.dumps({**size(root), **front(root)}))
    print(json.dumps({"folders": by_folder(root / "audiorec")}))
    ahead = imports(root / "audiorec")
    between: dict[str, set[str]] = defaultdict(set)
    for name, others in ahead.items():
        between[part(name)] |= {part(other) for other in others} - {part(name)}
    for package in sorted(between):
        print(json.dumps({"package": package, "imports": sorted(between[package])}))
    print(json.dumps({"circles": circles(ahead)}))


def size(root: Path) -> dict[str, object]:
    """Count what is written below a checkout's package and command line."""
    paths = [path for folder in FOLDERS for path in (root / folder).rglob("*.py")]
    modules = [path.read_text().count("\n") for path in paths]
    trees = [ast.parse(path.read_text()) for path in paths]
    bodies = sorted(body for tree in trees for body in function_bodies(tree))
    defined = [node.name for tree in trees for node in tree.body if hasattr(node, "name")]
    return {
        "lines": sum(modules),
        "statements": sum(isinstance(n, ast.stmt) for tree in trees for n in ast.walk(tree)),
        "modules": len(modules),
        "with_one_importer": len(lonely(root)),
        "folders": len({path.parent for path in paths}),
        "median_module": median(modules),
        "longest_module": max(modules),
        "functions": len(bodies),
        "median_body": median(bodies),
        "body_95_percent": bodies[int(0.95 * len(bodies))],
        "longest_body": bodies[-1],
        "names_without_underscore": sum(not name.startswith("_") for name in defined),
    }


def lonely(root: Path) -> list[str]:
    """Return the modules that exactly one module imports, which lies in their own folder."""
    of: dict[str, set[str]] = defaultdict(set)
    for name, others in imports(*(root / folder for folder in FOLDERS)).items():
        for other in others:
            of[other].add(name)
    return [
        name
        for name, by in of.items()
        if {one.rpartition(".")[0] for one in by} == {name.rpartition(".")[0]} and len(by) == 1
    ]


def by_folder(package: Path) -> dict[str, list[int]]:
    """Return lines and modules of each folder; the families of recall count one by one."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for path in sorted(package.rglob("*.py*")):
        if path.suffix in (".py", ".pyi"):
            inside = path.relative_to(package).parts[:-1]
            folder = "/".join(inside[: 1 + (inside[:1] == ("recall",))])
            found[folder][0] += path.read_text().count("\n")
            found[folder][1] += path.suffix == ".py"
    return dict(found)


FRONT = """
import json
from audiorec_cli.main import app
from audiorec_cli.shared.configured import commands_of
try:
    from typer.main import get_command  # revisions before the second plan
    root = get_command(app)
except (ImportError, AttributeError):
    root = app
every = [c for _, c in commands_of(root)]
options = [p for c in every for p in c.params if p.param_type_name == "option"]
options += {p.name: p for c in every for p in getattr(c, "shared", ())}.values()
print(json.dumps({"commands": len(every), "options": len(options)}))
"""


def front(root: Path) -> dict[str, int]:
    """Count the commands of a checkout, and the options of all of them."""
    path = os.pathsep.join([str(root), str(root / "cli")])
    command = [sys.executable, "-P", "-c", FRONT]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def function_bodies(tree: ast.Module) -> Iterator[int]:
    """Yield the lines of each function's body, its docstring left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def imports(*packages: Path) -> dict[str, set[str]]:
    """Return the modules of our own that each module imports, or uses as `search.Choice`."""
    names = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts): path
        for package in packages
        for path in package.rglob("*.py")
        if path.name != "__init__.py"
    }
    homes = {name: name for name in names}
    for package in packages:
        for stub in package.rglob("__init__.pyi"):
            dotted = ".".join(stub.relative_to(package.parent).parts[:-1])
            for of, name in PUBLIC.findall(stub.read_text()):
                homes.setdefault(f"{dotted}.{name}", of)
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        used, bound = set(), dict[str, str]()
        nodes = list(ast.walk(ast.parse(path.read_text())))
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and node.module:
                whole = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
                used |= {node.module, *whole.values()}
                bound |= whole
            elif isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
        for node in nodes:
            if isinstance(node, ast.Attribute):
                first, _, rest = ast.unparse(node).partition(".")
                used.add(f"{bound.get(first)}.{rest}")
        found[name] = {homes.get(one, one) for one in used} & set(names)
    return found


def part(name: str) -> str:
    """Return the package of a module; the families of recall count one by one."""
    _, *parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "recall" else parts[0]


def circles(ahead: dict[str, set[str]]) -> list[list[str]]:
    """Return one way round each circle of modules that import each other."""
    found, done = [], set()

    def visit(name: str, way: list[str]) -> None:
        if name in way:
            found.append([*way[way.index(name) :], name])
        elif name not in done:
            for other in sorted(ahead[name]):
                visit(other, [*way, name])
            done.add(name)

    for name in sorted(ahead):
        visit(name, [])
    return found


if __name__ == "__main__":
    main()

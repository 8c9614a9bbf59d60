"""Names of code that prose mentions and that no code has: what a rename leaves behind.

A name in single backticks of a docstring is code of this repository, or begins with a module of
another; ``audiorec.a.b``, in docstrings and pages, is a module, or a name that the module has.
"""

import ast
import builtins
import keyword
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from prose import ROOT, nodes

CODE = ("audiorec/**/*.py", "cli/**/*.py", "scripts/**/*.py", "benchmarks/**/*.py")
QUOTED = re.compile(r"(?<!`)`([A-Za-z_][\w.]*)`(?!`)")
DOTTED = re.compile(r"(?<![\w./-])audiorec(?:_cli)?(?:\.[A-Za-z_]\w*)+(?![\w/-]|\.\w)")
ENDINGS = (".md", ".py", ".sh", ".js", ".toml", ".json", ".parquet")
NO_MODULES = (
    *("digests", "override", "prom", "service", "toml"),  # files, units, keys of metadata
    *("apis", "backbones", "channels", "commands", "imports"),  # groups of entry points
)


def _nodes(root: Path) -> Iterator[tuple[Path, tuple[ast.AST, ...]]]:
    """Yield the modules of the repository and all nodes of each."""
    for pattern in CODE:
        for path in root.glob(pattern):
            yield path, nodes(path)


@cache
def names(root: Path = ROOT) -> frozenset[str]:
    """Return all names that modules of the repository define, import, use or write in strings."""
    found = {*dir(builtins), *keyword.kwlist}
    for path, own in _nodes(root):
        found.update(path.relative_to(root).with_suffix("").parts)
        prose = {id(node.value) for node in own if isinstance(node, ast.Expr)}
        for node in own:
            if id(node) not in prose:
                found.update(_names_of(node))
    return frozenset(found)


def _names_of(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            yield name
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.keyword(arg=str(name)):
            yield name
        case ast.alias(name=name):
            yield from name.split(".")
        case ast.Constant(value=str(text)):
            yield from re.findall(r"[A-Za-z_]\w*", text)


@cache
def imported(root: Path = ROOT) -> frozenset[str]:
    """Return the top-level modules that the repository imports, whether or not they are here."""
    found = set[str]()
    for _, own in _nodes(root):
        for node in own:
            match node:
                case ast.Import(names=aliases):
                    found.update(alias.name.partition(".")[0] for alias in aliases)
                case ast.ImportFrom(module=str(module), level=0):
                    found.add(module.partition(".")[0])
    return frozenset(found)


@cache
def _members(module: Path) -> frozenset[str]:
    """Return the names that a module defines or imports at its top level."""
    found = set[str]()
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        for part in ast.walk(node):
            if isinstance(part, ast.Import | ast.ImportFrom):
                found.update((alias.asname or alias.name) for alias in part.names)
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign() | ast.AnnAssign():
                found.update(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
    return frozenset(found)


def is_there(dotted: str, root: Path = ROOT) -> bool:
    """Say whether ``audiorec.a.b`` is a module of ours, or a name of one."""
    first, *rest = dotted.split(".")
    folder = root / "cli" / first if first == "audiorec_cli" else root / first
    while rest and (folder / rest[0]).is_dir():
        folder /= rest.pop(0)
    module = folder / f"{rest[0]}.py" if rest else folder
    if rest and module.is_file():
        rest.pop(0)
    else:
        module = folder / "__init__.py"
    return not rest or rest[0] in _members(module)


def unknown(prose: Iterable[tuple[str, int, str]]) -> Iterator[str]:
    """Yield a line for each name that is nowhere; `prose` has path, line and text of each piece."""
    known = names()
    for path, line, text in prose:
        found = [m for m in DOTTED.finditer(text) if m[0].split(".")[1] not in NO_MODULES]
        lost = {m.start(): m[0] for m in found if not is_there(m[0])}
        if path.endswith(".py"):
            quoted = [(m.start(), m[1]) for m in QUOTED.finditer(text)]
            lost |= {at: name for at, name in quoted if not _is_known(name, known)}
        for at, name in sorted(lost.items()):
            yield f"{path}:{line + text.count(chr(10), 0, at)}: no code has the name {name}"


def _is_known(name: str, known: frozenset[str]) -> bool:
    if name.endswith(ENDINGS):
        return True
    first, *rest = name.split(".")
    if first in ("audiorec", "audiorec_cli"):
        return is_there(name)
    return all(part in known for part in (first, *rest)) or bool(rest and first in imported())

"""Compare the tests of two checkouts: which notice the same small changes of the same functions.

    python -m benchmarks eval_mutants BASE NOW [--count 80] [--seed 35] [--jobs 2]

BASE and NOW are clean checkouts, each with an environment `.venv` of its own. Drawn by the seed are
functions whose source is the same in both, wherever they lie; each gets one change by an operator
of cosmic-ray (install it beside this script). Run are up to three test files that import the
function's module, first those that name the function or its class, and the shortest first; a
function without such a file on a side, or whose tests take a minute of CPU time, is passed over.
One JSON line per mutant: killed on each side or not. The last line has the sums.
"""

import argparse
import ast
import json
import random
import resource
import signal
import subprocess
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.mutating import mutate_code

LONGEST_S = 60  # of CPU time
OPERATORS = sorted(
    name
    for name in plugins.operator_names()
    if any(part in name for part in ("Comparison", "BinaryOperator", "Not", "Number", "AndWithOr"))
    or any(part in name for part in ("OrWithAnd", "BreakWith", "ContinueWith", "ZeroIter", "True"))
)


@dataclass(frozen=True)
class Function:
    """A function or method in a checkout: its file, its lines (from 1), its text, its module."""

    root: Path
    path: Path
    first: int
    last: int
    text: str

    @property
    def module(self) -> str:
        """Return the dotted name of the module."""
        parts = self.path.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[1:] if parts[0] == "cli" else parts)


def functions(root: Path) -> dict[tuple[str, str], Function]:
    """Return the functions of a checkout by name and text; those that occur twice are left out."""
    found: dict[tuple[str, str], list[Function]] = {}
    for package in ("audiorec", "cli/audiorec_cli"):
        for path in sorted((root / package).rglob("*.py")):
            lines = path.read_text().splitlines(keepends=True)
            for name, node in _defined(ast.parse("".join(lines))):
                first, last = node.lineno, node.end_lineno or node.lineno
                text = textwrap.dedent("".join(lines[first - 1 : last]))
                place = Function(root, path, first, last, text)
                found.setdefault((name, text), []).append(place)
    return {key: places[0] for key, places in found.items() if len(places) == 1}


def _defined(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the functions of a module and the methods of its classes, with their names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            yield from (
                (f"{node.name}.{each.name}", each)
                for each in node.body
                if isinstance(each, ast.FunctionDef)
            )


def mutated(text: str, rng: random.Random) -> tuple[str, str] | None:
    """Return an operator and the changed text of a function, or None if none applies."""
    for name in rng.sample(OPERATORS, len(OPERATORS)):
        operator = plugins.get_operator(name)()
        try:
            places = sum(1 for node in _nodes(text) for _ in operator.mutation_positions(node))
            if places:
                changed = mutate_code(text, operator, rng.randrange(places))
                if changed and ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text)):
                    return name, changed
        except (SyntaxError, ValueError):
            continue
    return None


@cache
def _nodes(text: str) -> tuple[object, ...]:
    """Return the nodes of a text as cosmic-ray walks them."""
    import parso

    nodes, open_nodes = [], [parso.parse(text)]
    while open_nodes:
        nodes.append(open_nodes.pop())
        open_nodes += list(getattr(nodes[-1], "children", ()))
    return tuple(nodes)


@cache
def _tests(root: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in sorted((root / "tests").rglob("test_*.py"))}


def tests_of(function: Function, name: str) -> list[Path]:
    """Return the test files that import the function's module, at most three."""
    imports = (f"from {function.module} import", f"import {function.module}\n")
    named = name.partition(".")[0] if "." in name else name
    texts = {
        path: text
        for path, text in _tests(function.root).items()
        if any(each in text for each in imports)
    }
    return sorted(texts, key=lambda path: (named not in texts[path], len(texts[path])))[:3]


def passes(root: Path, files: tuple[Path, ...]) -> bool | None:
    """Run tests of a checkout; None: longer than `LONGEST_S`."""
    command = [root / ".venv/bin/python", "-m", "pytest", "-x", "-q", "-n", "0", *files]
    try:
        run = subprocess.run(
            [*command, "-p", "no:cacheprovider"],
            cwd=root,
            capture_output=True,
            timeout=20 * LONGEST_S,  # by the clock, which a busy machine lets run
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_S, LONGEST_S)),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return None if run.returncode in (-signal.SIGXCPU, -signal.SIGKILL) else run.returncode == 0


unchanged = cache(passes)


def notices(function: Function, name: str, changed: str) -> bool | None:
    """Say whether the tests of a checkout notice a change; None: there are none to ask."""
    files = tuple(tests_of(function, name))
    if not files or not unchanged(function.root, files):
        return None
    before = function.path.read_text()
    lines = before.splitlines(keepends=True)
    indent = lines[function.first - 1][: -len(lines[function.first - 1].lstrip())]
    lines[function.first - 1 : function.last] = [textwrap.indent(changed, indent)]
    try:
        function.path.write_text("".join(lines))
        return not passes(function.root, files)
    finally:
        function.path.write_text(before)


def main() -> None:
    """Draw, change, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("now", type=Path)
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--seed", type=int, default=35)
    parser.add_argument("--jobs", type=int, default=2, help="checkouts tested at a time")
    args = parser.parse_args()
    base, now = functions(args.base.resolve()), functions(args.now.resolve())
    rng = random.Random(args.seed)  # noqa: S311 - no secret
    drawn = sorted(base.keys() & now.keys())
    rng.shuffle(drawn)
    killed = {"base": 0, "now": 0}
    count = 0
    with ThreadPoolExecutor(args.jobs) as pool:
        for name, text in drawn:
            change = mutated(text, rng)
            if change is None or count == args.count:
                continue
            asked = [
                pool.submit(notices, side[name, text], name, change[1]) for side in (base, now)
            ]
            noticed = [each.result() for each in asked]
            if None in noticed:
                continue
            count += 1
            for side, is_killed in zip(killed, noticed, strict=True):
                killed[side] += bool(is_killed)
            found = {"function": name, "operator": change[0].removeprefix("core/")}
            found |= {"module": now[name, text].module, "base": noticed[0], "now": noticed[1]}
            print(json.dumps({"bench": "mutants", **found}), flush=True)
    common = len(drawn)
    print(json.dumps({"bench": "mutants/sum", "equal functions": common, "n": count, **killed}))


if __name__ == "__main__":
    main()

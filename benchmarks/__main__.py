"""Run a benchmark by its name, or list all: one door to what prints the figures of the docs.

    python -m benchmarks                  what there is, a line each
    python -m benchmarks NAME ARGUMENTS   run one, from whichever folder it lies in
    python -m benchmarks NAME ... | python -m benchmarks table

Folders say what is measured: ``speed``, ``sound``, ``words``, ``recall``, and the ``house`` itself;
``peers`` has what runs in environments of other programs. Plug-ins have folders of their own.
Benchmarks print a line of JSON for each row, or a table; ``table`` turns such lines into a table.
"""

import ast
import difflib
import os
import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SCRIPTS = FOLDER.parent / "scripts"
PLUGINS = FOLDER.parent / "plugins"


def described() -> dict[str, tuple[Path, str]]:
    """Return the file of each benchmark and the first line of what it says of itself, by name."""
    known = {}
    files = [*FOLDER.rglob("*.py"), *PLUGINS.glob("*/benchmarks/*.py")]
    for path in sorted(files, key=lambda path: (path.parent.name, path.stem)):
        source = path.read_text(encoding="utf-8")
        runs = '__name__ == "__main__"' in source and path.parent.name != "peers"
        if runs and path.stem != "__main__":
            about = ast.get_docstring(ast.parse(source)) or ""
            known[path.stem] = (path, about.partition("\n")[0])
    return known


def main() -> int:
    """List the benchmarks, or run the one that is named."""
    known, (name, *rest) = described(), sys.argv[1:] or [""]
    if name in known:
        folders = [
            known[name][0].parent,
            FOLDER,
            *FOLDER.glob("[!_]*/"),
            SCRIPTS,
            *SCRIPTS.glob("[!_]*/"),
        ]
        sys.path[:0] = map(str, folders)
        os.environ["PYTHONPATH"] = os.pathsep.join(map(str, folders))  # of processes that it starts
        sys.argv = [str(known[name][0]), *rest]
        runpy.run_path(sys.argv[0], run_name="__main__")
        return 0
    if name not in ("", "-h", "--help"):
        near = ", ".join(difflib.get_close_matches(name, known))
        print(f"no benchmark {name!r}" + f"; did you mean: {near}" * bool(near), file=sys.stderr)
        return 2
    for one, (path, about) in known.items():
        of = path.parents[1] if PLUGINS in path.parents else path.parent
        print(f"{of.name:20} {one:20} {about}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

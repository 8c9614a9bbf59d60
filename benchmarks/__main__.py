"""Run a benchmark by its name, or list all: one door to what prints the figures of the docs.

    python -m benchmarks                  what there is, a line each
    python -m benchmarks NAME ARGUMENTS   run one, as `python benchmarks/NAME.py ARGUMENTS` does
    python -m benchmarks NAME ... | python -m benchmarks table

Benchmarks print a line of JSON for each row, or a table; ``table`` turns such lines into a table.
"""

import ast
import difflib
import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def described() -> dict[str, str]:
    """Return the first line of what each benchmark says of itself, by name."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        if path.stem != "__main__" and '__name__ == "__main__"' in source:
            found[path.stem] = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    return found


def main() -> int:
    """List the benchmarks, or run the one that is named."""
    known, (name, *rest) = described(), sys.argv[1:] or [""]
    if name in known:
        sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "scripts")]
        sys.argv = [str(FOLDER / f"{name}.py"), *rest]
        runpy.run_path(sys.argv[0], run_name="__main__")
        return 0
    if name not in ("", "-h", "--help"):
        near = ", ".join(difflib.get_close_matches(name, known))
        print(f"no benchmark {name!r}" + f"; did you mean: {near}" * bool(near), file=sys.stderr)
        return 2
    for one, about in known.items():
        print(f"{one:24} {about}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

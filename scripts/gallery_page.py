"""Write docs/gallery.md: the example scripts, cell by cell, with what each cell prints.

    uv run --group full python scripts/gallery_page.py

The scripts run in a temporary folder, on the bundled clips. What they print is checked by
``tests/test_examples.py``, that the page has their code by ``tests/test_prose.py``, and what they
draw is kept by ``pictures.py``.
"""

import contextlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "gallery.md"
SCRIPTS = ("my_library.py", "vectors_into_a_recommender.py", "new_songs_to_their_audience.py")
DRAWN = {  # by a cell of my_library.py: the file, and what it shows
    "map.png": "A map of 36 songs, coloured by genre",
    "vibe-ace.png": "Scores of a song over time: four versions, ten genres",
}
HEAD = """# The examples, run

<!-- not run: cells of scripts that tests/test_examples.py runs as a whole -->

Three scripts of [`examples/`](../examples/README.md) with what they print and draw, on the clips
that come with the repository. Written by `uv run --group full python scripts/gallery_page.py`.
"""
CELL = re.compile(r"^# %% ?", re.MULTILINE)


def cells(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return a script's first docstring line, and its cells: the comment on top and the code."""
    head, *parts = CELL.split(text)
    found = []
    for part in parts:
        title, _, code = part.partition("\n")
        lines = code.splitlines()
        while lines and lines[0].startswith("# "):  # a comment of several lines
            title += " " + lines.pop(0)[2:]
        found.append((title.strip(), "\n".join(lines).strip("\n")))
    return head.strip().strip('"').splitlines()[0], found


def section(script: str, out: Path) -> str:
    """Run a script and return its section of the page."""
    title, parts = cells((ROOT / "examples" / script).read_text(encoding="utf-8"))
    name, _, about = title.partition(": ")
    lines = [
        f"## {name}",
        "",
        f"{about[:1].upper()}{about[1:]}",
        f"[`{script}`](../examples/{script})",
    ]
    scope: dict[str, object] = {"__name__": "__main__"}
    sys.argv = [script, str(out)]
    for text, code in parts:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, script, "exec"), scope)  # noqa: S102 - our own scripts
        said = printed.getvalue().rstrip()
        for folder in (out, ROOT):
            said = said.replace(f"{folder}{os.sep}", "")
        lines += ["", text, "", "```python", code, "```"]
        if said:
            shown = "\n".join(line.rstrip() for line in said.splitlines())
            lines += ["", "```text", shown, "```"]
        for picture, about in DRAWN.items():
            if picture in code:
                lines += ["", f"![{about}](pictures/example-{picture})"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run all scripts and write the page."""
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        sections = [section(script, Path(folder)) for script in SCRIPTS]
    PAGE.write_text("\n".join([HEAD, *sections]), encoding="utf-8")


if __name__ == "__main__":
    main()

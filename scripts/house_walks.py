"""Count the functions that one value of a command passes on its way, one JSON line per walk.

    python scripts/house_walks.py [--root DIR] [--show] [NAME ...]

A walk runs a command on a small world of its own (a simulated log, songs of `fixtures/audio`) and
notes each function of `audiorec` and `audiorec_cli` that receives the value of one of its options,
as an argument or as a field of one other than `self`, in the order of their first calls. *Stays*
are these functions, *rooms* their modules. A walk *climbs* where the next function lies in a
package above that of the one before, by the floors in `docs/architecture.md`: the value came back
up, and goes down again. `files` counts how often it enters the package of files anew. ``--show``
lists the functions. DIR is a checkout of any revision that has these commands.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
WALKS = {
    "extract out": ("extract songs --out made.parquet -j1 -q", "made.parquet"),
    "recommend interactions": (
        "recommend sim-0000001 -i world/interactions.parquet -v vecs.parquet --json",
        "world/interactions.parquet",
    ),
    "similar vectors": ("similar {song} --vectors vecs.parquet --json", "vecs.parquet"),
    "recall train interactions": (
        "recall train vs-knn --interactions world/interactions.parquet --out model -q",
        "world/interactions.parquet",
    ),
}

TRACED = """
import dataclasses, json, os, sys
wanted, log, command = sys.argv[1], sys.argv[2], sys.argv[3:]
names = {wanted, os.path.abspath(wanted)}
seen = {}

def is_it(value, deep=2):
    if isinstance(value, (str, os.PathLike)):
        try:
            return os.fspath(value) in names
        except TypeError:
            return False
    if deep and dataclasses.is_dataclass(value) and not isinstance(value, type):
        return any(is_it(getattr(value, f.name, None), deep - 1) for f in dataclasses.fields(value))
    return False

def note(frame, event, _):
    if event != "call":
        return
    name = frame.f_globals.get("__name__", "")
    if name.partition(".")[0] not in ("audiorec", "audiorec_cli"):
        return
    code = frame.f_code
    key = f"{name}:{code.co_qualname if hasattr(code, 'co_qualname') else code.co_name}"
    if key in seen or code.co_name.startswith("<") or "dataclasses" in code.co_filename:
        return
    count = code.co_argcount + code.co_kwonlyargcount
    names_of = [n for n in code.co_varnames[:count] if n not in ("self", "cls")]
    if any(is_it(frame.f_locals.get(n)) for n in names_of):
        seen[key] = len(seen)

from audiorec_cli.main import main
sys.argv = ["audiorec", *command]
sys.setprofile(note)
try:
    main()
except SystemExit as end:
    status = end.code
finally:
    sys.setprofile(None)
    with open(log, "w") as file:
        json.dump({"exit": status, "seen": list(seen)}, file)
"""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(WALKS), metavar="NAME")
    parser.add_argument("--root", type=Path, default=HERE)
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        song = world(Path(folder), given.root.resolve())
        for name in given.names:
            command, value = WALKS[name]
            stays = walk(Path(folder), given.root.resolve(), command.format(song=song), value)
            print(json.dumps({"walk": name, **figures(stays)}), flush=True)
            if given.show:
                print("\n".join(f"  {stay}" for stay in stays), flush=True)


def world(folder: Path, root: Path) -> str:
    """Make songs, their store and a simulated log; return the id of a song."""
    (folder / "songs").mkdir()
    songs = sorted((HERE / "fixtures" / "audio").glob("*.mp3"))[:3]
    for path in songs:
        shutil.copy(path, folder / "songs")
    run(folder, root, "-m", "audiorec_cli.main", "extract", "songs", "-o", "vecs.parquet", "-q")
    simulate = ["listening", "simulate", "-v", "vecs.parquet", "--out", "world", "-q"]
    run(folder, root, "-m", "audiorec_cli.main", *simulate)
    return songs[0].name


def walk(folder: Path, root: Path, command: str, value: str) -> list[str]:
    """Run a command; return the functions that receive a value, in the order of first calls."""
    log = folder / "walk.json"
    run(folder, root, "-c", TRACED, value, str(log), *command.split())
    done: dict[str, Any] = json.loads(log.read_text())
    if done["exit"]:
        raise SystemExit(f"{command}: exit {done['exit']}")
    return list(done["seen"])


def run(folder: Path, root: Path, *arguments: str) -> None:
    """Run Python in the folder, with a checkout."""
    path = os.pathsep.join([str(root), str(root / "cli")])
    own = root / ".venv" / "bin" / "python"  # whose entry points are those of the checkout
    environment = {**os.environ, "PYTHONPATH": path, "AUDIOREC_DATA": str(folder / "own")}
    subprocess.run(
        [str(own) if own.exists() else sys.executable, "-P", *arguments],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def floors() -> dict[str, int]:
    """Return the floor of each package in the drawing of the house, the lowest 0."""
    drawing = (HERE / "docs" / "architecture.md").read_text().split("```")[1]
    rows = [re.findall(r"\[(\w+)\]", line) for line in drawing.splitlines()]
    rows = [["audiorec_cli"], *(row for row in rows if row)]
    return {name: len(rows) - n for n, row in enumerate(rows) for name in row}


def figures(stays: list[str]) -> dict[str, int]:
    """Count stays, rooms, climbs and entries to the package of files."""
    floor = floors()
    parts = [stay.partition(":")[0].split(".") for stay in stays]
    houses = [part[0] if part[0] == "audiorec_cli" else part[1] for part in parts]
    heights = [floor.get(house, 0) for house in houses]
    pairs = list(pairwise(houses))
    return {
        "stays": len(stays),
        "rooms": len({".".join(part) for part in parts}),
        "climbs": sum(b > a for a, b in pairwise(heights)),
        "files": sum(b == "files" != a for a, b in pairs),
    }


if __name__ == "__main__":
    main()

"""Hold a wheel and a source archive to what they should be: nothing missing, nothing stray.

    uv build --out-dir dist && python scripts/check_packages.py dist

The wheel holds what git tracks below ``audiorec/`` and ``cli/audiorec_cli/``, the songs of the demo
and its metadata. The
source archive holds what builds the wheel, and the tests with all that they read: who packages
audiorec for a system runs them. Prints the sizes; exits with 1 and a line for each fault.
"""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Tracked: installed.
PACKAGES = {
    "audiorec/": "audiorec/",
    "cli/audiorec_cli/": "audiorec_cli/",
    "fixtures/demo/": "audiorec/demo/",
}
METADATA = {
    "METADATA",
    "WHEEL",
    "RECORD",
    "entry_points.txt",
    "licenses/LICENSE",
    "licenses/NOTICE",
}
ADDED = {"PKG-INFO"}  # to the source archive
MOST_MB = {".whl": 13.5, ".tar.gz": 22.0}
SHOWN = 5
RELATIVE = re.compile(r"\]\((?!https?://|#)([^)\s]+)\)")  # a link or picture of Markdown


def tracked(root: Path) -> list[str]:
    """Return the files that git tracks."""
    text = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True
    ).stdout
    return [name for name in text.split("\0") if name]


def in_wheel(files: Iterable[str]) -> set[str]:
    """Return the names that tracked files have in the wheel."""
    return {
        new + name.removeprefix(old)
        for name in files
        for old, new in PACKAGES.items()
        if name.startswith(old)
    }


def in_source(files: Iterable[str], project: dict[str, object]) -> set[str]:
    """Return the tracked files that the source archive should have, by `pyproject.toml`."""
    found: object = project
    for key in ("tool", "hatch", "build", "targets", "sdist", "only-include"):
        found = found[key]  # type: ignore[index]
    places = [str(place) for place in found]  # type: ignore[attr-defined]
    return {n for n in files if n in places or any(n.startswith(f"{p}/") for p in places)}


def wheel_faults(path: Path, expected: set[str], project: dict[str, object]) -> Iterator[str]:
    """Yield what is wrong with a wheel."""
    with zipfile.ZipFile(path) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        info = next(n.partition("/")[0] for n in names if n.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        scripts = archive.read(f"{info}/entry_points.txt").decode()
    yield from _differences(path, names, expected | {f"{info}/{name}" for name in METADATA})
    about: dict[str, object] = project["project"]  # type: ignore[assignment]
    extras = set(about["optional-dependencies"])  # type: ignore[call-overload]
    if set(metadata.get_all("Provides-Extra", [])) != extras:
        yield f"{path.name}: its extras are not those of pyproject.toml"
    for name in about["scripts"]:  # type: ignore[attr-defined]
        if f"{name} = " not in scripts:
            yield f"{path.name}: has no command {name}"
    if dead := RELATIVE.findall(str(metadata.get_payload())):
        yield f"{path.name}: its description has {len(dead)} relative links, such as {dead[0]}"
    if not metadata.get_payload():
        yield f"{path.name}: has no description"
    for field in ("name", "version"):
        if metadata[field] != about[field]:
            yield f"{path.name}: its {field} is {metadata[field]}, not {about[field]}"


def source_faults(path: Path, expected: set[str]) -> Iterator[str]:
    """Yield what is wrong with a source archive."""
    with tarfile.open(path) as archive:
        names = {m.name.partition("/")[2] for m in archive if not m.isdir()}
        odd = [m.name for m in archive if not (m.isfile() or m.isdir())]
    yield from _differences(path, names, expected | ADDED)
    yield from (f"{path.name}: {name} is no plain file" for name in odd)


def _differences(path: Path, names: set[str], expected: set[str]) -> Iterator[str]:
    for what, found in (("lacks", expected - names), ("holds besides", names - expected)):
        if found:
            some = ", ".join(sorted(found)[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
            yield f"{path.name}: {what} {len(found)}: {some}"


def main(folder: Path) -> int:
    """Check both archives of a folder; return how many faults there are."""
    files = tracked(ROOT)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    faults: list[str] = []
    for ending, most in MOST_MB.items():
        (path,) = folder.glob(f"*{ending}")
        megabytes = path.stat().st_size / 1e6
        print(f"{path.name}: {megabytes:.1f} MB")
        if megabytes > most:
            faults.append(f"{path.name}: {megabytes:.1f} MB, the limit is {most} MB")
        if ending == ".whl":
            faults += wheel_faults(path, in_wheel(files), project)
        else:
            faults += source_faults(path, in_source(files, project))
    for fault in faults:
        print(fault, file=sys.stderr)
    return len(faults)


if __name__ == "__main__":
    sys.exit(bool(main(Path(sys.argv[1]))))

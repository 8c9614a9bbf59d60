"""Make every install path in a fresh environment: seconds, megabytes, and whether it works.

    uv build --out-dir dist && python -m benchmarks installs dist [--extra web ...] [--cold]

``pip`` and ``uv pip`` install the wheel into an environment, without an extra and with each one;
``pipx`` and ``uv tool`` install the command by itself, ``uvx`` runs it without an install. Each
environment then answers ``audiorec --version``, extracts a clip, and imports what the extra brings.
Downloads come from the package index; with ``--cold`` (and for ``uvx`` always) no cache is read, so
that the seconds have the network in them; processor time stands beside them, since other work on
the machine does not count there. One JSON line a path, and the machine first.

``--extra`` chooses extras (``none`` is the core), ``--path`` the tools. The environments are made
in a folder of their own, one after the other, and removed.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "fixtures" / "audio" / "jazz-vibraphone.mp3"
NONE = "none"
BRINGS = {  # what shows that an extra is there
    "train": "torch torchaudio",
    "cloud": "fsspec s3fs",
    "ray": "ray",
    "map": "umap",
    "sklearn": "sklearn",
    "pandas": "pandas",
    "polars": "polars",
    "watch": "watchfiles",
    "web": "starlette uvicorn h11",
}
PATHS = ("pip", "uv pip", "pipx", "uvx", "uv tool")
WITH_EXTRAS = ("pip", "uv pip")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dist", type=Path, help="the folder with the wheel")
    parser.add_argument("--extra", action="append", help="an extra, or none; by default all")
    parser.add_argument("--path", action="append", choices=PATHS, help="by default all")
    parser.add_argument("--cold", action="store_true", help="no cache of downloads")
    options = parser.parse_args()
    (wheel,) = options.dist.glob("*.whl")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = [NONE, *extras["optional-dependencies"]]
    assert set(known) == {NONE, *BRINGS}, "an extra is new: say what it brings"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    about = {"machine": machine, "python": platform.python_version(), "cold": options.cold}
    print(json.dumps({**about, "wheel_mb": round(wheel.stat().st_size / 1e6, 1)}), flush=True)
    for path in options.path or PATHS:
        for extra in options.extra or known if path in WITH_EXTRAS else (NONE,):
            made = MAKERS[path]
            with tempfile.TemporaryDirectory(prefix="audiorec-install-") as place:
                print(json.dumps(figures(path, extra, made, wheel, Path(place), options.cold)))
                sys.stdout.flush()


Maker = Callable[[str, Path, bool], "tuple[list[str], Path]"]


def figures(
    path: str, extra: str, make: Maker, wheel: Path, place: Path, cold: bool
) -> dict[str, object]:
    """Install by one path; return how long it took, how large it is, and whether it works."""
    started, before = time.monotonic(), cpu_seconds()
    wanted = str(wheel.resolve()) + ("" if extra == NONE else f"[{extra}]")
    command, environment = make(wanted, place, cold)
    seconds = time.monotonic() - started
    row: dict[str, object] = {"path": path, "extra": extra, "seconds": round(seconds, 1)}
    row["cpu_s"] = round(cpu_seconds() - before, 1)
    row["mb"] = round(size(environment) / 1e6)
    row["packages"] = len({p.name for p in environment.rglob("*.dist-info")})
    run([*command, "--version"], place)
    out = place / "vecs.parquet"
    before = cpu_seconds()
    run([*command, "extract", str(CLIP), "--out", str(out), "--quiet"], place)
    row["first_song_cpu_s"] = round(cpu_seconds() - before, 1)
    assert out.is_file()
    if extra != NONE:
        python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        row["cannot_import"] = [n for n in BRINGS[extra].split() if not imports(python, n, place)]
    return row


def imports(python: Path, name: str, place: Path) -> bool:
    """Return whether a module that an extra brings can be imported; says why not."""
    done = subprocess.run(
        [str(python), "-c", f"import {name}"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"{name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    return done.returncode == 0


def with_pip(wanted: str, place: Path, cold: bool) -> tuple[list[str], Path]:
    """Make an environment of the standard library, and install by pip."""
    environment = place / "venv"
    run([sys.executable, "-m", "venv", str(environment)], place)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    quiet = ["--quiet", "--disable-pip-version-check", *(["--no-cache-dir"] if cold else [])]
    run([str(python), "-m", "pip", "install", *quiet, wanted], place)
    return [str(python.with_name("audiorec"))], environment


def with_uv_pip(wanted: str, place: Path, cold: bool) -> tuple[list[str], Path]:
    """Make an environment and install by uv, which links what its cache has."""
    environment = place / "venv"
    run(["uv", "venv", "--quiet", "--python", sys.executable, str(environment)], place)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    quiet = ["--quiet", *(["--no-cache"] if cold else [])]
    run(["uv", "pip", "install", *quiet, "--python", str(python), wanted], place)
    return [str(python.with_name("audiorec"))], environment


def with_pipx(wanted: str, place: Path, cold: bool) -> tuple[list[str], Path]:
    """Install by pipx, which ``uvx`` fetches where it is not there."""
    pipx = ["pipx"] if shutil.which("pipx") else ["uvx", "pipx"]
    run([*pipx, "--version"], place)
    own = {"PIPX_HOME": str(place / "pipx"), "PIPX_BIN_DIR": str(place / "bin")}
    own |= {"PIP_NO_CACHE_DIR": "1"} if cold else {}
    run([*pipx, "install", wanted], place, own)
    return [str(place / "bin" / "audiorec")], place / "pipx" / "venvs" / "audiorec-music"


def with_uv_tool(wanted: str, place: Path, cold: bool) -> tuple[list[str], Path]:
    """Install by ``uv tool``."""
    own = {"UV_TOOL_DIR": str(place / "tools"), "UV_TOOL_BIN_DIR": str(place / "bin")}
    run(["uv", "tool", "install", *(["--no-cache"] if cold else []), wanted], place, own)
    return [str(place / "bin" / "audiorec")], place / "tools" / "audiorec-music"


def with_uvx(wanted: str, place: Path, _cold: bool) -> tuple[list[str], Path]:
    """Run the command by ``uvx``, which makes an environment in its cache: always a new one."""
    cache = place / "cache"
    command = ["uvx", "--cache-dir", str(cache), "--from", wanted, "audiorec"]
    run([*command, "--version"], place)
    (environment,) = {p.parents[3] for p in cache.glob("archive-v0/*/lib/*/site-packages/av")}
    return command, environment


MAKERS: dict[str, Maker] = {
    "pip": with_pip,
    "uv pip": with_uv_pip,
    "pipx": with_pipx,
    "uvx": with_uvx,
    "uv tool": with_uv_tool,
}


def cpu_seconds() -> float:
    """Return the processor time of the processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def size(folder: Path) -> int:
    """Return the bytes of the files below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files)


def run(command: list[str], place: Path, own: dict[str, str] | None = None) -> str:
    """Run a command as somebody without this repository would; return its stdout."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        command, cwd=place, env={**kept, **(own or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()

"""A package of others, installed: a module and the metadata that registers entry points."""

from pathlib import Path


def install(site: Path, name: str, code: str, group: str, entries: dict[str, str]) -> None:
    """Write the module of a distribution and its entry points of one group into a folder."""
    about = site / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (site / f"{name}.py").write_text(code)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{key} = {value}\n" for key, value in entries.items())
    (about / "entry_points.txt").write_text(f"[{group}]\n{lines}")

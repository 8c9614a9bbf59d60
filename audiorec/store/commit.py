"""Files put in place, all or none.

new files, staged beside their targets ──commit_staged──▶ all of them in place, or none
"""

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from audiorec.errors import InputError, StoreError
from audiorec.files.own_files import RunFolder, read_object, sync, write_own
from audiorec.store.schema import Kind, open_checked

# Of an unfinished run: the kind of row, and a number that grows with every part.
PART_FILES = rf"({'|'.join(Kind)})-(\d{{6,9}})\.parquet"
MARKER = "commit.json"
MARKER_SCHEMA = "audiorec/commit/2"
Targets = Mapping[Kind, Path]


def real_target(path: Path, kind: Kind) -> Path:
    """Resolve an output path; if it is a link, it must lead to a store file of this kind."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    try:
        open_checked(target, kind).file.close()
    except StoreError as error:
        raise StoreError(
            f"{path}: links to something other than a {kind} file of audiorec ({error}); remove "
            "the link, or name its target instead"
        ) from error
    return target


def check_apart(paths: Collection[Path]) -> None:
    """Refuse outputs if two of them are the same file."""
    if len({path.resolve() for path in paths}) != len(paths):
        raise InputError(f"two outputs are the same file: {', '.join(map(str, paths))}")


def staged_path(target: Path, run_dir: Path) -> Path:
    """Return the path of the staged content of `target`: a hidden file in the same folder."""
    return target.with_name(f".{target.name}.{run_dir.name}.staged")


def commit_staged(targets: Targets, folder: RunFolder) -> None:
    """Replace each target (as `real_target` returns it) with its staged file, in this order.

    New files are first written completely beside their targets. Then one small file, the marker,
    names them. Once the marker exists the commit is decided: the next run that finds it carries out
    the remaining renames. Without a marker, the next run discards the staged files. A marker may
    have been planted, so it is not trusted with paths: it only says which kinds of file are to be
    moved.
    """
    staged = [staged_path(target, folder.path) for target in targets.values()]
    marker = folder.path / MARKER
    files = {kind: target.name for kind, target in targets.items()}
    try:
        for path in staged:
            sync(path)
        write_own(marker, json.dumps({"schema": MARKER_SCHEMA, "files": files}))
    except OSError:
        if not marker.exists():  # not committed: free the disk space
            for path in staged:
                path.unlink(missing_ok=True)
        raise
    finish_commit(targets, folder.path)


def finish_commit(targets: Targets, run_dir: Path) -> bool:
    """Carry out the moves that a marker lists (`pending_moves`); return whether there was one."""
    moves = pending_moves(targets, run_dir)
    for staged, target in (moves or {}).items():
        staged.replace(target)
        sync(target.parent)
    return moves is not None


def pending_moves(targets: Targets, run_dir: Path) -> dict[Path, Path] | None:
    """Return the moves left to do, staged to target; None if there is no marker."""
    marker = run_dir / MARKER
    try:
        names = _read_marker(marker)
    except FileNotFoundError:
        return None
    moves = {}
    for kind, name in names.items():
        if kind not in targets or targets[kind].name != name:
            raise StoreError(
                f"{marker}: a run was interrupted while it wrote {name!r}, which is not an output "
                "of this command: finish that run with the same command, or remove the folder"
            )
        staged = staged_path(targets[kind], run_dir)
        if os.path.lexists(staged):
            open_checked(staged, kind).file.close()
            moves[staged] = targets[kind]
        elif not targets[kind].exists():
            raise StoreError(f"{targets[kind]}: lost: neither it nor {staged.name} exists any more")
    return moves


def _read_marker(marker: Path) -> dict[Kind, str]:
    try:
        content = read_object(marker)
        if content.get("schema") != MARKER_SCHEMA:
            raise StoreError(
                f"{marker}: not written by this version of audiorec; inspect its folder, and "
                "remove it to start afresh"
            )
        return {Kind(kind): str(name) for kind, name in content["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{marker}: damaged; inspect its folder, and remove it to start afresh"
        ) from error


def tidy(targets: Targets, folder: RunFolder, *, forget: bool) -> None:
    """Finish an interrupted commit, or discard an undecided one; with `forget`, discard both."""
    if forget or finish_commit(targets, folder.path):
        folder.clear(last=MARKER)
    for target in targets.values():
        staged = staged_path(target, folder.path)
        if os.path.lexists(staged):  # left over from an interrupted run
            staged.unlink()

"""Put several finished files in their places so that all of them arrive, or none.

New files are first written whole beside their targets. Then one small file, the marker,
names them. From that moment the commit holds: whoever finds the marker carries out the
renames that are left. Before it, whoever finds the new files throws them away.

A marker may have been planted, so it moves nothing on its own word: it says which kinds of
file are to arrive, and the places are those of the run that finds it.
"""

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from audiorec.errors import InputError, StoreError
from audiorec.files.atomic import replaced, sync
from audiorec.files.own_files import read_own, refuse_foreign
from audiorec.files.run_folder import RunFolder
from audiorec.store.parquet import open_checked
from audiorec.store.schema import Kind

MARKER = "commit.json"
MARKER_SCHEMA = "audiorec/commit/2"
MAX_MARKER_BYTES = 1 << 16
Targets = Mapping[Kind, Path]


def real_target(path: Path, kind: Kind) -> Path:
    """Return the file that an output is; a link must lead to a store file of this kind."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    try:
        open_checked(target, kind).file.close()
    except StoreError as error:
        raise StoreError(
            f"{path}: is a link to what is no {kind} file of audiorec ({error}); remove the "
            "link, or name the place that it leads to"
        ) from error
    return target


def check_apart(paths: Collection[Path]) -> None:
    """Refuse outputs of which two are one file."""
    if len({path.resolve() for path in paths}) != len(paths):
        raise InputError(f"two outputs are one file: {', '.join(map(str, paths))}")


def staged_path(target: Path, run_dir: Path) -> Path:
    """Return where the new content of `target` is written: hidden, in the same folder."""
    return target.with_name(f".{target.name}.{run_dir.name}.staged")


def commit_staged(targets: Targets, folder: RunFolder) -> None:
    """Replace each target, as `real_target` returns it, by its staged file, in this order."""
    staged = [staged_path(target, folder.path) for target in targets.values()]
    marker = folder.path / MARKER
    files = {kind: target.name for kind, target in targets.items()}
    try:
        for path in staged:
            sync(path)
        with replaced(marker) as temporary:
            temporary.write_text(json.dumps({"schema": MARKER_SCHEMA, "files": files}))
    except OSError:
        if not marker.exists():  # the commit does not hold: give the room back
            for path in staged:
                path.unlink(missing_ok=True)
        raise
    finish_commit(targets, folder.path)


def finish_commit(targets: Targets, run_dir: Path) -> bool:
    """Carry out what a marker lists (`pending_moves`); return whether there was one."""
    moves = pending_moves(targets, run_dir)
    for staged, target in (moves or {}).items():
        staged.replace(target)
        sync(target.parent)
    return moves is not None


def pending_moves(targets: Targets, run_dir: Path) -> dict[Path, Path] | None:
    """Return what a marker still has to move, staged to target; None if there is no marker."""
    marker = run_dir / MARKER
    try:
        names = _read_marker(marker)
    except FileNotFoundError:
        return None
    moves = {}
    for kind, name in names.items():
        if kind not in targets or targets[kind].name != name:
            raise StoreError(
                f"{marker}: a run was cut off while it wrote {name!r}, which is no output of "
                "this command: finish that run with the same command, or remove the folder"
            )
        staged = staged_path(targets[kind], run_dir)
        if os.path.lexists(staged):
            refuse_foreign(staged)
            open_checked(staged, kind).file.close()
            moves[staged] = targets[kind]
        elif not targets[kind].exists():
            raise StoreError(
                f"{targets[kind]}: lost: neither it nor {staged.name} is there any more"
            )
    return moves


def _read_marker(marker: Path) -> dict[Kind, str]:
    try:
        content = json.loads(read_own(marker, MAX_MARKER_BYTES))
        if not isinstance(content, dict) or content.get("schema") != MARKER_SCHEMA:
            raise StoreError(
                f"{marker}: not written by this audiorec; look at its folder, and remove it "
                "to start anew"
            )
        return {Kind(kind): str(name) for kind, name in content["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"{marker}: damaged; look at its folder, and remove it to start anew"
        ) from error


def tidy(targets: Targets, folder: RunFolder, *, forget: bool) -> None:
    """Finish a commit that was cut off, or throw away one that did not hold yet; `forget`: all."""
    if forget or finish_commit(targets, folder.path):
        folder.clear(last=MARKER)
    for target in targets.values():
        staged = staged_path(target, folder.path)
        if os.path.lexists(staged):  # what an earlier run did not come to use, if it is ours
            refuse_foreign(staged)
            staged.unlink()

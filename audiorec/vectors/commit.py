"""Put several finished files in their places so that all of them arrive, or none.

New files are first written whole beside their targets. Then one small file, the marker,
lists them. From that moment the commit holds: whoever finds the marker carries out the
renames that are left. Before it, whoever finds the new files throws them away.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from audiorec.errors import StoreError
from audiorec.vectors.atomic import replaced, sync
from audiorec.vectors.lock import LOCK_FILE

MARKER = "commit.json"


def staged_path(target: Path, run_dir: Path) -> Path:
    """Return where the new content of `target` is written: hidden, in the same folder.

    A link stays a link: what it points to is the target.
    """
    target = Path(os.path.realpath(target))
    return target.parent / f".{target.name}.{run_dir.name}.staged"


def commit_staged(targets: Sequence[Path], run_dir: Path) -> None:
    """Replace each target by its staged file, in this order."""
    pairs = [(staged_path(target, run_dir), os.path.realpath(target)) for target in targets]
    # Relative, so that a folder may be moved between a crash and the next start.
    folder = os.path.realpath(run_dir.parent)
    names = [[os.path.relpath(path, folder) for path in pair] for pair in pairs]
    marker = run_dir / MARKER
    try:
        for staged, _ in pairs:
            sync(staged)
        with replaced(marker) as temporary:
            temporary.write_text(json.dumps({"files": names}))
    except OSError:
        if not marker.exists():  # the commit does not hold: give the room back
            for staged, _ in pairs:
                staged.unlink(missing_ok=True)
        raise
    finish_commit(run_dir)


def finish_commit(run_dir: Path) -> bool:
    """Carry out what a marker lists; return whether there was one.

    Raises
    ------
    StoreError
        If the marker is damaged, or a file that it lists is nowhere.
    """
    marker = run_dir / MARKER
    if not marker.exists():
        return False
    for staged, target in _read_marker(marker):
        if staged.exists():
            staged.replace(target)
            sync(target.parent)
        elif not target.exists():
            raise StoreError(f"{target}: lost: neither it nor {staged.name} is there any more")
    return True


def _read_marker(marker: Path) -> list[tuple[Path, Path]]:
    folder = Path(os.path.realpath(marker.parent.parent))
    try:
        pairs = json.loads(marker.read_text())["files"]
        return [(folder / staged, folder / target) for staged, target in pairs]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{marker}: damaged: {error!r}; remove its folder to start anew"
        ) from error


def clear(run_dir: Path) -> None:
    """Remove what a run left but for its lock; the marker last, since it explains the rest."""
    rest = [path for path in run_dir.iterdir() if path.name not in (MARKER, LOCK_FILE)]
    for path in [*sorted(rest), run_dir / MARKER]:
        path.unlink(missing_ok=True)


def tidy(targets: Sequence[Path], run_dir: Path, *, forget: bool) -> None:
    """Finish a commit that was cut off, or throw away one that had not begun to hold.

    With `forget`, nothing of the unfinished run stays.
    """
    if finish_commit(run_dir) or forget:
        clear(run_dir)
    for target in targets:
        staged_path(target, run_dir).unlink(missing_ok=True)

"""How far a computation is: a line on stderr every half minute."""

import time
from collections.abc import Callable

from audiorec_cli.shared.console import say

LINE_EVERY_S = 30.0


def progress_lines(*, quiet: bool) -> Callable[[str, int, int], None]:
    """Return a callback of what is done, the steps done and all steps."""
    last = time.monotonic()

    def update(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if not quiet and now - last >= LINE_EVERY_S:
            last = now
            say(f"{what}: {done:,}/{total:,}")

    return update

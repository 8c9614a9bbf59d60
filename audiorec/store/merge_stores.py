"""Two or more stores become one.

    merge_stores(["home.parquet", "work.parquet"], "all.parquet")

Only stores of one extractor can be one store. A song id that stands in two of them is one
song if its ``content_hash`` is the same; the newer row stays. Otherwise two songs have one
name, and either the merge is refused or the first store wins.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from audiorec.errors import InputError
from audiorec.store.compact import combine
from audiorec.store.same_id import OnDuplicate
from audiorec.store.schema import Kind

_POLICIES: Mapping[str, OnDuplicate] = {"error": "same", "first": "first"}


def merge_stores(
    stores: Sequence[Path],
    out: Path,
    *,
    on_duplicate: Literal["error", "first"] = "error",
    beside: Mapping[Kind, tuple[Sequence[Path], Path]] | None = None,
) -> dict[Kind, int]:
    """Merge stores, and files beside them.

    Parameters
    ----------
    stores : sequence of Path
        Two or more ``vecs.parquet``; `out` may be one of them.
    out : Path
        Replaced if it exists, together with the files beside it, or not at all.
    on_duplicate : {"error", "first"}
        What happens if two different songs have one id.
    beside : mapping of Kind to (sequence of Path, Path), optional
        Scores, features or failures to merge as well, and where they go.

    Returns
    -------
    rows : dict of Kind to int

    Raises
    ------
    SpecMismatchError
        If the stores are of different extractors; names both and what differs.
    InputError
        If there are fewer than two stores, or two songs have one id; names both stores.
    StoreError
        If a file is damaged.
    """
    if len({path.resolve() for path in stores}) < 2:
        raise InputError("merge takes two stores or more")
    parts: dict[Kind, Sequence[Path]] = {Kind.VECTORS: stores}
    outputs = {Kind.VECTORS: out}
    for kind, (paths, target) in (beside or {}).items():
        parts[kind], outputs[kind] = paths, target
    return combine(parts, outputs, on_duplicate=_POLICIES[on_duplicate])

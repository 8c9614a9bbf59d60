"""The sidecar of an index: what faiss' file beside it is, in JSON.

vecs.faiss        what faiss wrote, meaningless without
vecs.faiss.json   the extractor, the store's fingerprint, the scaling, the sha256, and a
                  digest of all that
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from audiorec.errors import MissingStoreError, StoreError
from audiorec.files.atomic import replaced
from audiorec.files.json_files import parse_json, sealed, unsealed
from audiorec.files.own_files import open_own, read_own
from audiorec.search.scaling import Scaling

SCHEMA = "audiorec/index/1"
SUFFIX = ".faiss"
MAX_SIDECAR_BYTES = 4 << 20
Kind = Literal["flat", "hnsw", "ivf"]
KINDS: tuple[Kind, ...] = ("flat", "hnsw", "ivf")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexInfo:
    """The sidecar: what an index is, and of what.

    Attributes
    ----------
    kind : {"flat", "hnsw", "ivf"}
    extractor_id, fingerprint : str
        Of the store when the index was built.
    rows, width : int
        Songs, and numbers of each in the index.
    scaling : mapping
        See `Scaling.to_dict`.
    sha256 : str
        Of faiss' file.
    recall_at_10 : float or None
        Part of the ten nearest songs that the index finds, measured when it was built.
    parameters : mapping of str to int
    created_by, faiss : str
        Versions.
    """

    kind: Kind
    extractor_id: str
    fingerprint: str
    rows: int
    width: int
    scaling: Mapping[str, Any] = field(repr=False)
    sha256: str
    recall_at_10: float | None
    parameters: Mapping[str, int]
    created_by: str = ""
    faiss: str = ""

    @property
    def exact(self) -> bool:
        """Whether no near song can be missing."""
        return self.kind == "flat"

    def to_dict(self) -> dict[str, Any]:
        """Return the sidecar's JSON object."""
        return {"schema": SCHEMA, **asdict(self)}


def index_path(store_path: Path) -> Path:
    """Return where the index of a store lies: beside it, ``vecs.parquet`` → ``vecs.faiss``."""
    return store_path.with_suffix(SUFFIX)


def sidecar_path(path: Path) -> Path:
    """Return the path of an index's sidecar: ``vecs.faiss`` → ``vecs.faiss.json``."""
    return path.with_name(f"{path.name}.json")


def write_info(path: Path, info: IndexInfo) -> None:
    """Write the sidecar of the index at `path`, whole or not at all."""
    with replaced(sidecar_path(path)) as temporary:
        temporary.write_text(json.dumps(sealed(info.to_dict()), allow_nan=False))


def read_info(path: Path) -> IndexInfo:
    """Read the sidecar of an index.

    Raises
    ------
    StoreError
        If it is missing, damaged, or of a newer form.
    """
    sidecar = sidecar_path(path)
    try:
        text = read_own(sidecar, MAX_SIDECAR_BYTES)
        content = unsealed(parse_json(text, max_bytes=MAX_SIDECAR_BYTES))
    except FileNotFoundError as error:
        raise MissingStoreError(
            f"{sidecar}: no such file; build it: audiorec index build"
        ) from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{sidecar}: damaged: build it again: audiorec index build") from error
    if content.pop("schema", None) != SCHEMA:
        raise StoreError(f"{sidecar}: not the sidecar of an index that this audiorec reads")
    try:
        info = IndexInfo(**content)
        good = info.kind in KINDS and all(type(v) is int for v in (info.rows, info.width))
        good = good and len(Scaling.from_dict(info.scaling).columns) == info.width
    except (TypeError, StoreError) as error:
        raise StoreError(f"{sidecar}: damaged: {error}") from error
    if not good:
        raise StoreError(f"{sidecar}: damaged: its fields do not go together")
    return info


def sha256_of(path: Path) -> str:
    """Return the sha256 of the content of a file of audiorec's own as hex digits."""
    with open_own(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

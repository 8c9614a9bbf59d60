"""User ids in the form that parties compare, and ``aligned.parquet``: the users common to all.

The file has one row per common user, in the agreed order.

=============  ==================================================================
column         what
=============  ==================================================================
user_id        string, this party's id of the user; empty if the user was forgotten
=============  ==================================================================

Batches are drawn by row number, so rows are never removed: a user who is forgotten keeps a row with
an empty id and no data. The metadata key ``audiorec`` is a JSON object: ``kind``, ``alignments``
(the id of the alignment with each other party), ``format_version``.
"""

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from audiorec.errors import InputError, MissingStoreError, StoreError
from audiorec.files.own_files import write_errors
from audiorec.files.tables import TableFile, table_writer
from audiorec.recall.federated.protocol import HEX, MAX_IDS
from audiorec.store.schema import METADATA_KEY, metadata_object

KIND = "alignment"
FORMAT_VERSION = 1
SCHEMA = pa.schema([pa.field("user_id", pa.string(), nullable=False)])
HOW = "align with the other party: audiorec federated align --config FILE --yes"


@dataclass(frozen=True, slots=True)
class Alignment:
    """Users common to all parties, in the agreed order.

    Attributes
    ----------
    user_ids : tuple of str, length n
        This party's ids.
    ids : tuple of str
        Id of the alignment with each other party: 64 hex digits, equal on both sides if both have
        the same rows in the same order. One at an item side.
    """

    user_ids: tuple[str, ...]
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.user_ids)


@dataclass(frozen=True, slots=True)
class Normalised:
    """Distinct ids in the form that the parties compare, sorted.

    Attributes
    ----------
    forms : tuple of str
    originals : tuple of str
        Original id of each form: the first of those that became equal.
    merged : int
        Number of ids dropped because their form equals that of another.
    """

    forms: tuple[str, ...]
    originals: tuple[str, ...]
    merged: int

    def __len__(self) -> int:
        return len(self.forms)

    @classmethod
    def of(cls, ids: Iterable[str]) -> "Normalised":
        """Normalise ids: Unicode NFC, without white space at the ends.

        Raises
        ------
        InputError
            If a normalised id is empty, or there are more than 200 million.

        Examples
        --------
        >>> Normalised.of(["Zoë ", "7", "Zoë"]).forms
        ('7', 'Zoë')
        """
        found: dict[str, str] = {}
        given = 0
        for one in ids:
            given += 1
            form = unicodedata.normalize("NFC", one).strip()
            if not form:
                raise InputError(f"user id {one!r} is empty without its white space")
            found.setdefault(form, one)
        if len(found) > MAX_IDS:
            raise InputError(f"{len(found):,} ids; the protocol allows {MAX_IDS:,}")
        forms = tuple(sorted(found))
        return cls(forms, tuple(found[form] for form in forms), given - len(found))


def write_alignment(path: Path, alignment: Alignment) -> None:
    """Write an alignment atomically."""
    about = {
        "kind": KIND,
        "alignments": list(alignment.ids),
        "format_version": FORMAT_VERSION,
    }
    schema = SCHEMA.with_metadata({METADATA_KEY: json.dumps(about).encode()})
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with table_writer(path, schema) as writer:
            table = pa.table({"user_id": pa.array(alignment.user_ids, pa.string())}, schema=schema)
            writer.write_table(table)


def read_alignment(path: Path) -> Alignment:
    """Read what `write_alignment` wrote.

    Raises
    ------
    StoreError
        If it is missing, damaged or not an alignment.
    """
    try:
        with TableFile.open(path) as file:
            text = (file.schema.metadata or {}).get(METADATA_KEY)
            about = metadata_object(text) if text else {}
            if about.get("kind") != KIND:
                raise StoreError(f"{path}: holds {about.get('kind') or 'no alignment'}; {HOW}")
            if about.get("format_version") != FORMAT_VERSION:
                raise StoreError(
                    f"{path}: format version {about.get('format_version')}, this audiorec reads "
                    f"{FORMAT_VERSION}; a newer audiorec may read it"
                )
            names = about.get("alignments")
            if not isinstance(names, list) or not names or not all(map(_is_name, names)):
                raise StoreError(f"{path}: has no valid alignment ids; {HOW}")
            table = file.read_as(SCHEMA)
    except MissingStoreError as error:
        raise MissingStoreError(f"{path}: no such file; {HOW}") from error
    return Alignment(tuple(table.column("user_id").to_pylist()), tuple(names))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and bool(HEX.fullmatch(value))

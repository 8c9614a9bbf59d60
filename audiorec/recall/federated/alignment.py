"""``aligned.parquet``: the users common to all parties, one row each, in the agreed order.

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
from pathlib import Path

import pyarrow as pa

from audiorec.errors import MissingStoreError, StoreError
from audiorec.files.atomic import write_errors
from audiorec.files.tables import TableFile, table_writer
from audiorec.recall.federated.protocol import HEX
from audiorec.recall.federated.psi import Alignment
from audiorec.store.schema import METADATA_KEY, metadata_object

KIND = "alignment"
FORMAT_VERSION = 1
SCHEMA = pa.schema([pa.field("user_id", pa.string(), nullable=False)])
HOW = "align with the other party: audiorec federated align --config FILE --yes"


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

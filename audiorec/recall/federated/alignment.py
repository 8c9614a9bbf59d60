"""``aligned.parquet``: the users that all parties have, a row each, in the order agreed on.

=============  ==================================================================
column         what
=============  ==================================================================
user_id        string, as this party writes it; empty for one who was forgotten
=============  ==================================================================

Row numbers are what steps are drawn from, so no row ever goes: a user who leaves becomes an empty
id, of whom nothing is known any more. The metadata key ``audiorec`` is one JSON: ``kind``,
``alignments`` (what each other party calls these rows), ``format_version``.
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
    """Write an alignment, whole or not at all."""
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
        If it is missing, damaged or something else.
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
                raise StoreError(f"{path}: does not say what its alignments are called; {HOW}")
            table = file.read_as(SCHEMA)
    except MissingStoreError as error:
        raise MissingStoreError(f"{path}: no such file; {HOW}") from error
    return Alignment(tuple(table.column("user_id").to_pylist()), tuple(names))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and bool(HEX.fullmatch(value))

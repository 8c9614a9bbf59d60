"""docs/formats.md has the columns of each file and their types, as the stored samples have them."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.errors import Failure
from audiorec.types import Status

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "formats.md").read_text()
FILES = {
    "vecs.parquet": "vecs-v1-sound",
    "vecs.copies.parquet": "copies-v1",
    "vecs.errors.parquet": "errors-v1",
    "scores.parquet": "scores-v1",
    "features.parquet": "features-v1",
    "aliases.parquet": "aliases-v1",
}
TYPES = {
    "string": pa.string(),
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "timestamp, microseconds, UTC": pa.timestamp("us", tz="UTC"),
}


def section(heading):
    """Return the part of the page below a heading."""
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(heading):
    """Yield each column of the first table below a heading, and its type."""
    body = section(heading).partition("| column | type |")[2].partition("\n\n")[0]
    for named, kind in re.findall(r"^\| (`.*?) \| (.*?) \|", body, re.MULTILINE):
        names = re.findall(r"`([^`]+)`", named)
        kinds = kind.split(", ") if kind.count(", string") else [kind] * len(names)
        yield from zip(names, kinds, strict=True)


@pytest.mark.parametrize("heading", FILES)
def test_the_page_has_every_column_with_its_type(heading):
    schema = pq.read_schema(ROOT / "fixtures" / "formats" / f"{FILES[heading]}.parquet")
    said = dict(rows(heading))
    known = set()
    for field in schema:
        name = re.sub("^msd_penultimate", "<output>", re.sub("^tag_.*", "tag_sad", field.name))
        assert name in said, f"{name} is not on the page"
        known.add(name)
        kind, _, null = said[name].partition(", not ")
        if kind in TYPES:
            assert TYPES[kind] == field.type, name
            assert field.nullable == (not null), name
    assert {*said} - known <= {"tag_happy", "bpm_other"}  # one of many tags; absent in the sample


def test_the_page_has_every_status():
    assert re.findall(r"^\| `(\w+)` \|", section("vecs.errors.parquet"), re.MULTILINE)[-13:] == [
        *Failure
    ]
    statuses = section("vecs.parquet").partition("### status")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", statuses, re.MULTILINE)) == set(Status)

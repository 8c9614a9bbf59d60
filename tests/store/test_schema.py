"""`audiorec.store.schema`: the JSON there and back, the widths, every refusal."""

import json
from dataclasses import asdict, fields, replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import StoreError
from audiorec.store.schema import (
    Kind,
    StoreMetadata,
    feature_column,
    schema_of,
)

TEXTS = st.text(min_size=1, max_size=8)


def edited(metadata: StoreMetadata, **changes: object) -> str:
    """The metadata's JSON with some values replaced, whatever they are."""
    return json.dumps(asdict(metadata) | changes)


def test_json_there_and_back(metadata):
    assert StoreMetadata.from_json(metadata.to_json()) == metadata
    assert StoreMetadata.from_json(metadata.to_json().encode()) == metadata


@given(
    st.builds(
        StoreMetadata,
        kind=st.sampled_from(Kind),
        extractor_id=TEXTS,
        classes=st.lists(TEXTS, min_size=1, max_size=5, unique=True).map(tuple),
        statistics=st.lists(TEXTS, min_size=1, max_size=5, unique=True).map(tuple),
        spec=st.dictionaries(TEXTS, st.integers() | st.floats(allow_nan=False) | TEXTS)
        .filter(lambda spec: float("inf") not in spec.values())
        .filter(lambda spec: float("-inf") not in spec.values()),
        weights=st.lists(st.dictionaries(TEXTS, TEXTS), max_size=2).map(tuple),
        packages=st.dictionaries(TEXTS, TEXTS),
        created_by=st.text(),
    )
)
def test_any_metadata_makes_the_same_schema_again(metadata):
    again = StoreMetadata.from_json(metadata.to_json())
    assert again == metadata
    assert schema_of(again).equals(schema_of(metadata), check_metadata=True)


def test_keys_of_a_later_release_are_passed_over(metadata):
    assert StoreMetadata.from_json(edited(metadata, mood="blue")) == metadata


def test_newer_format_is_named_before_anything_else_is_looked_at():
    with pytest.raises(StoreError, match="format version 4, this audiorec reads 1"):
        StoreMetadata.from_json('{"format_version": 4}')


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not JSON"),
        ("[1]", "expected an object"),
        (b"\xff\xfe", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("{}", "'format_version': expected a whole number, got None"),
        ('{"format_version": true}', "expected a whole number, got True"),
        ('{"format_version": 1}', "is not that of a store: 'kind'"),
    ],
)
def test_refuses_what_is_no_metadata(text, match):
    with pytest.raises(StoreError, match=match):
        StoreMetadata.from_json(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "songs"),
        ("classes", []),
        ("classes", ["a", "a"]),
        ("weights", 7),
        ("lists", {"touch": 5}),
        ("tags", {"mood": "tags 1"}),
        ("features", {"song_id": 5}),
        ("features", {"a": 5, "a_mean": 5}),
    ],
)
def test_refuses_wrong_values_by_name(metadata, name, value):
    with pytest.raises(StoreError, match=f"metadata ('{name}': expected|is not that of a store)"):
        StoreMetadata.from_json(edited(metadata, **{name: value}))


def test_constructor_checks_as_well(metadata):
    with pytest.raises(StoreError, match="classes"):
        replace(metadata, classes=())


def test_widths_follow_the_metadata(metadata):
    assert metadata.dimension == 18
    assert schema_of(metadata).field("vector").type.list_size == 18
    scores = schema_of(replace(metadata, kind=Kind.SCORES))
    assert scores.field("scores").type.value_type.list_size == 3
    features = schema_of(replace(metadata, kind=Kind.FEATURES))
    assert features.field("msd_penultimate").type.value_type.list_size == 5
    assert features.field("msd_penultimate_mean").type.list_size == 5


def test_order_of_the_features_does_not_matter(metadata):
    unsorted = replace(metadata, kind=Kind.FEATURES, features={"mtt_tags": 5, "msd_tags": 7})
    again = StoreMetadata.from_json(unsorted.to_json())
    assert schema_of(again).equals(schema_of(unsorted))


def test_vectors_are_not_null_at_both_levels(metadata):
    column = schema_of(metadata).field("vector")
    assert not column.nullable
    assert not column.type.value_field.nullable


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_starts_with_the_id_and_carries_the_metadata(metadata, kind):
    schema = schema_of(replace(metadata, kind=kind))
    assert schema.field(0).equals(pa.field("song_id", pa.string(), nullable=False))
    assert StoreMetadata.from_json(schema.metadata[b"audiorec"]).kind == kind


def test_nullable_columns_of_the_vectors_file(metadata):
    schema = schema_of(metadata)
    nullable = {field.name for field in schema if field.nullable}
    tags = {"title", "artist", "album", "isrc", "musicbrainz_trackid"}
    assert nullable == tags | {"claimed_s", "loudness_lufs"}


def test_feature_column():
    assert feature_column("mtt.tags") == "mtt_tags"


def test_json_has_all_fields(metadata):
    metadata = replace(
        metadata,
        attributes={"bpm": "a method"},
        tags={"year": "a way"},
        lists={"sound": 2},
        sound_id="a projection",
    )
    assert set(json.loads(metadata.to_json())) == {f.name for f in fields(metadata)}

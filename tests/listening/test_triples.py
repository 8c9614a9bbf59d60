from pathlib import Path

import pytest

from audiorec.errors import InputError
from audiorec.listening.side import read_triples

FORMATS = Path("fixtures/formats")


@pytest.mark.parametrize("name", ["triples-v1.csv", "triples-v1.parquet"])
def test_the_sample_of_version_1_is_read_for_good(name):
    found = read_triples(FORMATS / name)
    facts = [
        (found.entity_ids[h], found.relations[r], found.entity_ids[t], round(float(w), 2))
        for h, r, t, w in zip(found.head, found.relation, found.tail, found.weight, strict=True)
    ]
    assert facts == [
        ("song:piano/etude.flac", "by", "artist:Frédéric", 1),
        ("song:rock/live.mp3", "by", "artist:The Amps", 1),
        ("artist:The Amps", "similar", "artist:Frédéric", 0.1),
        ("song:rock/live.mp3", "has", "genre:rock", 2),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("song:a,by,artist:x,1\nsong:a,by,Ayla,1", r"tail has no type: 'Ayla' in row 2.*song:ID"),
        ("song:,by,artist:x,1", "head has no type"),
        ("Song:a,by,artist:x,1", "head has no type"),
        ("song:a,,artist:x,1", "the relation is empty"),
        ("song:a,by,artist:x,0", "weight is not above 0: '0'"),
        ("song:a,by,artist:x,much", "weight is not above 0: 'much'"),
        ("song:a,by,artist:x,inf", "weight is not above 0"),
        ("song:a,by,artist:x,1\nsong:a,by,artist:x,2", "is duplicated.*row 2"),
        ("", "has no rows"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, rows, message):
    path = tmp_path / "triples.csv"
    path.write_text(f"head,relation,tail,weight\n{rows}\n")
    with pytest.raises(InputError, match=message):
        read_triples(path)


def test_a_weight_is_optional_and_a_column_is_not(tmp_path):
    path = tmp_path / "triples.csv"
    path.write_text("head,relation,tail\nsong:a,by,artist:x\n")
    assert read_triples(path).weight.tolist() == [1]
    path.write_text("head,tail\nsong:a,artist:x\n")
    with pytest.raises(InputError, match="has no column relation"):
        read_triples(path)

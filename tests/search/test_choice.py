import numpy as np
import pytest

from audiorec.errors import InputError
from audiorec.library.library import open_store
from audiorec.search.questions import Choice

STORE = "fixtures/formats/vecs-v1.parquet"


def test_conditions_that_nobody_meets_together_are_counted_one_by_one():
    store = open_store(STORE)
    found = store.chosen(Choice(only="artist=anna, duration<10"))
    assert not found.allowed.any()
    assert (
        found.unmet
        == "no song meets artist=anna, duration<10: 2 meet artist=anna, 1 meet duration<10"
    )
    assert store.chosen(Choice(only="artist=anna")).unmet == ""
    # Not the conditions, but what else is left out.
    assert store.chosen(Choice(only="artist=anna", exclude=("piano/",))).unmet == ""


def test_what_is_left_out_is_counted_by_its_reason():
    store = open_store(STORE)
    found = store.chosen(Choice(exclude=("etude", "nothing-like-it")))
    assert found.idle == ("nothing-like-it",)
    assert found.not_music == 1
    everything = store.chosen(Choice(also=("non-music",)))
    assert everything.allowed.all()
    assert np.array_equal(
        found.allowed, everything.allowed & store.music & ~store.mask(["piano/etude.flac"])
    )


def test_a_limit_below_nothing_is_refused():
    with pytest.raises(InputError, match="per_artist must be at least 1, or 0 for no limit"):
        Choice(per_artist=-1)

"""Limits of recipes: what a field may be, and what the message says; what a signature shows."""

import inspect
from types import SimpleNamespace

import pytest

from audiorec.errors import InputError
from audiorec.options import check_fields, fields_of
from audiorec.recall.serving.answers import CandidatesQuestion
from audiorec.recall.serving.rules import FusionRecipe
from audiorec.search.questions import PlaylistQuestion, SimilarQuestion

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (1, ">=1"),
        (INFINITE, ">=0"),
        (0.1, ">0"),
        (0, "[0, 1)"),
        (-1, "[-1, 1]"),
        (1.0, "[-1, 1]"),
        (20, "(0, 20]"),
        (1e9, "[0, inf)"),
        (None, ">=1"),
        ((8, 4), ">=1"),
        ("a", ("a", "b")),
    ],
)
def test_a_field_within_its_limits_passes(value, known):
    check_fields(SimpleNamespace(field=value), field=known)


@pytest.mark.parametrize(
    ("value", "known", "said"),
    [
        (0, ">=1", "at least 1, got 0"),
        (0.0, ">0", "above 0, got 0.0"),
        (NAN, ">=0", "at least 0, got nan"),
        (NAN, "[0, 1]", "in [0, 1], got nan"),
        (1, "[0, 1)", "in [0, 1), got 1"),
        (-1.5, "[-1, 1]", "in [-1, 1], got -1.5"),
        (0, "(0, 20]", "in (0, 20], got 0"),
        ((8, 0), ">=1", "at least 1, got (8, 0)"),
        (INFINITE, "[0, inf)", "in [0, inf), got inf"),
        ("c", ("a", "b"), "one of a, b, got 'c'"),
    ],
)
def test_a_field_out_of_its_limits_is_named(value, known, said):
    with pytest.raises(InputError) as caught:
        check_fields(SimpleNamespace(good=1, field=value), good=">0", field=known)
    assert str(caught.value) == f"field must be {said}"


@pytest.mark.parametrize(
    "question", [SimilarQuestion, PlaylistQuestion, CandidatesQuestion, FusionRecipe]
)
def test_a_signature_that_people_read_has_names_types_and_defaults_alone(question):
    assert fields_of(question)
    assert "Option(" not in str(inspect.signature(question))

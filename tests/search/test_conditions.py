"""`audiorec.search.conditions`: the grammar of --only, and what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec.search.conditions import Condition, parse_conditions


def test_every_part_of_the_grammar():
    text = ' genre = jazz | "hip, hop",genre.metal<=0.5 ,artist!="say ""hi""", title="" '
    assert parse_conditions(text) == (
        Condition("genre", "=", ("jazz", "hip, hop")),
        Condition("genre.metal", "<=", ("0.5",)),
        Condition("artist", "!=", ('say "hi"',)),
        Condition("title", "=", ("",)),
    )


@pytest.mark.parametrize("operator", ["=", "!=", "<", "<=", ">", ">="])
def test_each_operator(operator):
    assert parse_conditions(f"x{operator}1") == (Condition("x", operator, ("1",)),)


def test_a_bare_value_may_hold_what_ends_a_name():
    assert parse_conditions("artist=Wham!")[0].values == ("Wham!",)
    assert parse_conditions("artist=a=b")[0].values == ("a=b",)


@given(
    st.lists(
        st.builds(
            Condition,
            st.text(),
            st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
            st.lists(st.text(), min_size=1, max_size=3).map(tuple),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_written_is_read_again(conditions):
    assert parse_conditions(", ".join(map(str, conditions))) == tuple(conditions)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a name expected at the end"),
        ("genre", "one of = != < <= > >= expected at the end"),
        ("genre=", "a value expected at the end"),
        ("genre==jazz", "a value expected before '=jazz'"),
        ("genre=jazz,", "a condition after the comma expected at the end"),
        ("genre=jazz,,x=1", "a name expected before ',x=1'"),
        ("genre=jazz|", "a value expected at the end"),
        ('genre="jazz', "a value expected before '\"jazz'"),
        ('genre="jazz" x', "a comma between conditions expected before 'x'"),
        ("=jazz", "a name expected before '=jazz'"),
        ("genre ~ jazz", "one of = != < <= > >= expected at the end"),
    ],
)
def test_says_what_is_wrong_and_where(text, message):
    with pytest.raises(InputError) as caught:
        parse_conditions(text)
    assert message in str(caught.value)
    assert "for example" in str(caught.value)

"""`audiorec.search.explain`: the parts of a similarity add up to it."""

import pytest
from made_library import metadata, series, song, write_library

from audiorec.errors import ShapeError
from audiorec.library.library import Library
from audiorec.search.explain import Explanation, Reason, explain


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = [song(f"{i}", series(i, genre=(i % 3, 2 - i % 2, 0))) for i in range(12)]
    return Library.open(write_library(tmp_path_factory.mktemp("why"), made))


def why(store, a, b, by="vector"):
    space = store.space(by)
    return explain(
        *space.units([a, b]),
        scaling=space.scaling,
        query=store.vectors[a],
        song=store.vectors[b],
        metadata=store.metadata,
    )


@pytest.mark.parametrize("by", ["vector", "mean"])
def test_contributions_add_up_to_the_similarity(store, by):
    found = store.similar(store.ids[0], 11, by=by)
    for neighbour in found:
        explanation = why(store, 0, store.row_number(neighbour.song_id), by)
        assert explanation.similarity == pytest.approx(neighbour.similarity, abs=1e-6)
        for parts in (
            [reason.contribution for reason in explanation.reasons],
            explanation.by_class.values(),
            explanation.by_statistic.values(),
        ):
            assert sum(parts) == pytest.approx(explanation.similarity, abs=1e-9)


def test_each_reason_names_its_own_number(store):
    vectors = store.vectors.reshape(len(store), 5, 6)
    statistics = store.metadata.statistics
    for reason in why(store, 2, 7).reasons:
        at = store.metadata.classes.index(reason.name), statistics.index(reason.statistic)
        assert reason.query == pytest.approx(vectors[2][at])
        assert reason.song == pytest.approx(vectors[7][at])
        high = reason.song > reason.usual, reason.query > reason.usual
        assert (high[0] == high[1]) == (reason.contribution > 0)


def test_the_largest_part_comes_first_whatever_its_sign(store):
    sizes = [abs(reason.contribution) for reason in why(store, 0, 1).reasons]
    assert sizes == sorted(sizes, reverse=True)


def reason(contribution, song, **changes):
    values = {"name": "genre/jazz", "statistic": "mean", "query": 0.5, "usual": 0.25}
    return Reason(contribution=contribution, song=song, **(values | changes))


def test_in_words():
    reasons = (
        reason(0.4, 0.625),
        reason(-0.25, 0.125, name="version/vocal", statistic="max"),
        reason(0.125, 0.0, query=0.0625, statistic="min"),
        reason(0.0625, 0.5, name="genre/pop"),
        reason(-0.03125, 0.5, name="genre/metal"),
        reason(0.015625, 0.5, name="version/other"),
    )
    text = str(Explanation(similarity=sum(r.contribution for r in reasons), reasons=reasons))
    assert text == (
        "+0.53 jazz (mean both high: 0.50, 0.62; usual 0.25); "
        "-0.25 vocal (max apart: 0.50, 0.12; usual 0.25); "
        "+0.06 pop (mean both high: 0.50, 0.50; usual 0.25); "
        "-0.02 2 other classes"
    )
    assert str(reasons[2]) == "min both low: 0.062, <0.001; usual 0.25"


def test_refuses_units_of_another_space(store):
    space = store.space("mean")
    with pytest.raises(ShapeError, match="expected, got"):
        explain(
            *store.space("vector").units([0, 1]),
            scaling=space.scaling,
            query=store.vectors[0],
            song=store.vectors[1],
            metadata=metadata(),
        )

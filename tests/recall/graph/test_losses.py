"""The two losses against loops, and false facts."""

from dataclasses import replace

import numpy as np
from needs import needs

torch = needs("torch")

from audiorec.recall.graph.learner import skip_gram_loss
from audiorec.recall.graph.material import Facts
from audiorec.recall.graph.models import Corruption, relation_loss


def softplus(x):
    return np.logaddexp(0, x)


def test_the_skip_gram_equals_a_loop_over_pairs():
    rng = np.random.default_rng(0)
    v, u, n = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4)), rng.normal(size=(5, 4))
    is_pair = rng.random((2, 3, 3)) < 0.6
    is_own = rng.random((2, 3, 5)) < 0.2
    expected = 0.0
    for b, w, c in zip(*np.nonzero(is_pair), strict=True):
        expected += softplus(np.log(7.0) - v[b, w] @ u[b, c])
        drawn = [softplus(v[b, w] @ n[k] - np.log(7.0)) for k in range(5) if not is_own[b, w, k]]
        expected += 7.0 * sum(drawn) / 5
    loss, pairs = skip_gram_loss(
        torch.from_numpy(v @ u.transpose(0, 2, 1)),
        torch.from_numpy(v @ n.T),
        is_pair=torch.from_numpy(is_pair),
        is_own=torch.from_numpy(is_own),
        negatives=7.0,
    )
    assert int(pairs) == is_pair.sum()
    np.testing.assert_allclose(float(loss), expected, rtol=1e-10)


def test_the_relation_loss_equals_a_loop_and_lengths_do_not_count():
    rng = np.random.default_rng(1)
    h, r, t, other = rng.normal(size=(4, 6, 3))
    is_head = np.array([True, False, True, False, False, True])

    def unit(x):
        return x / np.linalg.norm(x)

    def far(a, b, c):
        return ((unit(a) + b - unit(c)) ** 2).sum()

    false = [
        far(other[i], r[i], t[i]) if is_head[i] else far(h[i], r[i], other[i]) for i in range(6)
    ]
    expected = np.mean([max(0, 0.7 + far(h[i], r[i], t[i]) - false[i]) for i in range(6)])
    ends, given = torch.from_numpy(is_head), [torch.from_numpy(x) for x in (h, r, t, other)]
    found = float(relation_loss(*given, is_head=ends, margin=0.7))
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    longer = [given[0] * 9, *given[1:]]
    found = float(relation_loss(*longer, is_head=ends, margin=0.7))
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def made_facts():
    """Eight songs of two genres, and three of them by an artist of their own."""
    head = np.array([0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2])
    tail = np.array([8, 8, 8, 8, 9, 9, 9, 9, 10, 11, 12])
    relation = np.array([0] * 8 + [1] * 3)
    weight = np.where(relation == 1, 3.0, 1.0).astype(np.float32)
    names = ("is", "by")
    return Facts(relations=names, head=head, relation=relation, tail=tail, weight=weight)


def test_false_facts_replace_one_end_by_another_of_the_same_relation():
    facts = made_facts()
    drawn = Corruption(facts).draw(4_000, np.random.default_rng(0))
    relation, other, is_head = drawn.relation, drawn.other, drawn.is_head
    true = set(zip(facts.head, facts.relation, facts.tail, strict=True))
    assert set(zip(drawn.head, relation, drawn.tail, strict=True)) <= true
    assert set(other[(relation == 0) & ~is_head]) == {8, 9}
    assert set(other[(relation == 1) & ~is_head]) == {10, 11, 12}
    assert set(other[(relation == 0) & is_head]) == set(range(8))
    assert set(other[(relation == 1) & is_head]) == {0, 1, 2}
    assert abs(is_head[relation == 0].mean() - 0.2) < 0.03
    # A relation is drawn by its heads: 3 against 8, although its facts weigh 9 against 8.
    assert abs((relation == 1).mean() - 3 / 11) < 0.03


def test_within_a_relation_facts_are_drawn_by_their_weight():
    facts = made_facts()
    heavy = np.where(facts.head == 0, 5.0, 1.0).astype(np.float32)
    drawn = Corruption(replace(facts, weight=heavy)).draw(8_000, np.random.default_rng(0))
    for relation, others in ((0, 7), (1, 2)):
        share = (drawn.head[drawn.relation == relation] == 0).mean()
        assert abs(share - 5 / (5 + others)) < 0.03


def test_among_many_songs_of_a_genre_the_genre_is_replaced_more_often():
    # Bernoulli: one tail a head, four heads a tail: the head with chance 1 / (1 + 4).
    assert Corruption(made_facts()).replaces_head.tolist() == [0.2, 0.5]

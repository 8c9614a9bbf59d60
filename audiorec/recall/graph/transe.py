"""TransE: a relation is a translation from head to tail, h + r = t; false facts lie farther off.

    L_r = mean over facts of [ m + |h + r - t|^2 - |h' + r - t'|^2 ]_+

h and t are scaled to unit length only here: the skip-gram's vectors keep their length, which
reflects how often a song is played. Either the head or the tail of a fact is replaced by another of
the same relation: the head with probability tph / (tph + hpt), where tph is tails per head and hpt
heads per tail, so that for many songs of one genre the genre is replaced more often (Bernoulli
corruption).

Sources: Bordes et al., *Translating embeddings*, 2013; Wang et al., *TransH*, 2014.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from audiorec.recall.graph.material import Facts
from audiorec.types import BoolArray, Float64Array, Int64Array


class Corruption:
    """Sampler of facts and of a corrupted version of each.

    Relations are sampled by their number of heads, and facts within one by weight: ten songs that
    sound like a song do not drown out its one artist.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        weight = facts.weight.astype(np.float64)
        n = len(facts.relations)
        self.replaces_head = np.zeros(n)
        pools: list[list[Int64Array]] = [[], []]
        for relation in range(n):
            of = facts.relation == relation
            heads, tails = np.unique(facts.head[of]), np.unique(facts.tail[of])
            pools[0].append(heads)
            pools[1].append(tails)
            # facts / heads = tph, facts / tails = hpt
            weight[of] *= len(heads) / max(weight[of].sum(), 1e-9)
            self.replaces_head[relation] = len(tails) / max(1, len(heads) + len(tails))
        self._until = np.cumsum(weight)
        self._pools = [np.concatenate([np.empty(0, np.int64), *p]) for p in pools]
        sizes = [np.array([len(one) for one in p], np.int64) for p in pools]
        self._sizes = sizes
        self._first = [np.cumsum(s) - s for s in sizes]

    def draw(self, n: int, rng: np.random.Generator) -> "DrawnFacts":
        """Sample `n` facts, and a replacement for one end of each."""
        at = np.searchsorted(self._until, rng.random(n) * self._until[-1], side="right")
        at = np.minimum(at, len(self._until) - 1)
        facts = self.facts
        head, relation, tail = facts.head[at], facts.relation[at], facts.tail[at]
        is_head = rng.random(n) < self.replaces_head[relation]
        other = np.where(is_head, *(self._other(end, relation, rng) for end in (0, 1)))
        return DrawnFacts(head, relation, tail, other, is_head)

    def _other(self, end: int, relation: Int64Array, rng: np.random.Generator) -> Int64Array:
        size: Float64Array = self._sizes[end][relation].astype(np.float64)
        place = (rng.random(len(relation)) * size).astype(np.int64)
        found: Int64Array = self._pools[end][self._first[end][relation] + place]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class DrawnFacts:
    """n facts, each with a corrupted end: `other` replaces the head where `is_head`."""

    head: Int64Array
    relation: Int64Array
    tail: Int64Array
    other: Int64Array
    is_head: BoolArray


def relation_loss(
    head: Tensor, relation: Tensor, tail: Tensor, other: Tensor, *, is_head: Tensor, margin: float
) -> Tensor:
    """Return the mean loss over facts: all tensors (n, D); entities are scaled to unit length.

    Parameters
    ----------
    other : Tensor, shape (n, D)
        The corrupted end: replaces the head where `is_head` (n,), else the tail.

    Examples
    --------
    >>> east, north = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    >>> none, is_tail = torch.zeros(1, 2), torch.tensor([False])
    >>> float(relation_loss(east, none, east, north, is_head=is_tail, margin=1.0))  # 1 + 0 - 2
    0.0
    >>> float(relation_loss(east, none, north, east, is_head=is_tail, margin=1.0))  # 1 + 2 - 0
    3.0
    """
    h, t, o = (functional.normalize(x, dim=-1) for x in (head, tail, other))
    true = (h + relation - t).square().sum(-1)
    end = is_head[:, None]
    false = (torch.where(end, o, h) + relation - torch.where(end, t, o)).square().sum(-1)
    return torch.relu(margin + true - false).mean()

"""Skip-gram with negative sampling, over all pairs of a block at once.

    L_s = - sum over pairs (w, c) [ log s(x_wc) + K E_n log s(-x_wn) ],      n ~ count^0.75
    x_wc = v_w . u_c - log K

The K negatives of a pair are an expectation: all pairs of a batch share one sample of n songs, each
weighted by K / n, so that a step is two matrix products. A sampled song equal to the pair's own w
is masked; one from the same list is kept, as in word2vec: this is what makes v . u the pointwise
mutual information of two songs.

word2vec lacks the constant log K: there v . u is the mutual information minus log K, which all
vectors must first learn to express by a common direction. Here unrelated songs can be orthogonal
from the start.

Source: Mikolov et al., *Distributed representations of words and phrases*, 2013.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional


def skip_gram_loss(
    pair: Tensor, drawn: Tensor, *, is_pair: Tensor, is_own: Tensor, negatives: float
) -> tuple[Tensor, Tensor]:
    """Return the summed loss of all pairs, and the number of pairs.

    Parameters
    ----------
    pair : Tensor, shape (B, L, L)
        ``v_w . u_c`` for the positions of each block, without the constant.
    drawn : Tensor, shape (B, L, n)
        ``v_w . u_n`` for the n sampled songs.
    is_pair : Tensor, shape (B, L, L), bool
    is_own : Tensor, shape (B, L, n), bool
        Whether the sampled song is w itself.
    negatives : float
        K, the negatives per pair.

    Examples
    --------
    >>> import torch
    >>> none = torch.zeros(1, 2, 2)
    >>> both = torch.tensor([[[False, True], [True, False]]])
    >>> loss, pairs = skip_gram_loss(none, none, is_pair=both, is_own=both & False, negatives=3.0)
    >>> round(float(loss / pairs), 4)  # ln (1 + 3) + 3 ln (1 + 1/3)
    2.2493
    """
    constant = math.log(negatives)
    pairs = is_pair.sum(-1)
    positive = (functional.softplus(constant - pair) * is_pair).sum()
    drawn = (drawn - constant).masked_fill(is_own, -torch.inf)
    others = functional.softplus(drawn).sum(-1) / drawn.shape[-1]
    return positive + negatives * (others * pairs).sum(), pairs.sum()

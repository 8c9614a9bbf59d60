"""Train the three graph models on pairs of songs against sampled negatives.

    GraphMaterial, a model ──train_pairs──▶ the best state of the model, and a log line per epoch
    lists ──blocks_of──▶ blocks of at most L songs ──batches_of──▶ (B, L) ──pair_mask──▶ pairs
    pairs ──skip_gram_loss──▶ loss

The models differ in where song vectors come from, and in any further loss.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from threading import Event

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from audiorec.errors import InputError
from audiorec.learning.fit import EVERY_S, Line, Phase, Refitted, fit_refit, log_epochs
from audiorec.learning.machine import generator, import_torch, one_thread, torch_seed
from audiorec.learning.negatives import SharedSampler
from audiorec.learning.next_plays import FEWEST_NEW
from audiorec.learning.row_optimisers import RowAdagrad
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.warm import Start
from audiorec.recall.graph.material import GraphMaterial, GraphRecipe, held_out
from audiorec.recall.graph.song_vectors import SongVectors, hidden_recall
from audiorec.spec import fingerprint
from audiorec.types import BoolArray, Int32Array, Int64Array, LineProgress, entries, offsets

SORTED_TOGETHER = 64  # batches sorted together by length: more means less padding, less shuffling


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Blocks of songs: block b is ``song[first[b]:first[b] + lengths[b]]``."""

    first: Int64Array
    lengths: Int64Array
    song: Int32Array

    def __len__(self) -> int:
        return len(self.first)

    def padded(self, rows: Int64Array) -> tuple[Int64Array, BoolArray]:
        """Return some blocks as songs (B, L) and a mask of real entries; padding is song 0."""
        column = np.arange(int(self.lengths[rows].max(initial=0)))
        there = column < self.lengths[rows][:, None]
        songs = np.zeros(there.shape, np.int64)
        songs[there] = self.song[(self.first[rows][:, None] + column)[there]]
        return songs, there


def blocks_of(
    lists: Sequences, rng: np.random.Generator, *, longest: int, window: int | None = None
) -> Blocks:
    """Cut lists into blocks of at most `longest` songs for one epoch; single songs are dropped.

    With a window, blocks are runs of the list, cut at a different offset in each epoch, and songs
    within the window are pairs: in a short list, all of them. No entry is copied: memory grows only
    with the number of blocks. Without a window, every entry pairs with every other, whatever the
    order; duplicates in a list count once. A long list is then shuffled in each epoch before it is
    cut, so that all pairs occur over time, and a song counts in proportion to the length of its
    list and not to the square of it.

    Examples
    --------
    >>> lists = Sequences.from_lists([["a", "b", "c", "d", "e"], ["f"], ["g", "h"]])
    >>> blocks_of(lists, np.random.default_rng(0), longest=3).lengths.tolist()
    [3, 2, 2]
    """
    song, counts = lists.song, lists.lengths
    if window is None:
        owner, songs, _ = lists.distinct()
        song = songs[np.lexsort((rng.random(len(owner)), owner))].astype(np.int32)
        counts = np.bincount(owner, minlength=len(lists))
        shift = np.zeros(len(lists), np.int64)
    else:
        shift = rng.integers(0, longest, len(lists))
    starts = offsets(counts)
    # Pretend that `shift` songs precede each list: only its first and last block can be short.
    pieces = np.where(counts > 0, -(-(counts + shift) // longest), 0)
    of = np.repeat(np.arange(len(lists)), pieces)
    number = entries(0, pieces)
    begin = starts[of] + np.maximum(0, number * longest - shift[of])
    end = np.minimum(starts[of + 1], starts[of] + (number + 1) * longest - shift[of])
    kept = end - begin > 1
    return Blocks(begin[kept], (end - begin)[kept], song)


def batches_of(
    blocks: Blocks, rng: np.random.Generator, *, places: int
) -> Iterator[tuple[Int64Array, BoolArray]]:
    """Yield batches of about `places` entries, of blocks of similar length: songs (B, L), mask.

    Padding is song 0.
    """
    lengths = blocks.lengths
    order = rng.permutation(len(lengths))
    most = max(1, places // max(1, int(lengths.mean()))) if len(lengths) else 1
    groups: list[Int64Array] = []
    for first in range(0, len(order), most * SORTED_TOGETHER):
        rows = order[first : first + most * SORTED_TOGETHER]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        upto = np.cumsum(lengths[rows]) - 1
        cuts = np.flatnonzero(np.diff(upto // places)) + 1
        groups += np.split(rows, cuts)
    for group in rng.permutation(len(groups)).tolist():
        rows = groups[group]
        yield blocks.padded(rows)


def pair_mask(there: BoolArray, window: int | None = None) -> BoolArray:
    """Return which entries of a block form pairs, (B, L, L): distinct, and neither is padding.

    Examples
    --------
    >>> pair_mask(np.array([[True, True, True, False]]), window=1)[0].astype(int).tolist()
    [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    """
    apart = np.abs(np.subtract.outer(np.arange(there.shape[1]), np.arange(there.shape[1])))
    near = (apart > 0) if window is None else (apart > 0) & (apart <= window)
    return there[:, :, None] & there[:, None, :] & near


def skip_gram_loss(
    pair: Tensor, drawn: Tensor, *, is_pair: Tensor, is_own: Tensor, negatives: float
) -> tuple[Tensor, Tensor]:
    """Return the summed loss of all pairs, and the number of pairs.

        L_s = - sum over pairs (w, c) [ log s(x_wc) + K E_n log s(-x_wn) ],      n ~ count^0.75
        x_wc = v_w . u_c - log K

    The K negatives of a pair are an expectation: all pairs of a batch share one sample of n songs,
    each weighted by K / n, so that a step is two matrix products. A sampled song equal to the
    pair's own w is masked; one from the same list is kept, as in word2vec: this is what makes v . u
    the pointwise mutual information of two songs. word2vec lacks the constant log K, which all
    vectors must first learn to express by a common direction. Here unrelated songs can be
    orthogonal from the start.

    Source: Mikolov et al., *Distributed representations of words and phrases*, 2013.

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


ORDER, STEP, HELD, BEGIN = range(4)  # purposes of random numbers
LAST_RATE = 0.05  # fraction of the learning rate in the last epoch
METRICS_FILE = "metrics.jsonl"


class PairModel(nn.Module, ABC):
    """A source of song vectors that can be trained on pairs; embedding tables are sparse."""

    @abstractmethod
    def vectors_and_contexts(self, songs: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return song vectors (B, L, D), their contexts, and contexts of `drawn` (n, D)."""

    @abstractmethod
    def extra_loss(self, rng: np.random.Generator) -> Tensor | None:
        """Return the weighted further loss of a step, or None."""

    @abstractmethod
    def song_vectors(self, material: GraphMaterial, *, cold: bool = True) -> SongVectors:
        """Return the song vectors in numpy; without `cold`, only songs in lists need a place."""


MakeModel = Callable[[GraphMaterial], PairModel]
Walks = Callable[[GraphMaterial, np.random.Generator], Sequences]


def train_pairs(
    material: GraphMaterial,
    recipe: GraphRecipe,
    make_model: MakeModel,
    *,
    purpose: str,
    walks: Walks | None = None,
    start: Start | None = None,
    work: Path | None = None,
    progress: LineProgress | None = None,
    stop: Event | None = None,
    every_s: float = EVERY_S,
) -> "TrainedVectors | None":
    """Train a model; return the song vectors and the training, or None if it was stopped.

    `walks` derives the lists of an epoch from those of the material; by default they are used
    unchanged. `make_model` goes on from the model of `start`. `work` keeps the log lines of a
    training, and the checkpoint from which a stopped one resumes.

    Raises `InputError` if no list has two or more songs.
    """
    if not (material.plays.lengths > 1).any():
        raise InputError(f"{purpose}: no list has two songs, so there are no pairs to learn from")
    is_new, choose = None, recipe.choose and int((material.plays.lengths > 1).sum()) > 1
    if start is not None:
        recipe, is_new = start.recipe(recipe), start.is_new
        choose = choose and is_new is not None and int(is_new.sum()) >= FEWEST_NEW
    of = {"recipe": asdict(recipe), "data": material.fingerprint, "what": purpose}
    of |= {} if start is None else {"start": start.digest}

    def learner(phase: Phase) -> _PairLearner:
        judged = phase == "choose"
        return _PairLearner(material, recipe, make_model, walks, judged=judged, is_new=is_new)

    with one_thread(purpose), import_torch(purpose).random.fork_rng(devices=[]):
        done = fit_refit(
            learner,
            max_epochs=recipe.max_epochs,
            patience=recipe.patience,
            choose=choose,
            goes_on=start is not None,
            work=work,
            fingerprint=fingerprint(of),
            tell=progress if work is None else log_epochs(work / METRICS_FILE, progress),
            stop=stop,
            every_s=every_s,
        )
        return (done.learner.song_vectors(), done) if done.finished else None


TrainedVectors = tuple[SongVectors, "Refitted[_PairLearner]"]


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    songs: Int64Array  # (B, L)
    there: BoolArray
    rng: np.random.Generator


class _PairLearner:
    """See `audiorec.learning.fit.Learner`."""

    def __init__(
        self,
        material: GraphMaterial,
        recipe: GraphRecipe,
        make_model: MakeModel,
        walks: Walks | None,
        *,
        judged: bool,
        is_new: BoolArray | None = None,
    ) -> None:
        self.recipe, self.walks = recipe, walks
        self.whole = material
        self.asked = None
        if judged:
            hidden, rows = held_out(material.plays, generator(recipe.seed, HELD), is_new)
            self.asked = (material.plays.keep(hidden).take(rows), rows)
            material = material.from_lists(~hidden)
        self.material = material
        torch.manual_seed(torch_seed(generator(recipe.seed, BEGIN)))
        self.model = make_model(material)
        self.optimiser = row_optimiser(self.model, recipe.learning_rate)
        self.sampler = SharedSampler(material.counts, power=recipe.negative_power)

    def start(self) -> None:
        """Return no line: the untrained model is not judged."""

    def batches(self, epoch: int, first: int) -> Iterator[_Batch]:
        recipe = self.recipe
        share = (epoch - 1) / max(1, recipe.max_epochs)
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * max(LAST_RATE, 1 - share)
        rng = generator(recipe.seed, ORDER, epoch)
        lists = self.material.plays if self.walks is None else self.walks(self.material, rng)
        longest = (
            recipe.block if self.walks is None else max(recipe.block, int(lists.lengths.max()))
        )
        blocks = blocks_of(lists, rng, longest=longest, window=recipe.window)
        result = batches_of(blocks, rng, places=recipe.places)
        for number, (songs, there) in enumerate(islice(result, first, None), first):
            yield _Batch(songs, there, generator(recipe.seed, STEP, epoch, number))

    def step(self, batch: _Batch) -> float:
        drawn = torch.from_numpy(self.sampler.draw(batch.rng, self.recipe.drawn))
        songs = torch.from_numpy(batch.songs)
        torch.manual_seed(torch_seed(batch.rng))
        vectors, contexts, others = self.model.vectors_and_contexts(songs, drawn)
        loss, pairs = skip_gram_loss(
            vectors @ contexts.transpose(1, 2),
            vectors @ others.T,
            is_pair=torch.from_numpy(pair_mask(batch.there, self.recipe.window)),
            is_own=songs[:, :, None] == drawn,
            negatives=self.recipe.negatives,
        )
        loss = loss / pairs.clamp_min(1)
        further = self.model.extra_loss(batch.rng)
        whole = loss if further is None else loss + further
        self.optimiser.zero_grad()
        whole.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(whole.detach())

    def evaluate(self, epoch: int, loss: float, seconds: float) -> Line:
        line: Line = {"epoch": epoch, "loss": loss, "seconds": seconds}
        if self.asked is not None:
            wanted, rows = self.asked
            known, warm = self.material.plays.take(rows), self.material.counts > 0
            places = self.song_vectors(cold=False)  # only songs in lists are judged
            line["held_out_recall"] = hidden_recall(places, known, wanted, warm)
        return line

    def score(self, line: Line) -> float:
        return float(line["held_out_recall"] if "held_out_recall" in line else line["epoch"])

    def song_vectors(self, *, cold: bool = True) -> SongVectors:
        """Return the current song vectors."""
        with torch.no_grad():
            vectors: SongVectors = self.model.song_vectors(self.material, cold=cold)
        return vectors


def row_optimiser(model: PairModel, rate: float) -> optim.Optimizer:
    """Return row-wise Adagrad if all parameters are sparse tables, else Adam."""
    modules = [m for m in model.modules() if not list(m.children())]
    if all(isinstance(m, nn.Embedding) and m.sparse for m in modules):
        return RowAdagrad(model.parameters(), lr=rate)
    return optim.Adam(model.parameters(), lr=rate)

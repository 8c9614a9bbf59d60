"""Training of next-song models: one learner for all models that read plays in order.

    `NextPlays`, `NextSongRecipe`, a model ──train_next_song──▶ the model, trained on everything

A model (`NextSongModel`) turns windows of plays into queries with one target each. The rest is the
same for all of them: batches of similar length, negatives shared by the whole batch, a softmax over
cosines divided by a temperature and with logQ correction, a learning-rate schedule with warm-up and
cosine decay, and an evaluation that ranks all songs for validation plays. The number of epochs is
chosen there; then the same recipe is trained on everything for as many (`audiorec.learning.fit`).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.learning.fit import EVERY_S, Line, Phase, Refitted, fit_refit
from audiorec.learning.losses import (
    add_history,
    lag_terms,
    next_repeat,
    next_song_loss,
    shared_hits,
)
from audiorec.learning.machine import generator, import_torch, one_thread, torch_seed
from audiorec.learning.negatives import SharedSampler
from audiorec.learning.next_model import NextSongModel, Tensors
from audiorec.learning.next_plays import (
    NEW,
    HeldPlays,
    NextPlays,
    NextSongRecipe,
    PlayBatch,
    even_batches,
    histories,
    hold_out,
    hold_out_new,
    ndcg_of_new,
    training_windows,
    windows,
)
from audiorec.learning.processes import ALONE, Processes
from audiorec.learning.row_optimisers import RowAdam, cosine_decay
from audiorec.spec import fingerprint
from audiorec.types import BoolArray, FloatArray, Int64Array, LineProgress

ORDER, STEP, JUDGE, ROWS = range(4)  # purposes of seeds
JUDGE_ROWS = 256  # maximum number of queries ranked at a time
JUDGE_CELLS = 1 << 26  # maximum number of their similarities: 256 MB
SHOWN_AT = (10, 20, 100)
STEPS = 256  # minimum number of steps in an epoch, as long as batches have at least
FEWEST = 64  # plays
SPARSE_FROM = 100_000  # songs: a step with dense gradients takes longer from there on


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """A batch, and its position in the training run."""

    plays: PlayBatch
    rng: np.random.Generator
    done: float  # share of the planned steps done before


class NextSongLearner:
    """Learner of a next-song model; see `audiorec.learning.fit.Learner`.

    Parameters
    ----------
    model : NextSongModel
    plays : NextPlays
    held : HeldPlays, optional
        None: train on everything, without evaluation.
    recipe : NextSongRecipe
    processes : Processes
        Processes that train together.
    """

    def __init__(
        self,
        model: NextSongModel,
        plays: NextPlays,
        recipe: NextSongRecipe,
        held: HeldPlays | None = None,
        *,
        processes: Processes = ALONE,
    ) -> None:
        self.model, self.recipe, self.processes = model, recipe, processes
        self.plays = plays
        self.learnt = plays if held is None else plays.keep(held.learnt)
        self.counts = self.learnt.counts()
        self._judged = None if held is None else self._drawn(held.judged)
        self.sampler = SharedSampler(self.counts, power=recipe.negative_power)
        self.optimiser = _optimiser(model, recipe)
        self.rates = tuple(group["lr"] for group in self.optimiser.param_groups)

    def start(self) -> Line | None:
        """Return None: the untrained model is not evaluated."""
        return None

    def batches(self, epoch: int, first: int) -> Iterator[_Step]:
        """Yield batches of windows of similar length, deterministic for each epoch."""
        rng = generator(self.recipe.seed, ORDER, epoch)
        begin, stop = windows(self.learnt.starts, self.recipe.longest, rng)
        owner = np.searchsorted(self.learnt.starts, begin, side="right") - 1
        steps = int((stop - begin - 1).sum())
        size = min(self.recipe.batch_size, max(FEWEST, steps // STEPS))
        cut = even_batches(stop - begin - 1, size, rng)
        for number in range(first, len(cut)):
            rows = cut[number]
            done = (epoch - 1 + number / len(cut)) / self.recipe.max_epochs
            seeds = generator(self.recipe.seed, ROWS, epoch, number)
            result = training_windows(self.learnt, begin[rows], stop[rows], owner[rows], seeds)
            yield _Step(result, generator(self.recipe.seed, STEP, epoch, number), done)
        if isinstance(self.optimiser, RowAdam):
            self.optimiser.catch_up_all()  # before evaluation and export of the weights

    def step(self, batch: _Step) -> float:
        """Train one step on this process's part of a batch."""
        recipe = self.recipe
        part = cosine_decay(batch.done, warm_up=recipe.warm_up)
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * part
        torch.manual_seed(torch_seed(batch.rng))
        songs, log_expected = self._opponents(batch.rng)
        self.optimiser.zero_grad()
        # Renumber the whole batch in every process, so that draws per song are the same in all.
        rows, plays, songs = _renumbered(batch.plays, songs)
        own = plays.part(self.processes.part(len(plays)))
        if isinstance(self.optimiser, RowAdam):
            self.optimiser.catch_up(torch.from_numpy(rows))
        with self.processes.within(len(plays)):
            losses = self._losses(own, rows, songs, log_expected)
        loss = self.processes.mean(losses) + self.model.penalty() / self.processes.size
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(loss.detach())

    def evaluate(self, epoch: int, loss: float, seconds: float) -> Line:
        """Rank all learnt songs for the validation plays; return the metrics."""
        ranks, new = np.ones(1, np.float32), np.ones(1, np.float32)
        if self._judged is not None:
            ranks, new = self.ranks(*self._judged), self.ranks(*self._judged, new=True)
        line: Line = {"epoch": epoch, "loss": loss, "seconds": seconds}
        # NDCG over all ranks is smoother than with a cut-off, so it selects more reliably.
        line["ndcg"] = float(np.mean(1 / np.log2(1 + ranks)))
        line[NEW] = ndcg_of_new(new)
        for k in SHOWN_AT:
            line[f"hit_rate@{k}"] = float(np.mean(ranks <= k))
            line[f"mrr@{k}"] = float(np.mean(np.where(ranks <= k, 1 / ranks, 0)))
            line[f"ndcg@{k}"] = float(np.mean(np.where(ranks <= k, 1 / np.log2(1 + ranks), 0)))
        return line

    def score(self, line: Line) -> float:
        """Return the mean NDCG of the validation plays over all ranks."""
        return float(line["ndcg"])

    def ranks(self, owner: Int64Array, place: Int64Array, *, new: bool = False) -> FloatArray:
        """Return the ranks of plays (n,) among all learnt songs: from 1, inf if not learnt.

        Each play is predicted from those before it. Songs of equal similarity share their mean
        rank. With `new`, songs of the history have no rank: the rank of a play among the others,
        NaN for a repeat.
        """
        was_training = self.model.training
        self.model.eval()
        result = np.full(len(place), np.inf)
        with torch.no_grad():
            # Songs that are not learnt have length 0 and cosine 0; they are set to -inf below.
            unit = functional.normalize(self.model.output.all_embeddings(), dim=1)
            closed = torch.from_numpy(self.counts == 0).to(unit.device)
            n = max(1, min(JUDGE_ROWS, JUDGE_CELLS // len(unit)))
            for first in range(0, len(place), n):
                rows = slice(first, first + n)
                batch = histories(self.plays, owner[rows], place[rows], self.recipe.longest)
                asked = self.tensors(batch)
                query = self.model.final_queries(asked)
                again = self.model.history_terms(query)
                query = functional.normalize(query, dim=-1)
                similar = query @ unit.T
                if again is not None:
                    self._add_again(similar, asked, again)
                if similar.dim() == 3:
                    absent = ~query.any(dim=-1, keepdim=True)
                    similar = similar.masked_fill(absent, -torch.inf).amax(dim=1)
                similar = similar.masked_fill(closed, -torch.inf)
                target = torch.from_numpy(self.plays.song[place[rows]]).to(unit.device)
                own = similar.gather(1, target[:, None])
                heard = self._heard(similar, asked) if new else None
                if heard is not None:
                    similar = similar.masked_fill(heard, -torch.inf)
                above = (similar > own).sum(1)
                equal = (similar == own).sum(1)
                rank = (1 + above + (equal - 1) / 2).cpu().numpy()
                result[rows] = np.where((own > -torch.inf)[:, 0].cpu().numpy(), rank, np.inf)
                if heard is not None:
                    again_rows = heard.gather(1, target[:, None])[:, 0].cpu().numpy()
                    result[rows][again_rows] = np.nan
        self.model.train(was_training)
        return result.astype(np.float32)

    def _heard(self, similar: Tensor, batch: Tensors) -> Tensor:
        """Return which songs are in the history of each row: bool, like `similar`."""
        heard = torch.zeros_like(similar, dtype=torch.bool)
        row, place = batch.there.nonzero(as_tuple=True)
        heard[row, batch.songs[row, place]] = True
        return heard

    def _add_again(self, similar: Tensor, batch: Tensors, again: Tensor) -> None:
        """Add the model's terms for songs of the histories to the cosines (B, S), in place."""
        length = batch.songs.shape[1]
        newest = (next_repeat(batch.songs, batch.there) == length) & batch.there
        lag = batch.lengths[:, None] - 1 - torch.arange(length, device=similar.device)
        row, place = newest.nonzero(as_tuple=True)
        songs, added = batch.songs[row, place], lag_terms(again, lag)[row, place]
        similar[row, songs] += added * self.recipe.temperature

    def tensors(self, batch: PlayBatch) -> Tensors:
        """Return a batch as tensors of the model's device and dtype."""
        like = self.model.table.ids
        whole = (batch.songs, batch.lengths, batch.targets, batch.seed, batch.favourites)
        songs, lengths, targets, seed, liked = (torch.from_numpy(a).to(like.device) for a in whole)
        there = torch.arange(songs.shape[1], device=like.device) < lengths[:, None]
        timed = bool(batch.time.size) and not np.isnan(batch.time).all()
        time = torch.from_numpy(batch.time).to(like.device) if timed else None
        profile = torch.from_numpy(batch.profile).to(like)
        return Tensors(songs, lengths, targets, there, time, profile, seed, liked)

    def _losses(
        self, batch: PlayBatch, rows: Int64Array, songs: Int64Array, log_expected: FloatArray
    ) -> Tensor:
        """Return the loss of each target against negatives `songs`, sorted indices into `rows`."""
        model, own = self.model, self.tensors(batch)
        few = torch.from_numpy(rows).to(own.songs.device)
        with ExitStack() as tables:
            for table in {id(t): t for t in (model.table, model.output)}.values():
                tables.enter_context(table.cached(few))
            queries, targets = model.queries(own)
            near = functional.normalize(model.output(targets), dim=1)
            if queries.dim() == 3:
                queries = model.target_queries(queries, near)
            again = model.history_terms(queries)
            queries = functional.normalize(queries, dim=1) / self.recipe.temperature
            drawn = torch.from_numpy(songs).to(targets.device)
            far = functional.normalize(model.output(drawn), dim=1)
            expected = torch.from_numpy(log_expected).to(far)
            if not self.recipe.log_q:
                expected = torch.zeros_like(expected)
            positive, heard, hits = (queries * near).sum(1), None, shared_hits(drawn, targets)
            if again is not None:
                asked = own.targets >= 0
                history = (own.songs, own.there, self._at_places(own, queries))
                added, heard, hits = add_history(history, asked, again, targets, drawn)
                positive = positive + added
            alone = model.profile_queries(own)
            if alone is not None:
                first = own.songs[:, 0].contiguous()
                first_near = functional.normalize(model.output(first), dim=1)
        losses = next_song_loss(
            queries, far, positive, log_expected=expected, hits=hits, more=heard
        )
        if alone is None:
            return losses
        queries = functional.normalize(alone, dim=1) / self.recipe.temperature
        positive, hits = (queries * first_near).sum(1), shared_hits(drawn, first)
        more = next_song_loss(queries, far, positive, log_expected=expected, hits=hits)
        return torch.cat([losses, more])

    def _at_places(self, own: Tensors, queries: Tensor) -> Tensor:
        """Return the logits of a window's songs at each of its positions: (B, L, L)."""
        songs = functional.normalize(self.model.output(own.songs), dim=2)
        spread = queries.new_zeros(songs.shape)
        spread[own.targets >= 0] = queries
        return spread @ songs.transpose(1, 2)

    def _opponents(self, rng: np.random.Generator) -> tuple[Int64Array, FloatArray]:
        """Return the negatives, sorted, and the log of their expected counts."""
        learnt = np.flatnonzero(self.counts)
        if len(learnt) <= self.recipe.negatives:
            return learnt, np.zeros(len(learnt), np.float32)
        songs = np.sort(self.sampler.draw(rng, self.recipe.negatives))
        return songs, self.sampler.log_expected(songs, len(songs))

    def _drawn(self, judged: BoolArray) -> tuple[Int64Array, Int64Array]:
        """Return owner and position of the validation plays, a random sample if too many."""
        place = np.flatnonzero(judged)
        if len(place) > self.recipe.most_judged:
            chosen = generator(self.recipe.seed, JUDGE).permutation(len(place))
            place = np.sort(place[chosen[: self.recipe.most_judged]])
        owner = np.searchsorted(self.plays.starts, place, side="right") - 1
        return owner.astype(np.int64), place.astype(np.int64)


def train_next_song(
    make_model: Callable[[], NextSongModel],
    plays: NextPlays,
    recipe: NextSongRecipe,
    *,
    data: str = "",
    warm: bool = False,
    is_new: BoolArray | None = None,
    work: Path | None = None,
    progress: LineProgress | None = None,
    stop: Event | None = None,
    every_s: float = EVERY_S,
    processes: Processes = ALONE,
) -> Refitted[NextSongLearner]:
    """Choose the number of epochs on the validation part, then train on everything for as many.

    Raises `InputError` if no owner has two plays.

    Parameters
    ----------
    make_model : callable
        Returns an untrained model; called once per phase.
    plays : NextPlays
    recipe : NextSongRecipe
    data : str
        Identifies the model's other inputs; checkpoints of other inputs are not resumed.
    warm : bool
        The model goes on from a trained one, for all of `max_epochs`.
    is_new : ndarray, shape (P,), bool, optional
        For a warm start: plays that the trained model has not learnt from. It is judged on these
        before it learns from them, unless they are unknown or few.
    work, progress, stop, every_s, processes
        As for `audiorec.learning.fit.fit`; `work` is the folder of `fit_refit`.
    """
    held = hold_out_new(plays, is_new) if warm else hold_out(plays, recipe.valid, recipe.hold_out)

    def learner(phase: Phase) -> NextSongLearner:
        part = held if phase == "choose" else None
        return NextSongLearner(make_model(), plays, recipe, part, processes=processes)

    purpose = "training a next-song model"
    with one_thread(purpose), import_torch(purpose).random.fork_rng(devices=[]):
        return fit_refit(
            learner,
            max_epochs=recipe.max_epochs,
            patience=recipe.patience,
            choose=held is not None,
            goes_on=warm,
            work=work,
            fingerprint=fingerprint(
                {"recipe": asdict(recipe), "plays": plays.digest, "data": data}
            ),
            tell=progress,
            stop=stop,
            every_s=every_s,
            clip=recipe.clip or None,
            processes=processes,
        )


def arrays_of(model: nn.Module) -> dict[str, FloatArray]:
    """Return copies of a model's state as float32 arrays, by name."""
    return {
        name: tensor.detach().cpu().numpy().astype(np.float32)
        for name, tensor in model.state_dict().items()
    }


def _renumbered(batch: PlayBatch, songs: Int64Array) -> tuple[Int64Array, PlayBatch, Int64Array]:
    """Return the songs of a step, sorted, and batch and negatives as indices into them."""
    asked = batch.targets >= 0
    liked = batch.favourites >= 0
    parts = (batch.songs.ravel(), batch.targets[asked], songs, batch.favourites[liked])
    rows, place = np.unique(np.concatenate(parts), return_inverse=True)
    favourites = np.full(batch.favourites.shape, -1, np.int64)
    place, favourites[liked] = np.split(place, [len(place) - int(liked.sum())])
    first, second = batch.songs.size, len(place) - len(songs)
    targets = np.full(batch.targets.shape, -1, np.int64)
    targets[asked] = place[first:second]
    read = place[:first].reshape(batch.songs.shape).astype(np.int64)
    renumbered = replace(batch, songs=read, targets=targets, favourites=favourites)
    return rows, renumbered, place[second:].astype(np.int64)


def _optimiser(model: NextSongModel, recipe: NextSongRecipe) -> torch.optim.Optimizer:
    """Return Adam, or `RowAdam` for large tables."""
    tables = {id(table): table for table in (model.table, model.output)}.values()
    sparse = recipe.sparse_tables
    if sparse is None:
        sparse = len(model.table.ids) >= SPARSE_FROM
    groups = _groups(model, recipe)
    if not sparse:
        return torch.optim.Adam(groups, fused=True)
    for table in tables:
        table.sparse = True
    ids = [table.ids for table in tables]
    apart = {id(p) for p in ids}
    groups[0]["params"] = [p for p in groups[0]["params"] if id(p) not in apart]
    return RowAdam(ids, [group for group in groups if group["params"]], recipe.learning_rate)


def _groups(model: NextSongModel, recipe: NextSongRecipe) -> list[dict[str, Any]]:
    """Return the optimiser's groups: the songs, then the network's matrices, then its vectors.

    A song occurs in few steps and needs a high rate; the network is part of every step.
    """
    songs = model.rows()
    tables = {id(p) for p in songs}
    others = [p for p in model.parameters() if id(p) not in tables]
    rate = recipe.learning_rate * recipe.network_rate
    decay = recipe.weight_decay
    return [
        {"params": songs, "lr": recipe.learning_rate},
        {"params": [p for p in others if p.dim() > 1], "lr": rate, "weight_decay": decay},
        {"params": [p for p in others if p.dim() <= 1], "lr": rate},
    ]

"""Central training of all towers in one process; split training equals it bit for bit.

    `UserHalf`, `ItemHalf`s ──CentralLearner──▶ a `Learner` ──`fit_refit`──▶ both, trained

The modules, the draws and the order of sums are those of the halves; the gradient of the item loss
flows directly into the user tower. With a `Defence`, it is clipped and noised on its way, as
between two parties: for measurements.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np
import torch
from torch import Tensor, nn

from audiorec.learning.checkpoint import EVERY_S
from audiorec.learning.fit import Line, Phase, Refitted, fit_refit
from audiorec.learning.machine import import_torch, one_thread
from audiorec.recall.federated.item_half import ItemHalf
from audiorec.recall.federated.noise import NOTHING, Defence
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.recall.federated.shared_draws import JointStep, steps_of
from audiorec.recall.federated.sides import ItemSide, UserSide
from audiorec.recall.federated.towers import set_rate
from audiorec.recall.federated.user_half import UserHalf
from audiorec.spec import fingerprint
from audiorec.types import LineProgress


class CentralLearner:
    """Both halves as one learner; see `audiorec.learning.fit.Learner`.

    Parameters
    ----------
    user : UserHalf
    items : sequence of ItemHalf
        One per business with items.
    """

    def __init__(self, user: UserHalf, items: Sequence[ItemHalf]) -> None:
        self.user, self.items = user, tuple(items)
        self.recipe = user.recipe
        self.model = nn.ModuleDict(
            {"user": user.model, **{f"item_{n}": item.model for n, item in enumerate(items)}}
        )
        groups = [*user.parameter_groups(), *(g for item in items for g in item.parameter_groups())]
        self.optimiser = torch.optim.Adam(groups, fused=True)

    def start(self) -> Line | None:
        """Return None: the untrained model is not evaluated."""
        return None

    def batches(self, epoch: int, first: int) -> Iterator[JointStep]:
        """Yield the steps of an epoch."""
        yield from steps_of(self.user.learnt, self.recipe, epoch, first)

    def step(self, batch: JointStep) -> float:
        """Take one step, through all towers at once."""
        set_rate(self.optimiser, self.recipe, batch)
        vectors, own = self.user.take(batch)
        losses = []
        for item, users in zip(self.items, vectors, strict=True):
            users.register_hook(_crossing(item, batch))  # type: ignore[no-untyped-call]
            losses.append(item.take(batch, users))
        losses += [] if own is None else [own]
        self.optimiser.zero_grad()
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(np.mean([item.loss for item in self.items]))

    def evaluate(self, epoch: int, loss: float, seconds: float) -> Line:
        """Return validation metrics; names of further businesses get a numeric suffix."""
        line: Line = {"epoch": epoch, "loss": loss, "seconds": seconds}
        for number, (item, vectors) in enumerate(
            zip(self.items, self.user.validation(), strict=True)
        ):
            found = item.figures(vectors)
            line |= {f"{name}_{number}" if number else name: v for name, v in found.items()}
        return line | self.user.figures()

    def score(self, line: Line) -> float:
        """Return the NDCG of the first business, over all ranks."""
        return float(line["ndcg"])


def _crossing(item: ItemHalf, step: JointStep) -> Callable[[Tensor], Tensor]:
    """Return a hook that defends a gradient on its way from the song tower to the user tower."""
    return lambda gradient: torch.from_numpy(item.defended(step, gradient.numpy()))


@dataclass(frozen=True, slots=True, eq=False)
class CentralTraining:
    """Settings of a central training run.

    Attributes
    ----------
    recipe : TwoTowerRecipe
    defence : Defence
        Defence of the numbers that two parties would exchange.
    secret : int
        Secret of all halves.
    watch : callable, optional
        Called with the learner of each phase, before it trains.
    """

    recipe: TwoTowerRecipe
    defence: Defence = NOTHING
    secret: int = 0
    watch: Callable[[CentralLearner, Phase], None] | None = None

    def learner(self, user: UserSide, items: Sequence[ItemSide], phase: Phase) -> CentralLearner:
        """Return an untrained learner for a phase."""
        defence, secret = self.defence, self.secret
        halves = [
            item.half(self.recipe, phase, number=number, defence=defence, secret=secret)
            for number, item in enumerate(items)
        ]
        half = user.half(self.recipe, phase, defence=defence, secret=secret)
        central = CentralLearner(half, halves)
        if self.watch is not None:
            self.watch(central, phase)
        return central

    def run(
        self,
        user: UserSide,
        items: Sequence[ItemSide],
        *,
        data: str = "",
        work: Path | None = None,
        progress: LineProgress | None = None,
        stop: Event | None = None,
        every_s: float = EVERY_S,
    ) -> Refitted[CentralLearner]:
        """Choose the number of epochs on the validation rows, then train on all rows for as many.

        `data` identifies the training data; the rest is as for `audiorec.learning.fit.fit_refit`.
        """
        recipe = self.recipe
        about = {
            "recipe": recipe.fingerprint,
            "data": data,
            "defence": self.defence.to_json(),
            "secret": self.secret,
        }
        with one_thread("training towers"), import_torch("towers").random.fork_rng(devices=[]):
            return fit_refit(
                lambda phase: self.learner(user, items, phase),
                max_epochs=recipe.max_epochs,
                patience=recipe.patience,
                work=work,
                fingerprint=fingerprint(about),
                tell=progress,
                stop=stop,
                every_s=every_s,
            )

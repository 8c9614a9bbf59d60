"""A small learner for the tests of the loop: users and songs as embeddings, likes as pairs."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import nn

from audiorec.learning.losses import sampled_softmax_loss
from audiorec.learning.machine import generator
from audiorec.learning.negatives import SharedSampler
from audiorec.learning.processes import ALONE, Processes

N_USERS, N_SONGS, N_LIKES, N_HELD = 30, 40, 300, 60
ORDER, STEP = range(2)


def likes() -> tuple[np.ndarray, np.ndarray]:
    """Two tastes: even users like even songs; some songs are liked far more than others."""
    rng = np.random.default_rng(5)
    user = rng.integers(0, N_USERS, N_LIKES)
    song = np.minimum(rng.geometric(0.12, N_LIKES) - 1, N_SONGS // 2 - 1) * 2 + user % 2
    return user, song


class Seen(nn.Module):
    """How often each song was seen: a state that changes in training and is no weight."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("counts", torch.ones(N_SONGS, dtype=torch.float64))

    def chance(self, songs):
        self.counts += torch.bincount(songs, minlength=N_SONGS)
        return (self.counts[songs] / self.counts.sum()).log()


@dataclasses.dataclass(eq=False)
class MadeLearner:
    """`loss` is ``in-batch`` or ``shared``, that is negatives which the whole batch shares."""

    loss: str = "in-batch"
    dtype: torch.dtype = torch.float64
    processes: Processes = ALONE
    everything: bool = False  # learn from the held-out likes as well
    seed: int = 0
    batch_size: int = 17  # odd, so that two parts are of different size
    rate: float = 0.02

    def __post_init__(self) -> None:
        self.user, self.song = (torch.from_numpy(column) for column in likes())
        self.n = N_LIKES if self.everything else N_LIKES - N_HELD
        draw = torch.Generator().manual_seed(self.seed)
        self.model = nn.ModuleDict({
            "users": self._table(N_USERS, draw),
            "songs": self._table(N_SONGS, draw),
            "seen": Seen(),
        })  # fmt: skip
        weights = [p for p in self.model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.Adam(weights, lr=self.rate)
        counts = np.bincount(self.song[: self.n].numpy(), minlength=N_SONGS)
        self.sampler = SharedSampler(counts, power=0.75)
        self.norms: list[float] = []  # of the gradients that the optimiser got
        self.judged = 0

    def _table(self, n: int, draw: torch.Generator) -> nn.Embedding:
        return nn.Embedding(n, 6, _weight=torch.randn(n, 6, generator=draw, dtype=self.dtype) / 3)

    def start(self):
        return self._line(0, None)

    def batches(self, epoch, first):
        order = generator(self.seed, ORDER, epoch).permutation(self.n)
        for number in range(first, -(-self.n // self.batch_size)):
            rows = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield torch.from_numpy(rows), generator(self.seed, STEP, epoch, number)

    def step(self, batch):
        rows, rng = batch
        mine = rows[self.processes.part(len(rows))]
        users, songs = self.model["users"](self.user[mine]), self.model["songs"](self.song[mine])
        if self.loss == "in-batch":
            losses = self._in_batch(users, songs, self.song[mine])
        else:
            drawn = self.sampler.draw(rng, 12)
            losses = sampled_softmax_loss(
                (users * songs).sum(1),
                users @ self.model["songs"](torch.from_numpy(drawn)).T,
                log_expected=torch.from_numpy(self.sampler.log_expected(drawn, 12)),
                hits=torch.from_numpy(drawn)[None] == self.song[mine][:, None],
            )
        loss = self.processes.mean(losses)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        parts = [p.grad.pow(2).sum() for p in self.model.parameters() if p.grad is not None]
        self.norms.append(float(sum(parts)) ** 0.5)
        return float(loss.detach())

    def _in_batch(self, users, songs, numbers):
        everyone, all_numbers = self.processes.gather(songs), self.processes.gather(numbers)
        before = sum(len_ for len_ in self._sizes(len(numbers))[: self.processes.rank])
        own = before + torch.arange(len(numbers))
        logits = users @ everyone.T - self.model["seen"].chance(all_numbers).to(users.dtype)
        return nn.functional.cross_entropy(logits, own, reduction="none")

    def _sizes(self, n):
        sizes = torch.zeros(self.processes.size, dtype=torch.int64)
        sizes[self.processes.rank] = n
        return self.processes.gather(sizes[self.processes.rank : self.processes.rank + 1]).tolist()

    def evaluate(self, epoch, loss, seconds):  # noqa: ARG002
        return self._line(epoch, loss)

    def _line(self, epoch, loss):
        self.judged += 1
        held = slice(N_LIKES - N_HELD, None)
        with torch.no_grad():
            logits = self.model["users"].weight @ self.model["songs"].weight.T
            found = nn.functional.cross_entropy(logits[self.user[held]], self.song[held])
        return {"epoch": epoch, "loss": loss, "held_out_loss": float(found)}

    def score(self, line):
        return -line["held_out_loss"]

    def weights(self) -> dict[str, np.ndarray]:
        return {n: t.detach().numpy().copy() for n, t in self.model.state_dict().items()}


def save_weights(path: Path, learner: MadeLearner) -> None:
    """Keep what a training in another process came to."""
    np.savez(path, **learner.weights())


def largest_difference(a, b) -> float:
    """Return the largest difference of any two weights."""
    assert a.keys() == b.keys()
    return max(float(np.abs(a[name] - b[name]).max()) for name in a)

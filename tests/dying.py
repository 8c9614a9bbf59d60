"""Trainings that processes of their own run, some of which die: see `audiorec.learning.launch`."""

import os
import signal
from pathlib import Path

from audiorec.errors import DamagedFileError, InputError

N_SONGS = 30


class OwnError(DamagedFileError):
    """An error that is not defined in `audiorec.errors`."""


def plays():
    """Two tastes, and artists."""
    import numpy as np

    from audiorec.listening.sequences import Sequences
    from audiorec.listening.side import Category, SongSide
    from audiorec.recall.contract.data import Context, RecallData

    rng = np.random.default_rng(0)
    lists = [[f"s{rng.integers(15) + 15 * (u % 2):02}" for _ in range(12)] for u in range(60)]
    songs = tuple(f"s{n:02}" for n in range(N_SONGS))
    number = (np.arange(N_SONGS) % 3).astype(np.int32)
    artists = Category(number, ("a", "b", "c"), np.zeros(N_SONGS, np.bool_))
    side = SongSide(
        song_ids=songs,
        categories={"artist": artists},
        released=np.full(N_SONGS, np.nan, np.float32),
    )
    return RecallData(Sequences.from_lists(lists), songs, Context(side=side))


def sasrec():
    """Return a small channel with dropout."""
    from audiorec.recall.sequence.sasrec.channel import SASRec
    from audiorec.recall.sequence.sasrec.forward import SASRecRecipe

    return SASRec(SASRecRecipe(dimension=8, negatives=10, max_epochs=3, learning_rate=0.01))


def train(out, *, tell, stop):
    """Train; the first time, process 1 is killed in the middle of an epoch of the refit."""
    from audiorec.learning import next_song
    from audiorec.recall.contract.training import train_channel

    if os.environ["RANK"] == "1":
        _die_once(next_song.NextSongLearner, Path(f"{out}.died"))
    model_id = train_channel(sasrec(), plays(), Path(out), progress=tell, stop=stop)
    return {"model_id": model_id, "processes": int(os.environ["WORLD_SIZE"])}


def _die_once(learner, mark):
    steps, step = 0, learner.step

    def counted(self, batch):
        nonlocal steps
        steps += self._judged is None  # of the refit
        if steps == 15 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, batch)

    learner.step = counted


def stopped(out, *, tell, stop):
    """Say that it has begun, then train until it is told to stop."""
    from audiorec.recall.contract.training import train_channel

    tell({"epoch": -1})
    assert stop.wait(60)
    return train_channel(sasrec(), plays(), Path(out), progress=tell, stop=stop)


def dies_when_stopped(*, tell, stop):
    """Say that it has begun; die once it is told to stop."""
    tell({"epoch": -1})
    assert stop.wait(60)
    os.kill(os.getpid(), signal.SIGKILL)


def wrong(kind, *, tell, stop):
    """Fail, on purpose or not."""
    raise {"input": InputError("no"), "own": OwnError("broken"), "bug": ZeroDivisionError("x")}[
        kind
    ]

"""Part of an epoch of RecTools' SASRec, for `sequence_epoch.py`; prints one JSON line.

    PYTHON benchmarks/peers/rectools_epoch.py LISTS.txt [--batches 40]

LISTS has a line a user: an id and the items, oldest first. One thread. The line holds the CPU
seconds of the batches and how many an epoch has.
"""

import argparse
import json
import os
import time
import warnings
from pathlib import Path
from typing import ClassVar

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
warnings.filterwarnings("ignore")

import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer
from rectools.dataset import Dataset
from rectools.models import SASRecModel

LEFT_OUT = 2  # items at the end of a list: of the validation and of the test


class Clock(Callback):
    """CPU seconds at each batch; of the class, since the library copies what it is given."""

    at: ClassVar[list] = []

    def on_train_start(self, *_given) -> None:
        """Begin."""
        self.at.append(time.process_time())

    def on_train_batch_end(self, *_given) -> None:
        """Take the time."""
        self.at.append(time.process_time())


def main() -> None:
    """Train a part of an epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lists", type=Path)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--negatives", type=int, default=256)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for line in arguments.lists.open():
        user, *items = line.split()
        rows += [(user, item, 1.0, n) for n, item in enumerate(items[:-LEFT_OUT])]
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "weight", "datetime"])
    table["datetime"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(table["datetime"], unit="D")

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=1,
            limit_train_batches=arguments.batches,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[Clock()],
        )

    model = SASRecModel(
        n_factors=64,
        n_blocks=1,
        n_heads=1,
        session_max_len=50,
        dropout_rate=0.2,
        loss="sampled_softmax",
        n_negatives=arguments.negatives,
        batch_size=128,
        epochs=1,
        get_trainer_func=trainer,
    )
    model.fit(Dataset.construct(table))
    done = len(Clock.at) - 1
    an_epoch = -(-table["user_id"].nunique() // 128)
    print(json.dumps({"cpu_s": Clock.at[-1] - Clock.at[0], "batches": done, "of": an_epoch}))


if __name__ == "__main__":
    main()

"""Lists of RecTools' models for the sets of ``benchmarks/recall/recall_peers.py``.

    python benchmarks/peers/rectools_lists.py WORK/NAME MODEL ... [--keep-heard] [--budget 100]

MODEL is ``ease`` or ``sasrec``. Needs ``pip install "rectools[torch]"``. Writes
``tuned-rectools-MODEL.parquet`` with 200 songs for each query; one thread. Settings are chosen as
``settings.py`` says. Of SASRec the last song of each user validates the number of epochs: that with
the lowest loss there decides for how long the model is trained on everything.
"""

import argparse
import os
import warnings
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
os.environ["CUDA_VISIBLE_DEVICES"] = ""
warnings.filterwarnings("ignore")

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from rectools.dataset import Dataset
from rectools.models import EASEModel, SASRecModel
from settings import Settings, Space, search

DEPTH = 200
EPOCHS, PATIENCE = 60, 5
SPACES: dict[str, Space] = {
    "ease": {"regularization": [10.0, 30.0, 100.0, 300.0, 500.0, 1000.0, 2000.0]},
    "sasrec": {
        "batch_size": [16, 32, 64],
        "n_factors": [64, 128],
        "n_blocks": [1, 2],
        "n_heads": [1, 2],
        "dropout_rate": [0.1, 0.2, 0.4],
        "lr": [0.001, 0.003],
        "session_max_len": [50, 100],
        "loss": ["softmax", "sampled_softmax"],
        "n_negatives": [256],
    },
}

# Its defaults, 128 users a step and 256 factors, are no better than `popular` on logs of this size.
FIRST: dict[str, Settings] = {
    "ease": {},
    "sasrec": {"batch_size": 32, "n_factors": 64, "n_heads": 2, "session_max_len": 50},
}


class Losses(Callback):
    """The validation loss of each epoch; of the class, since the library copies what it gets."""

    seen: list = []  # noqa: RUF012

    def on_validation_epoch_end(self, trainer: Trainer, *_given: object) -> None:
        """Note the loss."""
        self.seen.append(float(trainer.callback_metrics["val_loss"]))


def last_of_each(table: pd.DataFrame) -> np.ndarray:
    """Return which rows are the newest of their user."""
    newest = table.groupby("user_id")["datetime"].transform("max")
    return (table["datetime"] == newest).to_numpy()


def trained(data: Dataset, epochs: int, settings: Settings, *, validates: bool) -> SASRecModel:
    """Train a model for some epochs."""
    stops = [Losses(), EarlyStopping("val_loss", patience=PATIENCE)] if validates else []

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            callbacks=stops,
        )

    model = SASRecModel(
        **settings,
        get_trainer_func=trainer,
        get_val_mask_func=last_of_each if validates else None,
        recommend_torch_device="cpu",
    )
    return model.fit(data)


def fitted(name: str, data: Dataset, settings: Settings) -> Any:
    """Return a model fitted to everything."""
    if name == "ease":
        return EASEModel(**settings, num_threads=1).fit(data)
    torch.manual_seed(0)
    Losses.seen.clear()
    trained(data, EPOCHS, settings, validates=True)
    epochs = int(np.argmin(Losses.seen)) + 1
    print(f"{epochs} of {len(Losses.seen)} epochs: {settings}", flush=True)
    return trained(data, epochs, settings, validates=False)


def read(path: Path) -> Dataset:
    """Read plays in order; the place in a history is the day."""
    table = pd.read_parquet(path).rename(columns={"song_id": "item_id"})
    table["datetime"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(table.pop("place"), unit="D")
    return Dataset.construct(table.assign(weight=1.0))


def lists_of(name: str, settings: Settings, folder: Path, *, keep_heard: bool) -> pa.Table:
    """Fit a model and return its lists."""
    learn, known = (read(folder / f"{part}-order.parquet") for part in ("learn", "known"))
    model = fitted(name, learn, settings)
    found = model.recommend(
        known.user_id_map.external_ids,
        # EASE knows the users it has learnt from: here, those who are asked for, with as much.
        learn if name == "ease" else known,
        k=DEPTH,
        filter_viewed=not keep_heard,
        on_unsupported_targets="ignore",  # a history of new songs alone has no list
    )
    lists = found.rename(columns={"item_id": "song_id"})[["user_id", "song_id", "rank"]]
    return pa.Table.from_pandas(lists, preserve_index=False)


def main() -> None:
    """Choose the settings of each model and write its lists."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="+", choices=SPACES)
    parser.add_argument("--keep-heard", action="store_true")
    parser.add_argument("--budget", type=float, default=100.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.models:

        def lists(settings: Settings, folder: Path, name: str = name) -> pa.Table:
            return lists_of(name, settings, folder, keep_heard=arguments.keep_heard)

        space, first = SPACES[name], FIRST[name]
        budget = arguments.budget * (3 if name == "sasrec" else 1)
        search(f"rectools-{name}", space, lists, arguments.folder, budget, first)


if __name__ == "__main__":
    main()

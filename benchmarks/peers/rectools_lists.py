"""Lists of RecTools' SASRec for the sets of ``benchmarks/recall/recall_fused.py``.

    python benchmarks/peers/rectools_lists.py WORK/NAME [--keep-heard] [--set NAME=VALUE]

Needs ``pip install "rectools[torch]"``. Reads ``learn-order.parquet`` and ``known-order.parquet``,
and writes ``peer-rectools-sasrec.parquet`` with 200 songs for each query. One thread, and the
library's own settings but those of ``--set``. The last song of each user validates: the epoch with
the lowest loss there decides for how long the model is trained on everything.
"""

import argparse
import os
import time
import warnings
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
warnings.filterwarnings("ignore")

import numpy as np
import pandas as pd
import torch
import yaml
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from rectools.dataset import Dataset
from rectools.models import SASRecModel

DEPTH = 200
PATIENCE = 5


class Losses(Callback):
    """The validation loss of each epoch; of the class, since the library copies what it gets."""

    seen: list = []  # noqa: RUF012

    def on_validation_epoch_end(self, trainer: Trainer, *_given: object) -> None:
        """Note the loss."""
        self.seen.append(float(trainer.callback_metrics["val_loss"]))
        print(f"epoch {len(self.seen)}: {self.seen[-1]:.3f}", flush=True)


def last_of_each(table: pd.DataFrame) -> np.ndarray:
    """Return which rows are the newest of their user."""
    newest = table.groupby("user_id")["datetime"].transform("max")
    return (table["datetime"] == newest).to_numpy()


def trained(data: Dataset, epochs: int, settings: dict, *, validates: bool) -> SASRecModel:
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


def read(path: Path) -> Dataset:
    """Read plays in order; the place in a history is the day."""
    table = pd.read_parquet(path).rename(columns={"song_id": "item_id"})
    table["datetime"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(table.pop("place"), unit="D")
    return Dataset.construct(table.assign(weight=1.0))


def main() -> None:
    """Choose the epochs, train, and write the lists."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep-heard", action="store_true")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    learn, known = (read(arguments.folder / f"{n}-order.parquet") for n in ("learn", "known"))
    began = time.process_time()
    pairs = (one.split("=") for one in arguments.set)
    settings = {name: yaml.safe_load(value) for name, value in pairs}
    trained(learn, arguments.epochs, settings, validates=True)
    epochs = int(np.argmin(Losses.seen)) + 1
    model = trained(learn, epochs, settings, validates=False)
    spent = time.process_time() - began
    found = model.recommend(
        known.user_id_map.external_ids,
        known,
        k=DEPTH,
        filter_viewed=not arguments.keep_heard,
        on_unsupported_targets="ignore",  # a history of new songs alone has no list
    )
    lists = found.rename(columns={"item_id": "song_id"})[["user_id", "song_id", "rank"]]
    lists.to_parquet(arguments.folder / "peer-rectools-sasrec.parquet", index=False)
    print(f"SASRec: {epochs} epochs, {spent:.1f} CPU-s", flush=True)


if __name__ == "__main__":
    main()

"""Train torch-rechub's MIND on plays and embed histories by it, for `interests_tables.py`.

    PYTHON benchmarks/peers/rechub_mind.py PLAYS.npz OUT.npz [--seed 0] [--epochs 10]

PLAYS has ``starts``, ``song`` of those who are learnt from and ``asked_starts``, ``asked_song`` of
those who are asked about; songs are numbers from 0. OUT gets ``interests`` (Q, K, d), ``songs``
(S, d) and ``cpu_s``. The model, the loss and the loop are the library's own, K follows the length
of a history; every play after the first is an example, against songs drawn evenly.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torch_rechub.basic.features import SequenceFeature, SparseFeature
from torch_rechub.models.matching import MIND
from torch_rechub.trainers import MatchTrainer

LONGEST, WIDTH, INTERESTS, NEGATIVES, BATCH = 20, 64, 4, 64, 256


class Rows(Dataset):
    """Examples, or histories: the rows of some arrays."""

    def __init__(self, columns: dict, labelled: bool) -> None:
        self.columns, self.labelled = columns, labelled

    def __len__(self) -> int:
        return len(self.columns["history"])

    def __getitem__(self, rows: list):
        found = {name: torch.from_numpy(values[rows]) for name, values in self.columns.items()}
        # Another draw each time.
        if self.labelled:
            shape = (len(rows), NEGATIVES)
            found["others"] = torch.randint(1, self.columns_most() + 1, shape)
            return found, torch.zeros(len(rows))
        return found

    def columns_most(self) -> int:
        """Return the largest number of a song."""
        return int(self.columns["song"].max())


def before(starts: np.ndarray, song: np.ndarray, places: np.ndarray, owner: np.ndarray):
    """Return the newest songs before some places, as numbers from 1; 0 is padding: (n, L)."""
    at = places[:, None] - np.arange(LONGEST, 0, -1)
    there = at >= starts[owner][:, None]
    found = np.where(there, song[np.maximum(at, 0)] + 1, 0)
    # The library pads on the right.
    order = np.argsort(~there, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)


def main() -> None:
    """Train, embed, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plays", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rate", type=float, default=1e-3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    given = np.load(arguments.plays)
    starts, song, n = given["starts"], given["song"], int(given["n_songs"])
    owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    places = np.flatnonzero(np.arange(len(song)) > starts[owner])
    columns = {
        "nobody": np.zeros(len(places), np.int64),
        "history": before(starts, song, places, owner[places]),
        "song": song[places].astype(np.int64) + 1,
    }
    user = [SparseFeature("nobody", vocab_size=1, embed_dim=1)]
    more = {"vocab_size": n + 1, "embed_dim": WIDTH, "shared_with": "song", "pooling": "concat"}
    history, others = (SequenceFeature(name, **more) for name in ("history", "others"))
    item = [SparseFeature("song", vocab_size=n + 1, embed_dim=WIDTH)]
    model = MIND(
        user, [history], item, [others], LONGEST, interest_num=INTERESTS, dynamic_interest=True
    )
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        trainer = MatchTrainer(
            model,
            mode=2,
            optimizer_params={"lr": arguments.rate, "weight_decay": 1e-6},
            n_epoch=arguments.epochs,
            model_path=folder,
        )
        trainer.fit(batches(Rows(columns, labelled=True), shuffle=True))
        spent = time.process_time() - begun
        asked, songs_of = given["asked_starts"], given["asked_song"]
        people = np.arange(len(asked) - 1)
        columns = {
            "nobody": np.zeros(len(people), np.int64),
            "history": before(asked, songs_of, asked[1:], people),
        }
        users = batches(Rows(columns, labelled=False), shuffle=False)
        interests = trainer.inference_embedding(model, "user", users, folder)
        items = {"song": np.arange(1, n + 1), "history": np.arange(1, n + 1)}
        all_songs = batches(Rows(items, labelled=False), shuffle=False)
        songs = trainer.inference_embedding(model, "item", all_songs, folder)
    np.savez(arguments.out, interests=interests.numpy(), songs=songs.numpy(), cpu_s=spent)


def batches(rows: Rows, *, shuffle: bool) -> DataLoader:
    """Return a loader that asks for whole batches of rows."""
    sampler = torch.utils.data.BatchSampler(
        torch.utils.data.RandomSampler(rows)
        if shuffle
        else torch.utils.data.SequentialSampler(rows),
        BATCH,
        drop_last=False,
    )
    return DataLoader(rows, sampler=sampler, batch_size=None)


if __name__ == "__main__":
    main()

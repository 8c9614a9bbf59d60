"""Train a metric model on a log, a catalogue and users, and write it as a bundle.

    features.parquet, interactions, users.parquet  ──train_metric──▶  model/

While a training lasts its state lies in ``<out>.run/``; a training that was killed goes on
from there when the same call is made again. The folder goes when the model is written.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.files.run_folder import RunFolder
from audiorec.learning.fit import noting
from audiorec.recall.audio.data import Material, Prepared, TrainingSongs, prepare
from audiorec.recall.audio.inputs import CACHE_FILES, FeatureSongs
from audiorec.recall.audio.model import save_model
from audiorec.recall.audio.recipe import TrainingOptions
from audiorec.recall.audio.trainer import TrainedTower, train_tower
from audiorec.spec import fingerprint
from audiorec.store.embeddings import write_embeddings

CHECKPOINT_FILE = "training.safetensors"
METRICS_FILE = "metrics.jsonl"
RUN_FILES = "|".join([re.escape(CHECKPOINT_FILE), re.escape(METRICS_FILE), CACHE_FILES])
PACKAGES = ("audiorec", "numpy", "torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """What came of a training."""

    model_id: str  # empty if it was stopped
    finished: bool
    best_epoch: int
    epochs: int
    auc: float | None  # on the artists that said when to stop
    auc_at_start: float | None
    counts: dict[str, int]  # anchors, songs, artists, pairs, users without an embedding

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def train_metric(
    songs: TrainingSongs | str | Path,
    interactions: str | Path,
    *,
    out: str | Path,
    users: str | Path | None = None,
    users_out: str | Path | None = None,
    store: str | Path | None = None,
    options: TrainingOptions | None = None,
    device: str = "cpu",
    progress: Callable[[dict[str, Any]], None] | None = None,
    stop: Event | None = None,
) -> TrainingReport:
    """Train a metric model.

    Parameters
    ----------
    songs : TrainingSongs or path
        A ``features.parquet``, or `LogMelSongs` to train end to end.
    interactions : path
        A listening log.
    out : path
        The model's folder.
    users : path, optional
        A ``users.parquet``: the anchors. Without it the users' embeddings are learnt along,
        and written to `users_out`. Not used where songs are the anchors.
    users_out : path, optional
    store : path, optional
        A ``vecs.parquet`` with the songs' artists; by default the one beside the features.
    options : TrainingOptions, optional
    device : str
        ``cpu`` or ``cuda``.
    progress : callable, optional
        Called with every epoch's ``epoch``, ``loss``, ``figure`` and ``seconds``.
    stop : Event, optional
        Once set, the training ends after the batch in work; the same call goes on from there.

    Returns
    -------
    report : TrainingReport

    Raises
    ------
    InputError
        If the log, the users and the songs do not fit each other, or there is nothing to
        learn from. Nothing is written.
    StoreError
        If a file is not what it should be, or another run is writing `out`.
    """
    options = options or TrainingOptions()
    if not isinstance(songs, TrainingSongs):
        songs = FeatureSongs(Path(songs), options.inputs or None)
    anchored = users is not None or options.pairs_from != "likes"
    if anchored == (users_out is not None):
        raise InputError("give users, or a place for the users that are learnt: one of the two")
    folder = RunFolder(Path(out), RUN_FILES)
    songs.cache = folder.path
    written = False
    try:
        prepared = prepare(
            songs,
            Path(interactions),
            options,
            users=Path(users) if users is not None else None,
            store=Path(store) if store is not None else None,
        )
        trained = _train(songs, prepared, options, folder.path, device, progress, stop)
        written = trained.finished
        model_id = _write(songs, prepared, options, trained, Path(out), users_out)
        if written:
            folder.clear()
    finally:
        folder.release(remove=written or not folder.names())
    return _report(prepared, trained, model_id)


def _train(
    songs: TrainingSongs,
    prepared: Prepared,
    options: TrainingOptions,
    folder: Path,
    device: str,
    progress: Callable[[dict[str, Any]], None] | None,
    stop: Event | None,
) -> TrainedTower:
    """Train from the run's checkpoint, or from the start."""
    material = prepared.material
    identity = {
        "data": material.fingerprint,
        "options": json.loads(json.dumps(asdict(options))),
        "tower": songs.identity,
    }
    return train_tower(
        songs.tower(options, material.data, device),
        material.data,
        options.recipe,
        judge=material.judge if material.panel is not None else None,
        checkpoint=folder / CHECKPOINT_FILE,
        fingerprint=fingerprint(identity),
        device=device,
        progress=noting(folder / METRICS_FILE, progress),
        stop=stop,
    )


def _write(
    songs: TrainingSongs,
    prepared: Prepared,
    options: TrainingOptions,
    trained: TrainedTower,
    out: Path,
    users_out: str | Path | None,
) -> str:
    """Write the bundle and, where users were learnt, their embeddings; return the model id."""
    if not trained.finished:
        return ""
    config = {
        "tower": asdict(trained.tower.spec),
        "extractor_id": songs.extractor_id,
        "audio_spec": songs.audio_spec,
        "space": prepared.anchors.space,
        "split": asdict(options.split),
        "end_to_end": songs.end_to_end,
        "backbone": songs.backbone,
        "training": {
            "data": prepared.material.fingerprint,
            "recipe": asdict(options.recipe),
            "pairs_from": options.pairs_from,
            "best_epoch": trained.best_epoch,
            "epochs": len(trained.history) - 1,
            "simulated": prepared.simulated,
            **prepared.counts,
        },
        "figures": _figures(prepared.material, trained),
        "versions": {name: version(name) for name in PACKAGES},
    }
    model_id = save_model(
        out,
        tensors={n: t.numpy() for n, t in trained.tower.state_dict().items()},
        config=config,
        card=metric_card(config),
        metrics="".join(json.dumps(line) + "\n" for line in trained.history),
    )
    if trained.anchors is not None and users_out is not None:
        learnt = _learnt(trained)
        ids = [prepared.anchors.ids[number] for number in learnt.tolist()]
        anchors = trained.anchors[learnt]
        write_embeddings(Path(users_out), ids, anchors, kind="users", model_id=model_id)
    return model_id


def _learnt(trained: TrainedTower) -> npt.NDArray[np.intp]:
    """Return the users that have an embedding.

    One whose liked songs are all held out, or heard by nobody else, was not learnt: zeros,
    which are similar to nothing.
    """
    anchors = np.empty((0, 0), np.float32) if trained.anchors is None else trained.anchors
    return np.flatnonzero((anchors != 0).any(axis=1))


def _report(prepared: Prepared, trained: TrainedTower, model_id: str) -> TrainingReport:
    figures, counts = _figures(prepared.material, trained), dict(prepared.counts)
    if trained.anchors is not None:
        counts["users_without_embedding"] += len(trained.anchors) - len(_learnt(trained))
    return TrainingReport(
        model_id=model_id,
        finished=trained.finished,
        best_epoch=trained.best_epoch,
        epochs=len(trained.history) - 1,
        auc=figures["auc"],
        auc_at_start=figures["auc_at_start"],
        counts=counts,
    )


def _figures(material: Material, trained: TrainedTower) -> dict[str, Any]:
    best = trained.history[trained.best_epoch]["figure"]
    panel = material.panel
    return {
        "auc": best,
        "auc_at_start": trained.history[0]["figure"],
        "users": 0 if panel is None else len(panel.users),
        "songs": len(material.panel_songs),
    }


def metric_card(config: Mapping[str, Any]) -> str:
    """Return the card of what goes into ``model.json`` as Markdown."""
    tower, training, split = config["tower"], config["training"], config["split"]
    space, source = config["space"], training["pairs_from"]
    place = f"the space of the users of model `{space}`" if space else "a space of its own"
    hidden = f" and a layer of {tower['hidden']} units" if tower["hidden"] else ""
    pairs = "likes" if source == "likes" else f"pairs of songs in {source}"
    made_up = ", **simulated listening: of no use on real users**" if training["simulated"] else ""
    return f"""# Metric model

Turns the audio of a song into an embedding of {tower["embedding"]} numbers of unit length, in
{place}. Larger dot products mean that the user is more likely to like the song.

| | |
|---|---|
| reads | {_reads(config)} |
| network | linear map{hidden}, {tower["pooling"]} over segments |
| learnt from | {training["liked_pairs"]:,} {pairs}, {training["anchors"]:,} \
anchors, {training["songs"]:,} songs of {training["artists"]:,} artists |
| loss | {training["recipe"]["loss"]}, {training["recipe"]["negatives"]["count"]} songs against \
each liked one |
| stopped | after epoch {training["best_epoch"]} of {training["epochs"]} \
(0 is the closed-form start) |
| seed | {training["recipe"]["seed"]} |
| training data | `{training["data"]}`{made_up} |

## Figures

{_figures_in_words(config["figures"])}

These figures chose the moment to stop, so they flatter. Judge the model on artists that it
never heard: `audiorec metric evaluate`. Held out of training besides: \
{split["test"]:.0%} of the artists and {split["new_songs"]:.0%} of the other artists' songs.

## Limits

- The model knows the taste of the users it was trained with, and the kinds of music they
  heard. On other catalogues measure first.
- What many users like is near to many users: popular kinds of music are shown more.
- Embeddings compare only with embeddings of the same space, never with 84-d vectors.

Versions: {", ".join(f"{name} {number}" for name, number in config["versions"].items())}.
"""


def _reads(config: Mapping[str, Any]) -> str:
    made = f"extractor `{config['extractor_id']}`"
    if config["end_to_end"]:
        return f"log-mel segments, through a backbone trained along; spec of {made}"
    return f"{', '.join(config['tower']['inputs'])} of {made}"


def _figures_in_words(figures: Mapping[str, Any]) -> str:
    if figures["auc"] is None:
        return "None: no artists were held out, or too few users like any of them."
    return (
        f"AUC by user on the artists that said when to stop: **{figures['auc']:.3f}** over "
        f"{figures['users']:,} users and {figures['songs']:,} songs; the closed-form start had "
        f"{figures['auc_at_start']:.3f}."
    )

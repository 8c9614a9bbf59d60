"""Training inputs: stored features, or audio decoded to log-mels.

Both number the songs, load some of them as `SongSegments`, and make a tower that fits them.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from audiorec.errors import StoreError
from audiorec.evaluation.baselines import unit
from audiorec.extraction.catalogue import make_source
from audiorec.recall.audio.batches import TrainingData
from audiorec.recall.audio.closed_form import fit_map
from audiorec.recall.audio.data import TrainingSongs
from audiorec.recall.audio.log_mels import decode_songs
from audiorec.recall.audio.model import MIN_SCALE, TowerSpec
from audiorec.recall.audio.recipe import MetricRecipe, TrainingOptions
from audiorec.recall.audio.tower import EndToEndTower, Tower, song_means
from audiorec.spec import FeatureSpec
from audiorec.store.features import FeatureFile
from audiorec.store.segments import SongSegments, join_songs
from audiorec.store.store import VectorStore
from audiorec.tagger.backbone_torch import HIDDEN, load_network
from audiorec.tagger.weights import BackboneName, backbone_weights, weights_path
from audiorec.types import FloatArray, Int64Array

CACHE_FOLDER = "log_mels"
CACHE_FILES = rf"{CACHE_FOLDER}/(?:[0-9a-f]{{24}}\.npy)?"  # regular expression of what it holds


class FeatureSongs(TrainingSongs):
    """Songs of a ``features.parquet``."""

    end_to_end = False
    backbone = ""
    identity = "features"

    def __init__(self, path: Path, inputs: Sequence[str] | None = None) -> None:
        self.file = FeatureFile.open(path, inputs)
        self.path, self.ids = path, self.file.ids
        self.extractor_id = self.file.extractor_id
        self.audio_spec = dict(self.file.spec)

    def load(self, rows: Int64Array, max_segments: int) -> tuple[SongSegments, Int64Array]:
        """Read the features; every song has some."""
        return self.file.read(rows, max_segments=max_segments), rows

    def tower(self, options: TrainingOptions, data: TrainingData, _device: str) -> Tower:
        """Make a tower on features."""
        tower = _new_tower(options, self.file.inputs, self.file.width)
        start(tower, data.songs.means(), data, options.recipe)
        return tower


class LogMelSongs(TrainingSongs):
    """Songs of a ``vecs.parquet``, decoded again.

    Parameters
    ----------
    store : VectorStore
    backbone : {"msd", "mtt"}
        The network that is trained along.
    jobs : int
        Processes that decode.
    """

    end_to_end = True

    def __init__(
        self, store: VectorStore, *, backbone: BackboneName = "msd", jobs: int = 1
    ) -> None:
        self.store, self.jobs = store, jobs
        self.backbone: BackboneName = backbone
        self.path, self.ids = store.path, store.ids
        self.extractor_id = store.metadata.extractor_id
        self.spec = FeatureSpec.from_dict(store.metadata.spec)
        self.audio_spec = self.spec.to_dict()
        self.identity = f"{backbone} {backbone_weights(backbone).sha256}"

    def load(self, rows: Int64Array, max_segments: int) -> tuple[SongSegments, Int64Array]:
        """Decode the songs; those that cannot be read any more are left out."""
        uris = self.store.column("uri").take(rows).to_pylist()
        sources = [make_source(u, self.ids[r]) for u, r in zip(uris, rows, strict=True)]
        folder = self.cache / CACHE_FOLDER
        decoded = decode_songs(
            sources, folder, spec=self.spec, max_segments=max_segments, jobs=self.jobs
        )
        heard = {s.song_id: found for s, found in decoded if isinstance(found, np.ndarray)}
        if not heard:
            raise StoreError(f"{self.path}: none of its songs can be read at its place any more")
        kept = np.array([r for r in rows if self.ids[r] in heard], np.int64)
        return join_songs([(self.ids[r], heard[self.ids[r]]) for r in kept]), kept

    def tower(self, options: TrainingOptions, data: TrainingData, device: str) -> EndToEndTower:
        """Make a tower over the backbone, in the start that its frozen features give."""
        network = load_network(weights_path(self.backbone))
        names = (f"{self.backbone}_log_mel",)
        tower = EndToEndTower(network, _new_tower(options, names, HIDDEN))
        means = song_means(tower, data.songs.values, data.songs.offsets, device=device).numpy()
        start(tower, means, data, options.recipe)
        return tower


def start(
    tower: Tower | EndToEndTower, means: FloatArray, data: TrainingData, recipe: MetricRecipe
) -> None:
    """Set a tower's standardisation and, where users are given, its closed-form map.

    `means` (S, D) are of all songs; only songs that may be learnt from count.
    """
    known = means[data.pool].astype(np.float64)
    mean, scale = known.mean(0), np.maximum(known.std(0), MIN_SCALE)
    weights = None
    if recipe.start == "ridge" and data.anchors is not None:
        standard = ((means - mean) / scale).astype(np.float32)
        found = fit_map(unit(data.anchors), data.liked, standard, data.groups, recipe.ridge)
        weights = torch.from_numpy(found)
    first, second = (torch.from_numpy(a.astype(np.float32)) for a in (mean, scale))
    tower.start_from(first, second, weights)


def _new_tower(options: TrainingOptions, inputs: tuple[str, ...], width: int) -> Tower:
    spec = TowerSpec(inputs=inputs, width=width, embedding=options.embedding, hidden=options.hidden)
    torch.manual_seed(options.recipe.seed)
    return Tower(replace(spec, pooling=options.pooling))

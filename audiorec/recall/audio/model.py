"""A metric model in its folder: saved, loaded, and asked for embeddings.

Besides its weights a bundle says which extractor's features it reads, in whose users' space
its embeddings lie, and which artists it never heard.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from audiorec.errors import SpecMismatchError, WeightsError
from audiorec.learning.bundle import Bundle, read_bundle, write_bundle
from audiorec.recall.audio.embedder import Embedder
from audiorec.recall.audio.held_out import Split
from audiorec.recall.audio.tower_spec import TowerSpec
from audiorec.spec import FeatureSpec
from audiorec.store.segments import SongSegments
from audiorec.types import FloatArray

KIND = "metric"


@dataclass(frozen=True, slots=True, eq=False)
class MetricModel:
    """A model that turns any song's audio into an embedding.

    Use `MetricModel.load`.
    """

    bundle: Bundle

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "MetricModel":
        """Read a bundle.

        Raises
        ------
        WeightsError
            If it is missing, damaged, of another kind, or its weights do not fit its form.
        """
        model = cls(read_bundle(path, kind=KIND))
        try:
            spec = model.spec
            if not model.end_to_end:
                Embedder(spec, model.bundle.tensors)
            texts = (model.extractor_id, model.space)
            Split(**model.bundle.config["split"])
            FeatureSpec.from_dict(model.bundle.config["audio_spec"])
        except (KeyError, TypeError, ValueError, WeightsError) as error:
            raise WeightsError(
                f"{path}: model.json does not fit a metric model: {error}"
            ) from error
        if not all(isinstance(text, str) for text in texts):
            raise WeightsError(f"{path}: model.json must name an extractor and a space")
        return model

    @property
    def spec(self) -> TowerSpec:
        """The form of the tower."""
        return TowerSpec.from_dict(self.bundle.config["tower"])

    @property
    def model_id(self) -> str:
        """What the model is told apart by."""
        return self.bundle.model_id

    @property
    def space(self) -> str:
        """The model of the users that the embeddings may be compared with; empty for none."""
        space: str = self.bundle.config["space"]
        return space

    @property
    def extractor_id(self) -> str:
        """The extractor whose features the model reads."""
        extractor_id: str = self.bundle.config["extractor_id"]
        return extractor_id

    @property
    def end_to_end(self) -> bool:
        """Whether the model hears log-mel segments, not features."""
        return bool(self.bundle.config.get("end_to_end", False))

    @property
    def audio_spec(self) -> FeatureSpec:
        """Everything between a file and a segment."""
        return FeatureSpec.from_dict(self.bundle.config["audio_spec"])

    @property
    def split(self) -> Split:
        """Which artists were held out of the training."""
        return Split(**self.bundle.config["split"])

    def check_extractor(self, extractor_id: str, what: str) -> None:
        """Refuse features of another extractor.

        Raises
        ------
        SpecMismatchError
            Naming `what` holds them.
        """
        if extractor_id != self.extractor_id:
            raise SpecMismatchError(
                f"{what} was made by extractor {extractor_id}, the model was trained on "
                f"{self.extractor_id}: extract the songs again, or train a model on these features"
            )

    def check_space(self, theirs: Collection[str], what: str) -> None:
        """Refuse users of another space.

        Parameters
        ----------
        theirs : collection of str
            The users' model id, and the space that they name.
        what : str
            Names them in the message.

        Raises
        ------
        SpecMismatchError
            If neither is this model or the space that it was trained in.
        """
        if not ({self.model_id, self.space} - {""}) & set(theirs):
            raise SpecMismatchError(
                f"{what}: users of {', '.join(sorted(set(theirs) - {''}))}, the model was trained "
                f"in the space of {self.space or self.model_id}"
            )

    def embed(self, songs: SongSegments) -> FloatArray:
        """Return embeddings, (S, E) float32, of songs given by their features.

        Raises
        ------
        ShapeError
            If the features have another width.
        """
        return Embedder(self.spec, self.bundle.tensors).embed(songs)


def save_model(
    path: str | os.PathLike[str],
    *,
    tensors: Mapping[str, FloatArray],
    config: Mapping[str, Any],
    card: str,
    metrics: str,
) -> str:
    """Write a model's folder, whole or not at all, and return its model id.

    Parameters
    ----------
    path : path
    tensors : mapping
        The tower's state.
    config : mapping
        Plain JSON values: ``tower`` (a `TowerSpec`), ``extractor_id``, ``audio_spec`` (a
        `FeatureSpec`), ``space``, ``split`` (a `Split`), ``end_to_end``, ``backbone``,
        ``training``, ``figures``, ``versions``.
    card, metrics : str
        ``MODEL_CARD.md`` and ``metrics.jsonl``.

    Raises
    ------
    InputError
        If `path` holds something else than a model, or a number is not finite.
    """
    whole = {"kind": KIND, **config}
    return write_bundle(
        path, tensors=tensors, config=whole, card=card, files={"metrics.jsonl": metrics}
    )

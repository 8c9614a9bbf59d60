"""Networks of the user's own: looked at in a worker, kept, and made part of an extractor.

    MODEL.onnx, SPEC.json ──add_backbone──▶ a folder that `find_added` opens by name
    heads, a name         ──extractor_config──▶ `ExtractorConfig`

A model may come from anywhere. It is opened in a process that may die of it, run on made-up sound
that goes through its own front end, and kept only if its answers are what the spec says.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audiorec.audio.segment import segments
from audiorec.errors import AudiorecError, WeightsError
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
from audiorec.files.user_files import input_errors, refuse_devices
from audiorec.runs.workers import Limits, Workers
from audiorec.spec import FeatureSpec
from audiorec.tagger.added import (
    AddedBackbone,
    added_names,
    backbones_folder,
    find_added,
    write_added,
)
from audiorec.tagger.backbone_added import Graph
from audiorec.tagger.heads import Head
from audiorec.tagger.onnx_file import MAX_MODEL_BYTES
from audiorec.tagger.stated import Role, StatedBackbone, read_spec
from audiorec.tagger.weights import WEIGHTS
from audiorec.types import FloatArray

HANDLER = "audiorec.extraction.backbones:check_handler"
LIMITS = Limits(timeout_s=120.0)
SEGMENTS = 3  # of made-up sound that a model is tried on
# What two runs of one segment, alone and beside others, may differ in, of the largest answer.
TOLERANCE = 1e-4


class ModelAnswer(NamedTuple):
    """What a worker saw of a model."""

    sha256: str
    widths: dict[Role, int]


def add_backbone(
    model: Path, spec: Path, *, replace: bool = False, limits: Limits = LIMITS
) -> AddedBackbone:
    """Check a network and keep it in the folder of the user's data.

    Parameters
    ----------
    model : Path
        An ONNX file without external data and custom operators.
    spec : Path
        Its spec; see `audiorec.tagger.stated`.
    replace : bool
        Take the place of another network of the same name.
    limits : Limits
        Time and memory of the worker that tries it.

    Raises
    ------
    InputError
        If the spec does not hold, or there is another network of this name.
    WeightsError
        If the model cannot be opened, does not fit the spec, or its answers depend on what stands
        beside a segment in a batch.
    """
    stated = read_spec(spec)
    content = _model(model)
    with Workers(HANDLER, (stated,), limits=limits) as workers:
        answer = workers.ask(os.path.abspath(model))  # noqa: PTH100 - dots are kept
    if answer.error is not None:
        raise WeightsError(f"{model}: {answer.error}") from answer.error
    if answer.failure is not None:
        raise WeightsError(f"{model}: {answer.failure}: {answer.message}")
    seen: ModelAnswer = answer.value
    if seen.sha256 != hashlib.sha256(content).hexdigest():
        raise WeightsError(f"{model}: changed while it was looked at")
    return write_added(stated, content, seen.widths, replace=replace)


def check_handler(stated: StatedBackbone) -> Callable[[str], ModelAnswer]:
    """Make what the worker of `add_backbone` runs: the path of a model in, what it is out."""

    def check(path: str) -> ModelAnswer:
        content = _model(Path(path))
        graph = Graph(stated, content)
        made = _made_up(stated)
        found = graph.run(made)
        for one, alone in enumerate(graph.run(segment[None]) for segment in made):
            for role, values in found.items():
                apart = np.abs(values[one] - alone[role][0]).max()
                if apart > TOLERANCE * np.abs(values).max():
                    raise WeightsError(
                        f"its {role} of a segment depend on the others of the batch; export it "
                        "for inference"
                    )
        return ModelAnswer(
            hashlib.sha256(content).hexdigest(),
            {role: values.shape[1] for role, values in found.items()},
        )

    return check


def extractor_config(
    heads: Sequence[Path] = (),
    backbone: str | None = None,
    *,
    hop_s: float | None = None,
    **own: Any,
) -> ExtractorConfig:
    """Return the configuration of an extractor by what a user names.

    Parameters
    ----------
    heads : sequence of path
        Head files; empty for the shipped pair, or for a network's own scores.
    backbone : str, optional
        The name of a network that was added, or its folder; by default the one that the heads were
        trained on.
    hop_s : float, optional
        Seconds between two segments; by default what the front end says.
    own
        Other fields of `ExtractorConfig`.

    Raises
    ------
    WeightsError
        If there is no such network, or a head cannot be read.
    """
    if backbone is None:
        needed = {name for path in heads for name in Head.load(path).backbones} - WEIGHTS.keys()
        backbone = min(needed, default=None)
    added = None if backbone is None else find_added(backbone)
    spec = ExtractorConfig().spec if added is None else added.stated.features
    if hop_s is not None:
        spec = replace_hop(spec, hop_s)
    folder = None if added is None else added.folder
    return ExtractorConfig(heads=tuple(heads), backbone=folder, spec=spec, **own)


def extractor_called(extractor_id: str, spec: FeatureSpec) -> ExtractorConfig | None:
    """Return the configuration of an extractor by its id, None if none of this machine has it.

    Tried are the shipped networks and those that were added, each with the scores that it has where
    no head is named.
    """
    folders: list[Path | None] = [None, *(backbones_folder() / name for name in added_names())]
    for folder in folders:
        config = ExtractorConfig(backbone=folder, spec=spec)
        with suppress(AudiorecError):  # one that cannot be opened, or has another front end
            if Extractor(config).extractor_id == extractor_id:
                return config
    return None


def replace_hop(spec: FeatureSpec, hop_s: float) -> FeatureSpec:
    """Return a spec with another hop."""
    return replace(spec, segment=replace(spec.segment, hop_s=hop_s))


def _model(path: Path) -> bytes:
    """Read a model that a user names, at most `MAX_MODEL_BYTES` of it."""
    with input_errors(path, "cannot read the model"):
        refuse_devices(path)
        with path.open("rb") as file:
            content = file.read(MAX_MODEL_BYTES + 1)
    if len(content) > MAX_MODEL_BYTES:
        raise WeightsError(f"larger than {MAX_MODEL_BYTES} bytes, the limit of a model")
    return content


def _made_up(stated: StatedBackbone) -> FloatArray:
    """Return segments (B, T, M) of noise that swells, then silence, through the front end."""
    spec = stated.features
    rng, n = np.random.default_rng(0), SEGMENTS * spec.segment_samples
    noise = rng.standard_normal(n) * np.linspace(0, 0.3, n)
    noise[-spec.segment_samples :] = 0
    made = segments([noise.astype(np.float32)], spec, filterbank=stated.filterbank)
    return np.stack([segment.log_mel for segment in made])

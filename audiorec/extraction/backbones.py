"""Add a user's network after checking it in a worker, and configure extractors.

    MODEL.onnx, SPEC.json ──add_backbone──▶ a folder that `find_added` opens by name
    a registered name     ──packaged─────▶ the two files, in an installed package
    heads, a name         ──extractor_config──▶ `ExtractorConfig`

A model is untrusted. A disposable worker process opens it and runs it on synthetic sound through
its front end; it is stored only if its outputs match the spec.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audiorec.audio.segment import segments
from audiorec.errors import AudiorecError, InputError, WeightsError
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
from audiorec.files.user_files import input_errors, refuse_devices
from audiorec.runs.entry_points import Registry
from audiorec.runs.workers import Limits, Workers
from audiorec.spec import FeatureSpec
from audiorec.tagger.added import (
    AddedBackbone,
    Graph,
    added_names,
    backbones_folder,
    write_added,
)
from audiorec.tagger.backbone_spec import MAX_MODEL_BYTES, BackboneSpec, Role, read_spec
from audiorec.types import FloatArray

BACKBONES = Registry("audiorec.backbones", "backbone")
PACKAGED = ("model.onnx", "spec.json")
HANDLER = "audiorec.extraction.backbones:check_handler"
LIMITS = Limits(timeout_s=120.0)
SEGMENTS = 3  # of synthetic sound on which a model is tried
# Largest difference between a segment run alone and in a batch, relative to the largest output.
TOLERANCE = 1e-4


class ModelAnswer(NamedTuple):
    """Checksum and output widths of a model, as found by a worker."""

    sha256: str
    widths: dict[Role, int]


def add_backbone(
    model: Path, spec: Path, *, replace: bool = False, limits: Limits = LIMITS
) -> AddedBackbone:
    """Check a network and store it in the user's data folder.

    Parameters
    ----------
    model : Path
        An ONNX file without external data or custom operators.
    spec : Path
        Its spec; see `audiorec.tagger.backbone_spec`.
    replace : bool
        Replace a network with the same name.
    limits : Limits
        Time and memory limits of the worker.

    Raises
    ------
    InputError
        If the spec is invalid, or a network with this name exists.
    WeightsError
        If the model cannot be opened, does not match the spec, or its outputs for a segment depend
        on the rest of the batch.
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
        raise WeightsError(f"{model}: changed while it was being checked; run the command again")
    return write_added(stated, content, seen.widths, replace=replace)


def packaged(name: str) -> tuple[Path, Path]:
    """Return the model and the spec of a network that an installed package brings.

    Its entry point of ``audiorec.backbones`` is the path of a folder with the files of `PACKAGED`.

    Raises
    ------
    InputError
        If no package brings this network; the message lists those that there are.
    """
    theirs = {entry.name for entry in BACKBONES.others()} - {*BACKBONES.own()}
    if name not in theirs:
        there = ", ".join(sorted(theirs)) or "none"
        raise InputError(
            f"no installed package brings the backbone {name!r} (there are: {there}); to add a "
            "file, give its spec: audiorec backbones MODEL.onnx --spec SPEC.json"
        )
    folder = Path(str(BACKBONES[name]))
    return folder / PACKAGED[0], folder / PACKAGED[1]


def check_handler(stated: BackboneSpec) -> Callable[[str], ModelAnswer]:
    """Return the function that the worker of `add_backbone` runs: path to `ModelAnswer`."""

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
                        f"the {role} of a segment depend on the rest of the batch; export the "
                        "model for inference"
                    )
        return ModelAnswer(
            hashlib.sha256(content).hexdigest(),
            {role: values.shape[1] for role, values in found.items()},
        )

    return check


def extractor_by_id(extractor_id: str, spec: FeatureSpec) -> ExtractorConfig | None:
    """Return the extractor configuration with an id; None if there is none on this machine.

    Tries the shipped networks and the added ones, each with its default scores.
    """
    folders: list[Path | None] = [None, *(backbones_folder() / name for name in added_names())]
    for folder in folders:
        config = ExtractorConfig(backbone=folder, spec=spec)
        with suppress(AudiorecError):  # one that cannot be opened, or has another front end
            if Extractor(config).extractor_id == extractor_id:
                return config
    return None


def _model(path: Path) -> bytes:
    """Read a user's model file of at most `MAX_MODEL_BYTES`."""
    with input_errors(path, "cannot read the model"):
        refuse_devices(path)
        with path.open("rb") as file:
            content = file.read(MAX_MODEL_BYTES + 1)
    if len(content) > MAX_MODEL_BYTES:
        raise WeightsError(f"larger than {MAX_MODEL_BYTES} bytes, the limit for models")
    return content


def _made_up(stated: BackboneSpec) -> FloatArray:
    """Return segments (B, T, M) of noise with rising level, then silence, from the front end."""
    spec = stated.features
    rng, n = np.random.default_rng(0), SEGMENTS * spec.segment_samples
    noise = rng.standard_normal(n) * np.linspace(0, 0.3, n)
    noise[-spec.segment_samples :] = 0
    made = segments([noise.astype(np.float32)], spec, filterbank=stated.filterbank)
    return np.stack([segment.log_mel for segment in made])

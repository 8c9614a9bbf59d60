"""Log-mel segments to the features of a music tagging network.

    segments (B, 187, 96)  ──Backbone.features──▶  tags (B, 50), penultimate (B, 200),
                                                   max_pool (B, 753), mean_pool (B, 753)

One network is shipped: ``msd``, a musicnn trained on the Million Song Dataset, as ONNX for one
thread. `audiorec.tagger.backbone_torch` has it for reading and training.
"""

import os
from typing import Any

from audiorec.spec import MelSpec
from audiorec.tagger.features import OUTPUT_WIDTHS, check_batch_size, in_batches
from audiorec.tagger.weights import BackboneName, backbone_weights, check_mel, onnx_model
from audiorec.types import Features, FloatArray


class OnnxBackbone:
    """A shipped network in ONNX Runtime, on one CPU thread.

    `batch_size` is the number of segments per batch. It changes no output by more than 1e-6 of the
    largest; small batches stay in the CPU cache.
    """

    def __init__(self, name: BackboneName, *, batch_size: int = 8) -> None:
        entry = backbone_weights(name)
        self.name: BackboneName = name
        self.weights_sha256 = entry.sha256
        self.tag_names = entry.tags
        self.batch_size = check_batch_size(batch_size)
        self._session = open_session(onnx_model(name))

    def features(self, segments: FloatArray) -> Features:
        """Return the features of B segments; see `Backbone.features`."""
        return in_batches(self._run, segments, batch_size=self.batch_size)

    def _run(self, segments: FloatArray) -> Features:
        return Features(*self._session.run(list(OUTPUT_WIDTHS), {"log_mel": segments}))


def load_backbone(name: BackboneName, *, mel: MelSpec | None = None) -> OnnxBackbone:
    """Load a shipped network; segments of another `mel` than it was trained on are refused.

    Raises
    ------
    InputError
        If there is no such network.
    SpecMismatchError
        If the network was trained on another `mel`.
    WeightsError
        If the shipped file is missing or damaged.
    """
    check_mel(name, mel or MelSpec())
    return OnnxBackbone(name)


def open_session(model: bytes) -> Any:
    """Open a shipped model on one thread without spin-waiting."""
    # From 1.29 on, its wheels send telemetry about every session and write files for it.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # late: takes 0.2 s

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # A memory arena would hold on to the peak of the largest batch, and saves no time here.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3  # errors only: stderr belongs to the command
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

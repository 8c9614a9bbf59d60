"""Freeze MSD_musicnn, as its own wheel ships it, into the one file that essentia reads.

    python benchmarks/peers/freeze_musicnn.py musicnn_msd.pb

Runs where tensorflow and musicnn are installed (see `benchmarks/peers/README.md`). The input
of the graph is ``model/Placeholder``, its output ``model/Sigmoid``.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import tensorflow as tf
from musicnn.models import define_model

N_FRAMES, N_MELS, N_TAGS = 187, 96, 50
NEWER = ("grad_a", "grad_b")  # attributes that essentia's older TensorFlow does not know


def freeze(checkpoint: str) -> bytes:
    """Return the network with its variables as constants, for inference only."""
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        with tf.name_scope("model"):
            log_mel = v1.placeholder(tf.float32, [None, N_FRAMES, N_MELS])
            # A constant in place of the training switch leaves no trace of dropout and
            # batch statistics in the graph. (The checkpoint's own graph holds its optimiser,
            # which today's TensorFlow refuses to import.)
            outputs = define_model(log_mel, tf.constant(False), "MSD_musicnn", N_TAGS)
            tags = tf.nn.sigmoid(outputs[0])
        session.run(v1.global_variables_initializer())
        v1.train.Saver().restore(session, checkpoint)
        graph, names = session.graph.as_graph_def(), [tags.op.name]
        frozen = v1.graph_util.convert_variables_to_constants(session, graph, names)
    for node in frozen.node:
        for name in NEWER:
            node.attr.pop(name, None)
    print(f"input {log_mel.op.name}, output {tags.op.name}")
    return frozen.SerializeToString()


def main() -> None:
    """Find the wheel's checkpoint and write the frozen graph."""
    spec = find_spec("musicnn")
    if spec is None or spec.origin is None:
        sys.exit("error: musicnn is not installed here; see benchmarks/peers/README.md")
    checkpoint = Path(spec.origin).parent / "MSD_musicnn"
    Path(sys.argv[1]).write_bytes(freeze(f"{checkpoint}/"))


if __name__ == "__main__":
    main()

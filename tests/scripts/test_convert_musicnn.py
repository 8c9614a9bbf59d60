"""`scripts/musicnn/convert_musicnn.py` and its parts, on a made-up wheel; no network needed."""

import io
import json
import struct
import sys
import zipfile
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import needs
from safetensors.numpy import load, load_file

from audiorec.tagger.weights import (
    METADATA_KEY,
    WEIGHTS,
    onnx_model,
    read_metadata,
    weights_path,
)

onnx = needs("onnx")

import convert_musicnn
import musicnn_folding
import musicnn_graph
import tf_bundle
import toom_cook

# A checkpoint as TensorFlow writes it --------------------------------------------------------


def varint(value: int) -> bytes:
    done = bytearray()
    while value >= 0x80:
        done.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*done, value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(
    shape: tuple[int, ...], offset: int, size: int, *, dtype: int = 1, shard: int = 0
) -> bytes:
    dims = b"".join(field(2, field(1, width)) for width in shape)
    checksum = varint(6 << 3 | 5) + b"\1\2\3\4"
    placed = field(4, offset) if offset else b""  # protobuf leaves zeros out
    return (
        (field(1, dtype) + field(2, dims) + (field(3, shard) if shard else b"") + placed)
        + field(5, size)
        + checksum
    )


def block(items: list[tuple[bytes, bytes]]) -> bytes:
    """Keys repeat only what differs, with a restart at every fourth."""
    content, restarts, before = b"", [], b""
    for i, (key, value) in enumerate(items):
        if i % 4 == 0:
            restarts.append(len(content))
            before = b""
        shared = next(
            (j for j, (a, b) in enumerate(zip(before, key, strict=False)) if a != b),
            min(len(before), len(key)),
        )
        content += varint(shared) + varint(len(key) - shared) + varint(len(value))
        content += key[shared:] + value
        before = key
    return content + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def table(blocks: list[list[tuple[bytes, bytes]]]) -> bytes:
    written, handles = b"", []
    for items in blocks:
        content = block(items)
        handles.append((items[-1][0], varint(len(written)) + varint(len(content))))
        written += content + b"\0" + b"crc "
    index = block(handles)
    footer = varint(0) + varint(0) + varint(len(written)) + varint(len(index))
    magic = struct.pack("<Q", 0xDB4775248B80FB57)
    return written + index + b"\0" + b"crc " + footer.ljust(40, b"\0") + magic


def bundle(tensors: dict[str, np.ndarray]) -> tuple[bytes, bytes]:
    data, items = b"", [(b"", field(1, 1))]
    for name, tensor in sorted(tensors.items()):
        content = np.ascontiguousarray(tensor, "<f4").tobytes()
        items.append((name.encode(), entry(tensor.shape, len(data), len(content))))
        data += content
    half = len(items) // 2
    return table([part for part in (items[:half], items[half:]) if part]), data


def test_reads_what_was_written():
    rng = np.random.default_rng(1)
    written = {
        "conv2d/kernel": rng.normal(size=(2, 3, 1, 5)),
        "conv2d/bias": rng.normal(size=5),
        "conv2d_1/bias": rng.normal(size=300),  # more than one byte of size
        "scalar": np.array(2.5),
        "empty": np.empty((0, 4)),
        "z/last": np.array([[1.0, -2.0], [7.0, 4.0]]),
    }
    found = tf_bundle.read_bundle(*bundle(written))
    assert found.keys() == written.keys()
    for name, tensor in written.items():
        assert found[name].shape == tensor.shape
        np.testing.assert_array_equal(found[name], tensor.astype(np.float32))


def test_refuses_damaged_tables():
    index, data = bundle({"a": np.ones(3), "b": np.ones(2)})
    read, error = tf_bundle.read_bundle, tf_bundle.BundleError
    with pytest.raises(error, match="magic number"):
        read(index[:-1], data)
    with pytest.raises(error, match="magic number"):
        read(b"", data)
    with pytest.raises(error, match="b: 8 bytes at 12 do not hold shape"):
        read(index, data[:-1])
    first = len(block([(b"", field(1, 1))]))
    compressed = bytearray(index)
    compressed[first] = 1
    with pytest.raises(error, match="compressed"):
        read(bytes(compressed), data)
    with pytest.raises(error, match="outside of the index"):
        read(index[first + 5 :], data)


@pytest.mark.parametrize(
    ("message", "match"),
    [
        (entry((2,), 0, 8, dtype=7), "unknown type number 7"),
        (entry((2,), 0, 8, shard=1), "lies in shard 1"),
        (entry((3,), 0, 8), r"do not hold shape \(3,\)"),
        (entry((2,), 4, 8), "8 bytes at 4"),
        (b"\x0b", "unknown wire type 3"),
        (b"\x08\xff", "end within a number"),
    ],
)
def test_refuses_damaged_entries(message, match):
    with pytest.raises(tf_bundle.BundleError, match=match):
        tf_bundle.read_bundle(table([[(b"x", message)]]), b"\0" * 8)


# Short convolutions --------------------------------------------------------------------------


def test_two_outputs_of_three_taps_worked_by_hand():
    matrices = toom_cook.toom_cook(2, 3, (0, 1, -1))
    taps, values = np.array([2.0, -1.0, 5.0]), np.array([3.0, 1.0, -2.0, 4.0])
    found = matrices.output @ ((matrices.taps @ taps) * (matrices.inputs @ values))
    # 2*3 - 1*1 + 5*(-2) = -5 and 2*1 - 1*(-2) + 5*4 = 24
    np.testing.assert_allclose(found, [-5.0, 24.0], atol=1e-12)
    assert matrices.output.shape == (2, 4)
    assert matrices.taps.shape == (4, 3)


@given(m=st.integers(1, 6), r=st.integers(1, 7), seed=st.integers(0, 2**32 - 1))
def test_gives_the_same_as_sliding(m, r, seed):
    points = [
        *(Fraction(p) for p in (0, 1, -1, 2, -2, 3, -3)),
        *(Fraction(1, p) for p in (2, -2, 3, -3)),
    ]
    matrices = toom_cook.toom_cook(m, r, points[: m + r - 2])
    rng = np.random.default_rng(seed)
    taps, values = rng.normal(size=r), rng.normal(size=m + r - 1)
    found = matrices.output @ ((matrices.taps @ taps) * (matrices.inputs @ values))
    np.testing.assert_allclose(found, np.correlate(values, taps, "valid"), atol=1e-10)


def test_taps_are_transformed_along_the_last_axis():
    matrices = toom_cook.toom_cook(4, 4, musicnn_graph.TEMPORAL_POINTS)
    kernel = np.random.default_rng(2).normal(size=(5, 3, 4))
    found = toom_cook.transform_taps(matrices, kernel)
    np.testing.assert_allclose(found, np.einsum("pj,abj->pab", matrices.taps, kernel), atol=1e-12)


@pytest.mark.parametrize("points", [(0, 1), (0, 1, 1), (0, 1, -1, 2)])
def test_refuses_a_wrong_number_of_points(points):
    with pytest.raises(ValueError, match="need 3 different points for m=2, r=3"):
        toom_cook.toom_cook(2, 3, points)


# The whole way -------------------------------------------------------------------------------


def random_checkpoint(seed: int, *, dead_share: float = 0.0) -> dict[str, np.ndarray]:
    """Weights of the right shapes, none of them neutral, factors of either sign."""
    rng = np.random.default_rng(seed)
    kernels = [(7, 38, 1, 204), (7, 67, 1, 204), (128, 1, 1, 51), (64, 1, 1, 51), (32, 1, 1, 51)]
    kernels += [(7, 561, 1, 64), (7, 64, 1, 64), (7, 64, 1, 64)]
    tensors = {}
    for name, shapes in {"conv2d": kernels, "dense": [(1506, 200), (200, 50)]}.items():
        for i, shape in enumerate(shapes):
            numbered = f"{name}_{i}" if i else name
            inputs = np.prod(shape[:-1])
            tensors[f"{numbered}/kernel"] = rng.normal(size=shape) / np.sqrt(inputs)
            tensors[f"{numbered}/bias"] = rng.normal(size=shape[-1]) * 0.3
    for i, width in enumerate([1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200]):
        numbered = f"batch_normalization_{i}" if i else "batch_normalization"
        sign = rng.choice([-1.0, 1.0], width)
        tensors[f"{numbered}/gamma"] = sign * rng.uniform(0.5, 1.5, width)
        tensors[f"{numbered}/beta"] = rng.normal(size=width)
        tensors[f"{numbered}/moving_mean"] = rng.normal(size=width) * 0.5
        tensors[f"{numbered}/moving_variance"] = rng.uniform(0.5, 2.0, width)
        tensors[f"{numbered}/gamma/Adam"] = np.zeros(width)
    for i in range(5):  # as weight decay leaves them; a layer keeps at least one channel
        numbered = f"conv2d_{i}" if i else "conv2d"
        dead = rng.random(kernels[i][-1]) < dead_share
        tensors[f"{numbered}/kernel"][..., dead] *= 1e-13
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


@pytest.fixture(scope="module")
def checkpoints() -> dict[str, dict[str, np.ndarray]]:
    return {
        "MSD_musicnn": random_checkpoint(1),
        "MTT_musicnn": random_checkpoint(2, dead_share=0.7),
    }


@pytest.fixture(scope="module")
def wheel(checkpoints) -> bytes:
    tags = {"MSD": [f"m{i}" for i in range(50)], "MTT": [f"t{i}" for i in range(50)]}
    lines = ["import os", "SR = 16000", *(f"{k}_LABELS = {v}" for k, v in tags.items())]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("musicnn/configuration.py", "\n".join(lines))
        for folder, tensors in checkpoints.items():
            index, data = bundle(tensors)
            opened.writestr(f"musicnn/{folder}/.index", index)
            opened.writestr(f"musicnn/{folder}/.data-00000-of-00001", data)
    return archive.getvalue()


@pytest.fixture(scope="module")
def converted(wheel) -> dict[str, bytes]:
    convert = convert_musicnn
    return convert.convert(wheel, expected_sha256=convert.sha256(wheel))


def test_writes_four_files_that_say_what_they_are(wheel, converted, tmp_path):
    assert sorted(converted) == [
        f"musicnn_{n}.{f}" for n in ("msd", "mtt") for f in ("onnx", "safetensors")
    ]
    path = tmp_path / "x.safetensors"
    path.write_bytes(converted["musicnn_mtt.safetensors"])
    about = read_metadata(path)
    assert about["name"] == "mtt"
    assert about["tags"] == [f"t{i}" for i in range(50)]
    assert about["source"]["checkpoint"] == "MTT_musicnn"
    assert about["source"]["wheel_sha256"] == convert_musicnn.sha256(wheel)
    model = onnx.load_from_string(converted["musicnn_mtt.onnx"])
    props = {p.key: p.value for p in model.metadata_props}
    weights = convert_musicnn.sha256(path.read_bytes())
    assert json.loads(props[METADATA_KEY]) == {**about, "weights_sha256": weights}


def test_tensors_keep_their_values_in_the_layouts_of_torch(checkpoints, converted):
    ours, theirs = load(converted["musicnn_msd.safetensors"]), checkpoints["MSD_musicnn"]
    assert ours["timbral_67.conv.weight"].shape == (204, 1, 7, 67)
    assert ours["timbral_67.conv.weight"][9, 0, 5, 44] == theirs["conv2d_1/kernel"][5, 44, 0, 9]
    assert ours["mid_1.conv.weight"].shape == (64, 561, 7)
    assert ours["mid_1.conv.weight"][63, 408, 2] == theirs["conv2d_5/kernel"][2, 408, 0, 63]
    np.testing.assert_array_equal(ours["dense.weight"].T, theirs["dense/kernel"])
    np.testing.assert_array_equal(
        ours["temporal_32.norm.running_var"], theirs["batch_normalization_5/moving_variance"]
    )
    assert len(ours) == 64  # the optimiser's tensors are gone


@pytest.mark.parametrize("name", ["msd", "mtt"])
def test_the_folded_graph_computes_what_the_layers_say(converted, tmp_path, name):
    torch = needs("torch")
    import onnxruntime

    from audiorec.tagger.backbone_torch import load_network

    path = tmp_path / "x.safetensors"
    path.write_bytes(converted[f"musicnn_{name}.safetensors"])
    network = load_network(path).eval().double()
    log_mel = np.random.default_rng(4).uniform(0, 6, (2, 187, 96)).astype(np.float32)
    log_mel[1, 60:] = 0
    with torch.inference_mode():
        logits, *rest = network(torch.from_numpy(log_mel.astype(np.float64)))
        expected = [logits.sigmoid(), *rest]
    session = onnxruntime.InferenceSession(converted[f"musicnn_{name}.onnx"])
    assert [o.name for o in session.get_outputs()] == [
        "tags",
        "penultimate",
        "max_pool",
        "mean_pool",
    ]
    for found, wanted in zip(session.run(None, {"log_mel": log_mel}), expected, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=1e-4)


def test_constant_channels_are_left_out(converted):
    living = {}
    for name in ("msd", "mtt"):
        weights = {
            k: v.astype(np.float64)
            for k, v in load(converted[f"musicnn_{name}.safetensors"]).items()
        }
        channels = musicnn_folding.fold_first(weights)
        living[name] = int(channels.lives.sum())
        assert sum(map(len, channels.kernels.values())) == living[name]
    assert living["msd"] == 561
    assert 100 < living["mtt"] < 250
    assert len(converted["musicnn_mtt.onnx"]) < 0.7 * len(converted["musicnn_msd.onnx"])


def test_no_spectrogram_moves_a_constant_channel_by_more_than_a_millionth():
    weights = {k: v.astype(np.float64) for k, v in load_file(weights_path("msd")).items()}
    channels = musicnn_folding.fold_first(weights)
    scale, shift = musicnn_folding.affine(weights, "input_norm")
    start = 0
    for layer in musicnn_folding.FIRST:
        kernel, bias, limits = musicnn_folding.folded(weights, layer)
        lives = channels.lives[start : start + len(kernel)]
        constants = channels.constants[start : start + len(kernel)]
        start += len(kernel)
        # The worst spectrogram there is for each channel: 8 where it helps, 0 elsewhere.
        for sign in (-1, 1):
            worst = np.where(sign * kernel > 0, 8.0, 0.0) + shift / scale
            value = (kernel * scale * worst).sum(axis=(1, 2, 3)) + bias
            moved = np.abs(np.clip(value, *limits) - constants)
            assert moved[~lives].max(initial=0) <= 1e-6
            assert moved[lives].max() > 1e-3


def test_the_same_wheel_gives_the_same_bytes(wheel, converted):
    convert = convert_musicnn
    assert convert.convert(wheel, expected_sha256=convert.sha256(wheel)) == converted


@pytest.mark.parametrize("name", ["msd"])
def test_the_shipped_graph_comes_from_the_shipped_weights(name):
    path = weights_path(name)
    about = {**read_metadata(path), "weights_sha256": WEIGHTS[name].sha256}
    metadata = {METADATA_KEY: convert_musicnn.canonical_json(about)}
    built = musicnn_graph.build_model(load_file(path), metadata)
    assert built == onnx_model(name)
    shipped = convert_musicnn.without_dense(built, path.read_bytes())
    assert shipped == path.with_suffix(".onnx").read_bytes()
    assert len(shipped) < 0.6 * len(built)


def test_the_shipped_graph_is_for_old_runtimes():
    model = onnx.load_from_string(onnx_model("msd"))
    assert model.ir_version <= 9
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]


def test_refuses_another_wheel(wheel):
    with pytest.raises(convert_musicnn.ConversionError, match="expected f38a4890c648"):
        convert_musicnn.convert(wheel)


def test_the_command_ends_with_the_reason(wheel, tmp_path, monkeypatch):
    path = tmp_path / "musicnn.whl"
    path.write_bytes(wheel)
    monkeypatch.setattr(sys, "argv", ["convert", str(path), "--out", str(tmp_path / "out")])
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--network", "mtt"])
    with pytest.raises(SystemExit, match="error: the wheel's sha256 is"):
        convert_musicnn.main()
    assert not (tmp_path / "out").exists()


def test_the_command_writes_and_prints_checksums(wheel, converted, tmp_path, monkeypatch, capsys):
    path = tmp_path / "musicnn.whl"
    path.write_bytes(wheel)
    monkeypatch.setattr(convert_musicnn, "convert", lambda _wheel: converted)
    monkeypatch.setattr(sys, "argv", ["convert", str(path), "--out", str(tmp_path / "out")])
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--network", "mtt"])
    convert_musicnn.main()
    lines = dict(reversed(line.split()[::2]) for line in capsys.readouterr().out.splitlines())
    assert lines == {
        name: convert_musicnn.sha256((tmp_path / "out" / name).read_bytes())
        for name in ("musicnn_mtt.safetensors", "musicnn_mtt.onnx")
    }

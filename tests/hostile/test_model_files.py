"""What a model file may do: hold numbers. Nothing that could run code is loaded, anywhere."""

import ast
import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from audiorec.errors import AudiorecError, WeightsError
from audiorec.tagger import weights
from audiorec.tagger.heads import Head

PACKAGE = Path(__file__).parents[2] / "audiorec"
MODULES = sorted(PACKAGE.rglob("*.py"))
# Calls that run what they read. The pipe between a parent and its own child may.
RUNS_CODE = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "dill.load", "dill.loads"),
    *("marshal.load", "marshal.loads", "shelve.open", "yaml.load", "yaml.unsafe_load"),
    *("cloudpickle.load", "cloudpickle.loads", "torch.load", "torch.jit.load", "torch.hub.load"),
    *("eval", "exec", "onnx.load", "np.load", "numpy.load"),
}
ALLOWED = {
    "runs/workers.py": {"pickle.loads"},  # from the child it started itself, through a pipe
    # From what came with its task; of the file it takes arrays and texts, by their sha256.
    "runs/blocks.py": {"pickle.Unpickler"},
}
UNSAFE = ("weights_only=False", "allow_pickle=True")


class Deadly:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def calls(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            found.add(ast.unparse(node.func))
        if isinstance(node, ast.ClassDef):
            found |= {ast.unparse(base) for base in node.bases}
    return found


def test_no_module_loads_what_could_run():
    found, unsafe = {}, []
    for path in MODULES:
        name, text = path.relative_to(PACKAGE).as_posix(), path.read_text()
        safe_numpy = "allow_pickle=False" in text
        forbidden = RUNS_CODE - ({"np.load", "numpy.load"} if safe_numpy else set())
        if wrong := (calls(path) & forbidden) - ALLOWED.get(name, set()):
            found[name] = wrong
        unsafe += [name for argument in UNSAFE if argument in text]
    assert found == {}
    assert unsafe == []


def test_onnx_models_come_from_the_table_of_checksums():
    users = [p for p in MODULES if "InferenceSession" in p.read_text()]
    assert [p.name for p in users] == ["backbone.py"]
    (source,) = (p.read_text() for p in users if p.name == "backbone.py")
    assert source.count("open_session(") == 2  # its definition, and one use
    assert "open_session(onnx_model(name))" in source


def safetensors(header: bytes, length: int | None = None, content: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + content


def torch_zip() -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Deadly()))
    return memory.getvalue()


def numpy_objects() -> bytes:
    memory = io.BytesIO()
    np.save(memory, np.array([Deadly()], object), allow_pickle=True)
    return memory.getvalue()


def about(key="audiorec_head", **fields) -> bytes:
    return json.dumps({"__metadata__": {key: json.dumps(fields)}}).encode()


def deep(key) -> bytes:
    return json.dumps({"__metadata__": {key: "[" * 100_000}}).encode()


HOSTILE = {
    "pickle": pickle.dumps(Deadly()),
    "torch": torch_zip(),
    "numpy": numpy_objects(),
    "empty": b"",
    "endless header": safetensors(b"{}", length=2**63 - 1),
    "header of zeros": safetensors(bytes(1000)),
    "deep json": safetensors(b'{"a":' * 50_000),
    "tensor beyond the end": safetensors(
        b'{"mean":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'
    ),
    "no metadata": safetensors(b"{}"),
    "metadata without fields": safetensors(about()),
    "format and nothing else": safetensors(about(format=1)),
    "metadata of wrong types": safetensors(
        about(format=1, task=[], classes=3, inputs={}, layers=-1, backbones=[])
    ),
    "many layers": safetensors(
        about(format=1, task="a", classes=["x", "y"], inputs=["msd.tags"], layers=10**9)
    ),
    "deep metadata": safetensors(deep("audiorec_head")),
}
BACKBONES = {
    "pickle": HOSTILE["pickle"],
    "deep metadata": safetensors(deep(weights.METADATA_KEY)),
    "no version": safetensors(about(weights.METADATA_KEY)),
    "a list": safetensors(b'{"__metadata__": {"%s": "[1]"}}' % weights.METADATA_KEY.encode()),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_head_is_one_clear_line_and_runs_nothing(tmp_path, monkeypatch, name, peak_mib):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "head.safetensors"
    path.write_bytes(HOSTILE[name])
    with peak_mib() as peak, pytest.raises(AudiorecError, match=r"head\.safetensors") as caught:
        Head.load(path)
    assert "\n" not in str(caught.value)
    assert not Path("executed").exists()
    assert peak.grown < 60


@pytest.mark.parametrize("name", ["pickle", "torch", "endless header", "deep json"])
def test_a_hostile_backbone_is_refused_by_its_checksum(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "data_folder", lambda: tmp_path)
    weights.weights_path.cache_clear()
    for form in ("safetensors", "onnx"):
        (tmp_path / f"musicnn_msd.{form}").write_bytes(HOSTILE[name])
    for read in (weights.weights_path, weights.onnx_model):
        with pytest.raises(WeightsError, match="damaged or replaced"):
            read("msd")
    weights.weights_path.cache_clear()
    assert not Path("executed").exists()


@pytest.mark.parametrize("name", BACKBONES)
def test_a_hostile_description_of_a_backbone_is_one_clear_line(tmp_path, name):
    (tmp_path / "b.safetensors").write_bytes(BACKBONES[name])
    with pytest.raises(WeightsError, match=r"b\.safetensors") as caught:
        weights.read_metadata(tmp_path / "b.safetensors")
    assert "\n" not in str(caught.value)

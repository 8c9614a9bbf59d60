"""A network of a user's own, small enough to be made where it is used, and its spec.

write_backbone(folder)  ──▶  tiny.onnx, tiny.json: embedding = mean of the log-mel frames
"""

import json

from made_onnx import made_model

SPEC = {
    "name": "tiny",
    "licence": "CC0-1.0",
    "source": "made by a test",
    "sample_rate": 8_000,
    "loudness_lufs": -23,
    "mel": {
        "pre_emphasis": 0.97,
        "n_fft": 256,
        "window": "hann, symmetric",
        "window_length": 200,
        "hop_length": 100,
        "padding": "reflect",
        "scale": "kaldi",
        "n_mels": 40,
        "f_min": 0,
        "f_max": 4_000,
        "curve": "log(x + c)",
        "compression": 1e-5,
        "shift": 4.5,
        "divide_by": 5,
    },
    "segment": {"length_s": 3.0, "frames": 240, "stft": "segment"},
    "input": {"name": "mel", "layout": "N 1 M T"},
    "outputs": {
        "scores": {"name": "tags", "classes": ["bright", "dark", "loud"]},
        "embedding": {"name": "emb"},
    },
}
DROP = object()


def changed(spec, changes):
    """Return a spec with values at dotted places, or without them."""
    made = json.loads(json.dumps(spec))
    for place, value in changes.items():
        *way, last = place.split(".")
        part = made
        for name in way:
            part = part[name]
        if value is DROP:
            del part[last]
        else:
            part[last] = value
    return made


def write_backbone(folder, changes=None, **model):
    """Write a model and its spec; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = changed(SPEC, changes or {})
    (folder / "tiny.json").write_text(json.dumps(spec))
    made = {"layout": spec["input"]["layout"].replace(" ", ""), **model}
    (folder / "tiny.onnx").write_bytes(made_model(**made))
    return folder / "tiny.onnx", folder / "tiny.json"

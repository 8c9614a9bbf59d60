"""`audiorec.tagger.onnx_file`: what is a model in one file, and what only looks like one."""

from contextlib import suppress

import numpy as np
import pytest
from made_onnx import external, made_model, model, node, number, part, tensor, value_info, weights

from audiorec.errors import WeightsError
from audiorec.tagger import onnx_file
from audiorec.tagger.onnx_file import check_onnx
from audiorec.tagger.weights import data_folder

IN, OUT = [value_info("mel", ["N", 40])], [value_info("y", ["N", 40])]
RELU = node("Relu", ["mel"], ["y"])


def function(domain, *nodes):
    return part(1, "f") + b"".join(part(7, one) for one in nodes) + part(10, domain)


def graph_in(content):
    """Return a node whose attribute is a graph."""
    return node("If", ["mel"], ["y"], part(5, part(6, content)))


def deep(levels):
    content = part(2, "g")
    for _ in range(levels):
        content = part(1, graph_in(content))
    return content


REFUSED = {
    "nothing": (b"", "it contains no graph"),
    "text": (b"pickle or what else, long enough to be read", "not an ONNX model"),
    "zeros": (bytes(100), "not an ONNX model"),
    "truncated": (made_model()[:-20], "truncated"),
    "no graph": (number(1, 8), "it contains no graph"),
    "another format": (b"\x20\x00\x00\x00ORTM" + bytes(40), "own format"),
    "the same, and a graph": (part(1, b"\x00\x00ORTM") + part(7, b""), "own format"),
    "tensors elsewhere": (model([RELU], IN, OUT, [external("../secret")]), "external data"),
    "a place, and no word of it": (
        model([RELU], IN, OUT, [part(8, "w") + part(13, part(1, "location") + part(2, "w.bin"))]),
        "external data",
    ),
    "a location alone": (model([RELU], IN, OUT, [part(8, "w") + number(14, 1)]), "external data"),
    "a tensor elsewhere in an attribute": (
        model([node("Constant", [], ["y"], part(5, part(5, external("/etc/passwd"))))], IN, OUT),
        "external data",
    ),
    "a tensor elsewhere in a graph in an attribute": (
        model([graph_in(part(5, external("a")))], IN, OUT),
        "external data",
    ),
    "a sparse tensor elsewhere": (
        model([RELU], IN, OUT, [], part(7, part(15, part(1, external("a"))))),
        "external data",
    ),
    "a tensor elsewhere in a function": (
        model(
            [RELU],
            IN,
            OUT,
            [],
            part(25, function("own", node("C", [], ["y"], part(5, part(5, external("a")))))),
        ),
        "external data",
    ),
    "a custom operator": (
        model([node("Mine", ["mel"], ["y"], part(7, "com.example"))], IN, OUT),
        "'Mine' of the domain 'com.example' is not a standard ONNX operator",
    ),
    "an operator that reads compiled graphs": (
        model([node("EPContext", ["mel"], ["y"], part(7, "com.microsoft"))], IN, OUT),
        "'EPContext' of the domain 'com.microsoft'",
    ),
    "a function that claims a domain of others": (
        model([RELU], IN, OUT, [], part(25, function("com.microsoft", RELU))),
        "'functions' of the domain 'com.microsoft'",
    ),
    "graphs without end": (
        model([graph_in(deep(40))], IN, OUT),
        "too many parts, or too deeply nested",
    ),
    "a length beyond the end": (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "truncated"),
    "a number without end": (b"\x08" + b"\xff" * 20, "truncated within a number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_one_line(name):
    content, message = REFUSED[name]
    with pytest.raises(WeightsError, match=message) as caught:
        check_onnx(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layout", ["NTM", "N1MT", "NMT1"])
def test_a_model_in_one_file_passes(layout):
    check_onnx(made_model(layout=layout))
    check_onnx(
        model(
            [node("F", ["mel"], ["y"], part(7, "own"))],
            IN,
            OUT,
            [],
            part(25, function("own", RELU)),
        )
    )
    check_onnx(model([RELU], IN, OUT, [tensor("w", weights(40, 3))]))


@pytest.mark.parametrize("name", ["msd", "mtt"])
def test_the_shipped_networks_pass(name):
    check_onnx((data_folder() / f"musicnn_{name}.onnx").read_bytes())


def test_a_file_beyond_the_limits_is_refused(monkeypatch):
    monkeypatch.setattr(onnx_file, "MAX_MODEL_BYTES", 600)
    with pytest.raises(WeightsError, match=r"\d+ bytes; the limit is 600"):
        check_onnx(made_model())
    monkeypatch.setattr(onnx_file, "MAX_MODEL_BYTES", 1 << 20)
    monkeypatch.setattr(onnx_file, "MAX_MESSAGES", 5)
    with pytest.raises(WeightsError, match="more parts"):
        check_onnx(made_model())


def test_turned_bytes_pass_or_are_refused_and_nothing_else():
    good, rng = made_model(), np.random.default_rng(0)
    for _ in range(2_000):
        bad = bytearray(good)
        for place in rng.integers(0, len(good), rng.integers(1, 4)):
            bad[place] = rng.integers(0, 256)
        with suppress(WeightsError):
            check_onnx(bytes(bad))

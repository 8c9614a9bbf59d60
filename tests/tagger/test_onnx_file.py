"""`audiorec.tagger.backbone_spec`: what is a model in one file, and what only looks like one."""

from contextlib import suppress

import numpy as np
import pytest
from made_onnx import external, made_model, model, node, number, part, tensor, value_info, weights
from made_onnx import varint as written
from needs import needs

from audiorec.errors import WeightsError
from audiorec.tagger import backbone_spec
from audiorec.tagger.backbone_spec import rewritten_onnx
from audiorec.tagger.weights import onnx_model

IN, OUT = [value_info("mel", ["N", 40])], [value_info("y", ["N", 40])]
RELU = node("Relu", ["mel"], ["y"])
GOOD = model([RELU], IN, OUT, [tensor("w", weights(40, 3))])
LOCATION = part(1, "location") + part(2, "secret")


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


def odd(field, content, *, bits=32):
    """Return a field whose tag has a bit more than tags have, which protobuf drops."""
    return written((field << 3 | 2) + (1 << bits)) + written(len(content)) + content


def padded(value):
    """Return a number with a digit more than it needs."""
    return written(value)[:-1] + bytes([written(value)[-1] | 0x80, 0])


def constant(content):
    return model([node("Constant", [], ["y"], part(5, content))], IN, OUT)


def packed(field, content):
    return model([RELU], IN, OUT, [part(8, "w") + part(field, content)])


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
        model([RELU], IN, OUT, [part(8, "w") + part(13, LOCATION)]),
        "external data",
    ),
    "a location alone": (model([RELU], IN, OUT, [part(8, "w") + number(14, 1)]), "external data"),
    "a location beyond 32 bits": (
        model([RELU], IN, OUT, [part(8, "w") + number(14, 1 << 32 | 1)]),
        "external data",
    ),
    "a tensor elsewhere in an attribute": (
        constant(part(5, external("/etc/passwd"))),
        "external data",
    ),
    "one of several tensors of an attribute": (
        constant(part(10, tensor("w", weights(2, 2))) + part(10, external("a"))),
        "external data",
    ),
    "a tensor elsewhere in a graph in an attribute": (
        model([graph_in(part(5, external("a")))], IN, OUT),
        "external data",
    ),
    "a tensor elsewhere in one of several graphs": (
        constant(part(11, part(2, "g")) + part(11, part(5, external("a")))),
        "external data",
    ),
    "a sparse tensor elsewhere": (
        part(7, part(2, "g") + part(15, part(1, external("a")))),
        "external data",
    ),
    "the places of a sparse tensor elsewhere": (
        constant(part(22, part(1, tensor("w", weights(2, 2))) + part(2, external("a")))),
        "external data",
    ),
    "a function": (
        model([RELU], IN, OUT, [], part(25, function("own", RELU))),
        "functions of its own",
    ),
    "a part for training": (model([RELU], IN, OUT, [], part(20, part(1, b""))), "for training"),
    "a custom operator": (
        model([node("Mine", ["mel"], ["y"], part(7, "com.example"))], IN, OUT),
        "'Mine' of the domain 'com.example' is not a standard ONNX operator",
    ),
    "an operator that reads compiled graphs": (
        model([node("EPContext", ["mel"], ["y"], part(7, "com.microsoft"))], IN, OUT),
        "'EPContext' of the domain 'com.microsoft'",
    ),
    "a custom operator in a graph in an attribute": (
        model([graph_in(part(1, node("Mine", [], [], part(7, "own"))))], IN, OUT),
        "'Mine' of the domain 'own'",
    ),
    "two domains": (
        model([node("Mine", ["mel"], ["y"], part(7, "own"), part(7, ""))], IN, OUT),
        "the node has field 7 twice",
    ),
    "two graphs": (
        model([RELU], IN, OUT, [], part(7, part(2, "h"))),
        "the model has field 7 twice",
    ),
    "external data under a tag of 33 bits": (
        model([RELU], IN, OUT, [part(8, "w") + odd(13, LOCATION)]),
        "the tensor has an unknown field",
    ),
    "a domain under a tag of 40 bits": (
        model([node("Mine", ["mel"], ["y"], odd(7, b"own", bits=40))], IN, OUT),
        "the node has an unknown field",
    ),
    "a graph under a tag of 33 bits": (number(1, 8) + odd(7, part(2, "g")), "an unknown field"),
    "a tag longer than it has to be": (
        padded(7 << 3 | 2) + written(3) + part(2, "g"),
        "longer than it has to be",
    ),
    "a length longer than it has to be": (
        written(7 << 3 | 2) + padded(3) + part(2, "g"),
        "longer than it has to be",
    ),
    "a number longer than it has to be": (b"\x08" + padded(8), "longer than it has to be"),
    "a number of 70 bits": (b"\x08" + b"\xff" * 9 + b"\x7f", "longer than it has to be"),
    "a field that nobody knows": (GOOD + part(99, "?"), "the model has an unknown field, 99"),
    "an attribute that a function would fill in": (
        model([node("Relu", ["mel"], ["y"], part(5, part(1, "a") + part(21, "b")))], IN, OUT),
        "the attribute has an unknown field, 21",
    ),
    "a kind of attribute that there is not": (
        constant(part(1, "a") + number(20, 121)),
        "121 is no attribute type",
    ),
    "a kind of tensor beyond 31 bits": (
        model([RELU], IN, OUT, [number(2, 1 << 32 | 1) + part(8, "w")]),
        "4294967297 is no int32",
    ),
    "floats that are cut": (packed(4, bytes(7)), "something other than floats"),
    "doubles that are cut": (packed(10, bytes(12)), "something other than doubles"),
    "ints that are cut": (packed(7, b"\x01\x80"), "something other than ints"),
    "ints longer than they have to be": (packed(1, b"\x81\x00\x01"), "something other than ints"),
    "ints of 70 bits": (packed(5, b"\xff" * 9 + b"\x02"), "something other than ints"),
    "a group": (b"\x3b" + part(2, "g") + b"\x3c", "not a protobuf message"),
    "a number in place of a graph": (number(7, 1), "field 7 holds no graph"),
    "bytes in place of a number": (part(1, "8"), "field 1 holds no int"),
    "a name that is not UTF-8": (
        model([node("Relu", [b"\xff"], ["y"])], IN, OUT),
        "a name is not UTF-8",
    ),
    "graphs without end": (model([graph_in(deep(40))], IN, OUT), "nested too deeply"),
    "a length beyond the end": (b"\x3a" + written((1 << 63) - 1), "truncated"),
    "a number without end": (b"\x08" + b"\xff" * 20, "truncated within a number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_one_line(name):
    content, message = REFUSED[name]
    with pytest.raises(WeightsError, match=message) as caught:
        rewritten_onnx(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layout", ["NTM", "N1MT", "NMT1"])
def test_a_model_in_one_file_is_written_as_it_was(layout):
    assert rewritten_onnx(made_model(layout=layout)) == made_model(layout=layout)
    assert rewritten_onnx(GOOD) == GOOD


def test_what_computes_nothing_is_left_out():
    """Metadata can hold settings of ONNX Runtime, such as a file for its profile."""
    settings = part(14, part(1, "ort_config") + part(2, '{"session_options": {}}'))
    said = part(2, "torch") + part(6, "a comment") + settings
    described = part(5, tensor("w", weights(40, 3), part(12, "weights"), number(14, 0)))
    graph = part(1, RELU) + part(2, "g") + described + part(11, IN[0]) + part(12, OUT[0])
    opset = part(8, part(1, "") + number(2, 13))
    assert rewritten_onnx(number(1, 8) + said + part(7, graph) + opset) == GOOD


def test_lists_of_numbers_may_be_packed():
    sizes = written(2) + written(300) + written((1 << 64) - 1)
    at_once = part(1, sizes) + number(2, 1) + part(8, "w") + part(4, bytes(24))
    one_by_one = number(1, 2) + number(1, 3) + number(2, 1) + part(8, "w") + 6 * b"\x25\0\0\0\0"
    for weight in (at_once, one_by_one):
        content = model([RELU], IN, OUT, [weight])
        assert rewritten_onnx(content) == content


@pytest.mark.parametrize("name", ["msd"])
def test_the_shipped_networks_are_the_same_but_for_texts(name):
    onnx = needs("onnx")
    content = onnx_model(name)
    before, after = map(onnx.ModelProto.FromString, (content, rewritten_onnx(content)))
    assert before.graph.node == after.graph.node
    assert before.graph.initializer == after.graph.initializer
    assert before.opset_import == after.opset_import


def test_the_table_of_fields_is_that_of_the_package_onnx():
    """A number means the same to every reader: its type, and whether it is a list."""
    onnx = needs("onnx")
    proto = onnx.onnx_ml_pb2
    messages = {
        "model": proto.ModelProto, "graph": proto.GraphProto, "node": proto.NodeProto,
        "attribute": proto.AttributeProto, "tensor": proto.TensorProto,
        "sparse": proto.SparseTensorProto, "value": proto.ValueInfoProto, "type": proto.TypeProto,
        "tensor type": proto.TypeProto.Tensor, "sequence type": proto.TypeProto.Sequence,
        "map type": proto.TypeProto.Map, "shape": proto.TensorShapeProto,
        "size": proto.TensorShapeProto.Dimension, "opset": proto.OperatorSetIdProto,
    }  # fmt: skip
    also = {"external": proto.StringStringEntryProto, "training": proto.TrainingInfoProto}
    also["function"] = proto.FunctionProto
    # The types of descriptor.proto that each kind of value stands for.
    kinds = {"int": {3}, "int32": {5}, "ints": {3, 4, 5}, "attribute type": {14}}
    kinds |= {"float": {2}, "floats": {2}, "doubles": {1}, "location": {14}}
    kinds |= {"text": {9}, "bytes": {12}, "left out": {9, 11}}
    assert set(messages) == set(backbone_spec._FIELDS)
    same = {"Optional": "Sequence", "SparseTensor": "Tensor"}  # of one form
    for name, message in messages.items():
        known = message.DESCRIPTOR.fields_by_number
        for field, of in backbone_spec._FIELDS[name].items():
            one, kind = known[field], of.removesuffix("*")
            assert of.endswith("*") == (one.label == one.LABEL_REPEATED), (name, field)
            if kind in kinds:
                assert one.type in kinds[kind], (name, field)
            else:
                expected = (messages | also)[kind].DESCRIPTOR.name
                assert same.get(one.message_type.name, one.message_type.name) == expected
    computing = set(proto.TensorProto.DESCRIPTOR.fields_by_number) - {3}
    assert computing == set(backbone_spec._FIELDS["tensor"])


def test_a_file_beyond_the_limits_is_refused(monkeypatch):
    monkeypatch.setattr(backbone_spec, "MAX_MODEL_BYTES", 600)
    with pytest.raises(WeightsError, match=r"\d+ bytes; the limit is 600"):
        rewritten_onnx(made_model())
    monkeypatch.setattr(backbone_spec, "MAX_MODEL_BYTES", 1 << 20)
    monkeypatch.setattr(backbone_spec, "MAX_FIELDS", 5)
    with pytest.raises(WeightsError, match="more than 5 parts"):
        rewritten_onnx(made_model())


def test_turned_bytes_pass_or_are_refused_and_nothing_else():
    good, rng = made_model(), np.random.default_rng(0)
    for _ in range(2_000):
        bad = bytearray(good)
        for place in rng.integers(0, len(good), rng.integers(1, 4)):
            bad[place] = rng.integers(0, 256)
        with suppress(WeightsError):
            fresh = rewritten_onnx(bytes(bad))
            assert rewritten_onnx(fresh) == fresh

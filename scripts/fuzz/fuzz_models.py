"""Let odd ONNX models ask for other files, and see that none is ever opened.

    python scripts/fuzz/fuzz_models.py [--cases 10000] [--seed 0] [--keep DIR]
    python scripts/fuzz/fuzz_models.py --only 1234 --keep DIR
    python scripts/fuzz/fuzz_models.py --unchecked --cases 500

A case is a small network in which something was changed: tensors that lie in another file, parts
given twice, under other numbers or as other kinds, functions, foreign domains, all written in the
odd ways that protobuf has (numbers longer than they have to be, tags of more than 32 bits, groups),
or with changed bytes. It is read, written anew and run as `audiorec backbones` does it, in a
child of ``audiorec.runs.workers`` in a folder with canaries: files that the models name. A finding
is a canary that was opened (the kernel tells), a model that the package onnx reads otherwise than
it was read here, an exception that no one foresaw, or a dead child. ``--unchecked`` runs the models
as they are, to show that canaries are found to be opened then. Linux only.

Prints one JSON document, counts by outcome; exits 1 if there are findings.
"""

import argparse
import ctypes
import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from audiorec.errors import WeightsError
from audiorec.runs.workers import Limits, Workers
from audiorec.tagger.backbone import onnx_errors, open_session
from audiorec.tagger.backbone_spec import _FIELDS, STANDARD, _fields, rewritten_onnx

LIMITS = Limits(timeout_s=30.0, memory_bytes=2 << 30)
OPENED = 0x20 | 0x01  # inotify's IN_OPEN and IN_ACCESS
BYTES = 64  # of a canary
CANARIES = ("canary", "work/canary")
REMARK_EVERY = 1_000  # cases, on stderr
VARINT, GROUP, LONG_TAG = 0, 3, 1 << 32

Tree = list[tuple[int, int, Any]]  # number, wire type, value: an int, bytes, or a tree


def seeds(folder: Path) -> list[Tree]:
    """Return networks as trees: some that read a canary once nobody looks, and good ones."""
    places = (
        "canary",
        "../canary",
        str(folder / "canary"),
        "link",
        "./canary",
        "*/_ORT_MEM_ADDR_/*",
    )
    bad = [model for place in places for model in reading(place)]
    good = [*reading("")] * 3
    return [_tree("model", memoryview(m.SerializeToString())) for m in [*bad, *good]]


def reading(place: str) -> Iterator[onnx.ModelProto]:
    """Yield networks of which a tensor lies in a file: an initializer, a constant, in a branch."""
    helper, proto = onnx.helper, onnx.TensorProto
    tensor = proto(name="w", data_type=proto.UINT8, dims=[BYTES])
    if place:
        tensor.data_location = proto.EXTERNAL
        for key, value in {"location": place, "offset": "0", "length": str(BYTES)}.items():
            tensor.external_data.add(key=key, value=value)
    else:
        tensor.raw_data = bytes(BYTES)
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    shown = [
        helper.make_node("Cast", ["w"], ["c"], to=proto.FLOAT),
        helper.make_node("Add", ["c", "x"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(n, proto.FLOAT, [s]) for n, s in (("x", 1), ("y", BYTES)))
    branch = helper.make_graph([constant, *shown], "branch", [], [y])
    yes = helper.make_node("Constant", [], ["yes"], value_int=1)
    is_so = helper.make_node("Cast", ["yes"], ["b"], to=proto.BOOL)
    choice = helper.make_node("If", ["b"], ["y"], then_branch=branch, else_branch=branch)
    for nodes, tensors in ((shown, [tensor]), ([constant, *shown], []), ([yes, is_so, choice], [])):
        graph = helper.make_graph(nodes, "g", [x], [y], tensors)
        yield helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def mutated(rng: np.random.Generator, tree: Tree) -> bytes:
    """Return a tree with a few changes, written in odd ways."""
    tree = _copied(tree)
    for _ in range(rng.integers(0, 4)):
        _change(rng, tree)
    oddness = rng.choice([0.0, 0.0, 0.02, 0.1])
    content = bytearray(_written(rng, tree, oddness))
    for _ in range(rng.integers(1, 4) if rng.random() < 0.2 else 0):
        content[rng.integers(len(content))] = rng.integers(256)
    return bytes(content)


def _tree(kind: str, content: memoryview) -> Tree:
    found: Tree = []
    for number, wire, value in _fields(content):
        of = _FIELDS.get(kind, {}).get(number, "").removesuffix("*")
        of = "text pair" if of == "external" else of
        is_message = of in _FIELDS or of == "text pair"
        plain = value if isinstance(value, int) else bytes(value)
        found.append((number, wire, _tree(of, value) if is_message else plain))
    return found


def _copied(tree: Tree) -> Tree:
    return [(n, w, _copied(v) if isinstance(v, list) else v) for n, w, v in tree]


def _all_in(tree: Tree) -> Iterator[Tree]:
    yield tree
    for _, _, value in tree:
        if isinstance(value, list):
            yield from _all_in(value)


def _change(rng: np.random.Generator, tree: Tree) -> None:
    """Change one field anywhere in a tree: repeat, drop, move, renumber or replace it."""
    inside = [part for part in _all_in(tree) if part]
    part = inside[rng.integers(len(inside))]
    at = int(rng.integers(len(part)))
    number, wire, value = part[at]
    match rng.integers(7):
        case 0:
            part.insert(int(rng.integers(len(part) + 1)), part[at])
        case 1:
            del part[at]
        case 2:
            part.append(part.pop(at))
        case 3:
            part[at] = (int(rng.integers(1, 32)), wire, value)
        case 4:
            part[at] = (number, int(rng.integers(0, 6)), value)
        case 5:  # a foreign domain, a function, a part for training, a name of an attribute
            field = int(rng.choice([7, 8, 13, 14, 20, 21, 25, 26]))
            part.append(
                (field, 2, rng.choice([b"com.microsoft", b"own", b"\x0a\x01w", b""]).item())
            )
        case _:
            other = inside[rng.integers(len(inside))]
            part.append(
                _copied([other[rng.integers(len(other))]])[0] if other is not part else part[at]
            )


def _written(rng: np.random.Generator, tree: Tree, oddness: float) -> bytes:
    out = b""
    for number, wire, value in tree:
        inside = _written(rng, value, oddness) if isinstance(value, list) else value
        tag = number << 3 | wire
        if rng.random() < oddness:
            tag += LONG_TAG * int(rng.integers(1, 8))
        out += _number(rng, tag, oddness)
        if wire == VARINT or isinstance(inside, int):
            out += _number(rng, inside if isinstance(inside, int) else len(inside), oddness)
        elif wire == GROUP:
            out += inside + _number(rng, number << 3 | 4, oddness)
        elif wire in (1, 5):
            out += inside[: 8 if wire == 1 else 4].ljust(8 if wire == 1 else 4, b"\0")
        else:
            out += _number(rng, len(inside), oddness) + inside
    return out


def _number(rng: np.random.Generator, value: int, oddness: float) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F)
    if rng.random() < oddness:
        digits += [0] * max(0, 5 - len(digits))  # most readers end a tag or a length there
    return bytes([d | 0x80 for d in digits[:-1]] + digits[-1:])


def runner(folder: str, *, unchecked: bool) -> Callable[[bytes], str]:
    """Make what a child runs: one model, from its bytes to the outcome in words."""
    os.chdir(Path(folder) / "work")
    errors = onnx_errors()

    def run(content: bytes) -> str:
        if unchecked:
            return _run(_plain_session, content, errors)
        try:
            fresh = rewritten_onnx(content)
        except WeightsError as error:
            return f"refused: {re.sub('[0-9]+', 'N', str(error).rpartition(': ')[2])}"
        if problem := _differs(fresh):
            return f"FINDING {problem}"
        return _run(open_session, fresh, errors)

    return run


def checked_runner(folder: str) -> Callable[[bytes], str]:
    """Make the runner of models that are read and written anew."""
    return runner(folder, unchecked=False)


def unchecked_runner(folder: str) -> Callable[[bytes], str]:
    """Make the runner of models as they are."""
    return runner(folder, unchecked=True)


def _plain_session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _run(
    opened: Callable[[bytes], Any], content: bytes, errors: tuple[type[Exception], ...]
) -> str:
    try:
        session = opened(content)
        session.run(None, {one.name: np.zeros(1, np.float32) for one in session.get_inputs()})
    except errors as error:
        return f"not run: {type(error).__name__}"
    return "ran"


def _differs(fresh: bytes) -> str:
    """Return what the package onnx sees in a model written anew that should not be there."""
    try:
        model = onnx.ModelProto.FromString(fresh)
    except DecodeError as error:
        return str(error)
    size = model.ByteSize()
    model.DiscardUnknownFields()
    if model.ByteSize() != size:
        return "unknown fields"
    if foreign := next(_foreign(model), ""):
        return foreign
    return "" if rewritten_onnx(fresh) == fresh else "another model when read again"


def _foreign(message: Any) -> Iterator[str]:
    kind = message.DESCRIPTOR.name
    if kind in ("FunctionProto", "TrainingInfoProto", "StringStringEntryProto"):
        yield kind
    if kind == "TensorProto" and (message.data_location or message.external_data):
        yield "external data"
    if kind == "NodeProto" and message.domain not in STANDARD:
        yield f"the domain {message.domain!r}"
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "DESCRIPTOR") else value:
                yield from _foreign(part)


class Watch:
    """Tells which canaries were opened, by inotify."""

    def __init__(self, paths: list[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK)
        for path in paths:
            if libc.inotify_add_watch(self._descriptor, os.fsencode(path), OPENED) < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch")

    def opened(self) -> bool:
        """Return whether a canary was opened since the last call."""
        try:
            return bool(os.read(self._descriptor, 1 << 16))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Stop watching."""
        os.close(self._descriptor)


def fuzz(numbers: range, *, seed: int, unchecked: bool, keep: Path | None = None) -> dict[str, Any]:
    """Run cases one after the other and sum them up."""
    counts: Counter[str] = Counter()
    findings: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work").mkdir()
        for canary in CANARIES:
            (folder / canary).write_bytes(bytes(range(BYTES)))
        (folder / "work" / "link").symlink_to(folder / "canary")
        known, watch = seeds(folder), Watch([folder / canary for canary in CANARIES])
        factory = f"fuzz_models:{'un' if unchecked else ''}checked_runner"
        with Workers(factory, (name,), limits=LIMITS) as workers:
            for number in numbers:
                rng = np.random.default_rng([seed, number])
                content = mutated(rng, known[rng.integers(len(known))])
                answer = workers.ask(content)
                outcome = answer.value or str(answer.failure or repr(answer.error))
                problem = answer.message if answer.failure else ""
                if outcome.startswith("FINDING") or answer.error:
                    problem = outcome
                if watch.opened():
                    problem = "a canary was opened"
                counts[outcome] += 1
                if problem:
                    findings.append({"case": number, "problem": problem, "outcome": outcome})
                    if keep is not None:
                        (keep / f"{seed}-{number:06d}.onnx").write_bytes(content)
                if counts.total() % REMARK_EVERY == 0:
                    print(f"{counts.total()} cases, {len(findings)} findings", file=sys.stderr)
        watch.close()
    return {
        "schema": "audiorec/fuzz-models/1",
        "cases": counts.total(),
        "seed": seed,
        "outcomes": dict(counts.most_common()),
        "findings": findings,
    }


def main() -> None:
    """Fuzz, print, and exit 1 if there are findings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--only", type=int, help="run this case alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the models of the findings")
    parser.add_argument("--unchecked", action="store_true", help="run the models as they are")
    args = parser.parse_args()
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    numbers = range(args.cases) if args.only is None else range(args.only, args.only + 1)
    report = fuzz(numbers, seed=args.seed, unchecked=args.unchecked, keep=args.keep)
    print(json.dumps(report, indent=1))
    sys.exit(1 if report["findings"] else 0)


if __name__ == "__main__":
    main()

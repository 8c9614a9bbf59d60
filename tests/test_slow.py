"""The slow modules are there, begin first, and keep the order of their tests; see `slow`."""

from pathlib import Path
from types import SimpleNamespace

from slow import SLOW, mark_and_order, turned

ROOT = Path(__file__).parents[1]


def test_every_slow_module_is_there():
    assert [name for name in SLOW if not (ROOT / name).is_file()] == []


def test_slow_modules_begin_and_then_those_of_most_tests():
    marked = []
    names = ["a::1", "b::1", "b::2", f"{SLOW[1]}::2", f"{SLOW[1]}::1", f"{SLOW[0]}::1", "c::1"]
    items = [SimpleNamespace(nodeid=name, add_marker=marked.append) for name in names]
    mark_and_order(items)
    assert [item.nodeid for item in items] == [
        *(f"{SLOW[0]}::1", f"{SLOW[1]}::2", f"{SLOW[1]}::1"),
        *("b::1", "b::2", "a::1", "c::1"),
    ]
    assert marked == ["slow"] * 3


def test_workers_begin_elsewhere_and_order_tests_alike(monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    files = ["a", "b", "c"]
    ordered = []
    for worker, read in (("gw0", files), ("gw1", ["b", "c", "a"])):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        assert turned(files) == read
        ordered.append([SimpleNamespace(nodeid=f"{file}::1") for file in read])
        mark_and_order(ordered[-1])
    assert ordered[0] == ordered[1]

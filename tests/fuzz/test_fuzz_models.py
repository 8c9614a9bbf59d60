"""`scripts/fuzz_models.py`: 600 odd networks open no file, and what would count as a finding."""

import importlib
import sys
from pathlib import Path

import pytest
from needs import needs

needs("onnx")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def fuzzer():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        patch.setenv("PYTHONPATH", str(SCRIPTS))
        yield importlib.import_module("fuzz_models")
    sys.modules.pop("fuzz_models", None)


def test_600_odd_networks_open_no_file(fuzzer, tmp_path):
    report = fuzzer.fuzz(range(600), seed=0, unchecked=False, keep=tmp_path)
    assert report["findings"] == list(tmp_path.iterdir()) == []
    assert report["cases"] == 600
    assert report["outcomes"]["ran"] > 10
    assert any("external data" in outcome for outcome in report["outcomes"])


def test_without_the_check_they_do(fuzzer):
    report = fuzzer.fuzz(range(150), seed=0, unchecked=True)
    opened = [one for one in report["findings"] if one["problem"] == "a canary was opened"]
    assert len(opened) > 5


def test_what_the_package_onnx_must_not_see_is_a_finding(fuzzer, tmp_path):
    (tmp_path / "work").mkdir()
    plain, odd = (next(fuzzer.reading(place)).SerializeToString() for place in ("", "canary"))
    assert fuzzer._differs(fuzzer.rewritten_onnx(plain)) == ""
    assert fuzzer._differs(odd) == "external data"
    assert fuzzer._differs(plain + b"\xf8\x07\x01") == "unknown fields"

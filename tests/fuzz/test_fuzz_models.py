"""`fuzz_models.py`: 600 odd networks open no file, and what would count as a finding."""

import sys

import pytest
from needs import needs

needs("onnx")
import fuzz_models

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


def test_600_odd_networks_open_no_file(tmp_path):
    report = fuzz_models.fuzz(range(600), seed=0, unchecked=False, keep=tmp_path)
    assert report["findings"] == list(tmp_path.iterdir()) == []
    assert report["cases"] == 600
    assert report["outcomes"]["ran"] > 10
    assert any("external data" in outcome for outcome in report["outcomes"])


def test_without_the_check_they_do():
    report = fuzz_models.fuzz(range(150), seed=0, unchecked=True)
    opened = [one for one in report["findings"] if one["problem"] == "a canary was opened"]
    assert len(opened) > 5


def test_what_the_package_onnx_must_not_see_is_a_finding(tmp_path):
    (tmp_path / "work").mkdir()
    plain, odd = (next(fuzz_models.reading(place)).SerializeToString() for place in ("", "canary"))
    assert fuzz_models._differs(fuzz_models.rewritten_onnx(plain)) == ""
    assert fuzz_models._differs(odd) == "external data"
    assert fuzz_models._differs(plain + b"\xf8\x07\x01") == "unknown fields"

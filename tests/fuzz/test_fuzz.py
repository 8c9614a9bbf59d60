"""`fuzz.py`: 300 spoilt files through the real workers, and what counts as a finding."""

from itertools import pairwise
from pathlib import Path

import fuzz
import fuzz_headers
import fuzz_mutations
import fuzz_seeds
import fuzz_tags
import numpy as np
import pytest

from audiorec.audio.decode import decode
from audiorec.errors import Failure, SongError
from audiorec.runs.workers import Answer
from audiorec.types import Status

CASES = 300


def count_samples(path):
    return decode(path, lambda blocks: sum(map(len, blocks)))


def test_300_spoilt_files_end_in_a_vector_or_a_typed_status(tmp_path):
    cases, keep = tmp_path / "cases", tmp_path / "keep"
    cases.mkdir()
    keep.mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    result = fuzz.run_cases(range(CASES), seed=0, jobs=2, folder=cases, minutes=5, keep=keep)
    assert result.findings == []
    assert result.counts.total() == CASES
    typed = {*map(str, Status), *map(str, Failure)}
    assert {status for _, _, status in result.counts} <= typed
    statuses = {status for _, _, status in result.counts}
    assert {"ok", "damaged", "truncated", "undecodable", "not_audio"} <= statuses
    assert list(cases.iterdir()) == list(keep.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_the_good_files_are_good(tmp_path):
    for kind, data in fuzz_seeds.seeds().items():
        path = tmp_path / kind
        path.write_bytes(data)
        n_samples, info = count_samples(path)
        assert info.status is Status.OK, kind
        assert n_samples >= 3.2 * 16_000, kind


def test_a_case_is_always_the_same_file():
    first, again = (fuzz.make_case(3, 17) for _ in range(2))
    other = fuzz.make_case(4, 17)
    assert first == again
    assert other.data != first.data
    assert other.kind == first.kind


@pytest.mark.parametrize("way", ["header", "tags"])
def test_every_format_has_its_own_lies(way):
    mutations = fuzz_mutations
    table = mutations.HEADERS if way == "header" else mutations.TAGS
    assert set(table) == set(fuzz_seeds.FORMATS)
    for make, kind in {make: kind for kind, make in table.items()}.items():
        data = fuzz_seeds.seeds()[kind]
        spoilt = {make(np.random.default_rng(i), data) for i in range(6)}
        assert len(spoilt - {data}) >= 4, kind
        assert max(map(len, spoilt)) < 20 << 20, kind


@pytest.mark.parametrize("length", [1, 3, 12, 29, 45, 300])
def test_every_way_copes_with_what_another_way_left(length):
    ways = fuzz_mutations.WAYS
    for kind, data in fuzz_seeds.seeds().items():
        own = fuzz_mutations.HEADERS[kind], fuzz_mutations.TAGS[kind]
        for i, way in enumerate([*ways.values(), *own, *own[:1] * 20]):
            assert isinstance(way(np.random.default_rng(i), data[:length]), bytes)


def test_lies_in_ogg_pages_pass_their_checksum():
    """Without it a decoder would drop the page and never see the lie."""
    data = fuzz_seeds.seeds()["vorbis"]
    pages = [*fuzz_headers._find_all(data, b"OggS"), len(data)]
    again = bytearray(data)
    for at, end in pairwise(pages):
        again[at + 22 : at + 26] = b"\0\0\0\0"
        fuzz_headers._fix_page(again, at, end)
    assert bytes(again) == data


def test_lies_in_flac_frames_pass_their_checksum():
    data = fuzz_seeds.seeds()["flac"]
    at = data.index(b"\xff\xf8", 42)
    length = 4 + fuzz_headers._utf8_length(data[at + 4])
    length += {6: 1, 7: 2}.get(data[at + 2] >> 4, 0)
    assert fuzz_headers._crc8(data[at : at + length]) == data[at + length]


def test_a_hostile_comment_stands_in_pages_that_are_whole(tmp_path):
    data, path = fuzz_seeds.seeds()["opus"], tmp_path / "opus"
    spoilt = [fuzz_tags.ogg(np.random.default_rng(i), data) for i in range(8)]
    assert {len(s) > len(data) for s in spoilt} == {True, False}
    for case in spoilt:
        path.write_bytes(case)
        try:
            statuses = {count_samples(path)[1].status}
        except SongError as error:
            statuses = {error.failure}
        assert statuses <= {Status.OK, Status.DAMAGED, Failure.UNDECODABLE, Failure.NOT_AUDIO}


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"status": "ok"}, None),
        ({"status": "undecodable", "message": "one line"}, None),
        ({"status": "ok", "new_descriptors": 1}, "1 descriptors more"),
        ({"status": "not finite"}, "not finite"),
        ({"status": "undecodable", "message": "two\nlines"}, "message"),
        ({"status": "ok", "peak_rss_mib": 900.0}, "900 MiB"),
        ({"status": "ok", "cpu_s": 30.0}, "30.0 CPU-seconds"),
        ({"status": "timeout"}, "message"),
    ],
)
def test_what_counts_as_a_finding(answer, problem):
    facts = {"message": "", "new_descriptors": 0, "cpu_s": 0.1, "peak_rss_mib": 100.0, **answer}
    result = fuzz.Result()
    case = fuzz.Case(5, "flac", ("header",), b"")
    result.add(case, Answer("path", value=fuzz.Facts(**facts)))
    found = [finding["problem"] for finding in result.findings]
    assert found == [] if problem is None else problem in found[0]
    assert result.counts == {("flac", "header", answer["status"]): 1}


def test_a_dead_child_is_a_finding():
    result = fuzz.Result()
    answer = Answer("path", failure=Failure.CRASHED, message="the worker died of SIGSEGV")
    result.add(fuzz.Case(5, "flac", ("splice",), b""), answer)
    assert [f["problem"] for f in result.findings] == ["the worker died of SIGSEGV"]

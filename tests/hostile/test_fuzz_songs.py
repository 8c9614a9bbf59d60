"""Spoilt songs go through the real workers: each ends in a finite vector or a typed failure.

A finding is anything else: an exception that no one foresaw, a dead or hanging child, one that
holds more file descriptors after a case or more memory than a song needs, a file left behind, an
error of more than one line. Longer: ``AUDIOREC_FUZZ_MINUTES=30`` (`fuzzing`).
"""

from collections import Counter

import numpy as np
import pytest
import spoilt_songs
from fuzzing import fuzz
from hypothesis import strategies as st
from spoilt_songs import FORMATS, WAYS, descriptors, find_all, good, spoil

from audiorec.audio.decode import decode
from audiorec.errors import Failure
from audiorec.extraction.pipeline import ExtractorConfig
from audiorec.runs.workers import Limits, Workers
from audiorec.types import Status

CASES = 200
LIMITS = Limits(timeout_s=60.0)  # the songs last three seconds; the machine may be busy
MAX_RSS_MIB = 320  # of a child during a case; without one it has about 150
MAX_CPU_S = 10.0  # of a case; a good one takes 0.1
DEADLY = (Failure.CRASHED, Failure.TIMEOUT, Failure.OOM)
SPOILT = st.lists(st.tuples(st.sampled_from(WAYS), st.integers(0, 2**32)), min_size=1, max_size=2)


def test_spoilt_songs_end_in_a_vector_or_a_typed_status(tmp_path, monkeypatch):
    folder, temporary = tmp_path / "songs", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))  # of the children: nothing of theirs is missed
    for form in FORMATS:
        good(form)  # encoders may open what they keep
    held, statuses = descriptors(), Counter()
    arguments = (ExtractorConfig(), frozenset(), ())
    with Workers("spoilt_songs:watched_handler", arguments, jobs=1, limits=LIMITS) as workers:

        def check(form, ways):
            data = good(form)
            for way, seed in ways:
                data = spoil(np.random.default_rng(seed), form, data, way)
            path = folder / "song"
            path.write_bytes(data)
            answer = workers.ask(str(path))
            facts = answer.value
            assert facts is not None, answer.message or repr(answer.error)
            assert facts.status in {*map(str, Status), *map(str, Failure)} - set(map(str, DEADLY))
            assert "\n" not in facts.message
            assert len(facts.message) <= 400
            assert facts.new_descriptors <= 0
            assert facts.cpu_s <= MAX_CPU_S
            assert facts.peak_rss_mib <= MAX_RSS_MIB
            statuses[facts.status] += 1

        fuzz(check, st.sampled_from(FORMATS), SPOILT, cases=CASES)
    assert {"ok", "damaged", "truncated", "undecodable", "not_audio"} <= set(statuses)
    assert list(temporary.iterdir()) == []
    assert [path.name for path in folder.iterdir()] == ["song"]
    assert descriptors() <= held


def test_the_good_files_are_good(tmp_path):
    for form in FORMATS:
        path = tmp_path / form
        path.write_bytes(good(form))
        n_samples, info = decode(path, lambda blocks: sum(map(len, blocks)))
        assert info.status is Status.OK, form
        assert n_samples >= 3.2 * 16_000, form


@pytest.mark.parametrize("way", ["header", "tags"])
def test_every_format_has_its_own_lies(way):
    for form in FORMATS:
        lies = {good(form)}
        for i in range(8):
            lies.add(spoil(np.random.default_rng(i), form, good(form), way))
            if len(lies) > 4:
                break
        assert len(lies) > 4, form
        assert max(map(len, lies)) < 20 << 20, form


@pytest.mark.parametrize("length", [1, 3, 12, 29, 45, 300])
def test_every_way_copes_with_what_another_way_left(length):
    for form in FORMATS:
        for i, way in enumerate([*WAYS, *["header", "tags"] * 10]):
            assert isinstance(
                spoil(np.random.default_rng(i), form, good(form)[:length], way), bytes
            )


@pytest.mark.parametrize("form", ["vorbis", "flac", "tta"])
def test_mended_checksums_are_those_of_the_encoder(form):
    """Without them a decoder would drop the page or the frame and never see the lie."""
    whole = bytearray(good(form))
    spoilt_songs.mend(whole)
    assert whole == good(form)


def test_a_lie_in_an_ogg_page_has_its_checksum():
    spoilt = bytearray(good("vorbis"))
    place = find_all(spoilt, b"OggS")[3]
    spoilt[place + 6] ^= 0xFF
    lying = bytes(spoilt)
    spoilt_songs.mend(spoilt)
    assert spoilt[place + 22 : place + 26] != lying[place + 22 : place + 26]


def test_a_dead_child_is_a_finding(tmp_path):
    (tmp_path / "song").write_bytes(good("wav16"))
    with Workers("handlers:make", (str(tmp_path),), jobs=1, limits=LIMITS) as workers:
        assert workers.ask("segfault:").value is None

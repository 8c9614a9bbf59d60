"""Tempo, key and moods in whole runs: with them, added later, kept, and never in a vector."""

import threading
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from made_pulses import RATE, cadence, pulse
from made_songs import write_song

import audiorec
from audiorec.audio import attributes
from audiorec.errors import StoreError
from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.manifest import write_manifest
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
from audiorec.extraction.run import RunOptions, make_outputs, preview, run
from audiorec.extraction.shards import ShardConfig, process_shard, read_shard
from audiorec.library.library import open_store
from audiorec.store.compact import compact
from audiorec.store.schema import StoreMetadata

WITH = ExtractorConfig(attributes=True)
COLUMNS = [
    *("bpm", "bpm_confidence", "key", "key_confidence", "scale"),
    *("tag_beautiful", "tag_catchy", "tag_chill", "tag_chillout", "tag_happy"),
    *("tag_mellow", "tag_party", "tag_sad", "tag_sexy"),
]


def extract(library, out, config=WITH, **more):
    options = RunOptions(jobs=1)
    return run(find_songs([library]), make_outputs(out), config=config, options=options, **more)


def table(path, *, without=("extracted_at",)):
    return pq.read_table(path).drop_columns(list(without))


@pytest.fixture
def library(tmp_path):
    folder = tmp_path / "library"
    folder.mkdir()
    song = 0.3 * pulse(120, 12) + cadence(9, "minor")
    soundfile.write(folder / "known.wav", song, RATE)
    write_song(folder / "other.wav", seed=1)
    soundfile.write(folder / "silent.wav", np.zeros(5 * RATE), RATE)
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "vecs.parquet"


def test_a_song_says_its_tempo_its_key_and_its_moods(library, out):
    report = extract(library, out)
    assert report.extracted == 3
    store = open_store(out)
    assert sorted(store.metadata.attributes) == COLUMNS
    row = store.row("known.wav")
    assert row["bpm"] == pytest.approx(120, rel=0.01)
    assert (row["key"], row["scale"]) == ("A", "minor")
    taggram = audiorec.taggram(library / "known.wav")
    happy = taggram.scores[:, taggram.classes.index("happy")].mean(dtype=np.float64)
    assert row["tag_happy"] == pytest.approx(happy, abs=1e-6)
    silent = store.row("silent.wav")
    assert [silent[name] for name in COLUMNS[:5]] == [None, 0.0, None, 0.0, None]
    assert report.to_dict()["cpu_s"]["attributes"] > 0


def test_no_vector_moves_and_nothing_is_there_without_being_asked_for(library, out, tmp_path):
    extract(library, out)
    plain = tmp_path / "plain.parquet"
    assert extract(library, plain, ExtractorConfig()).extracted == 3
    assert pq.read_schema(plain).names == [n for n in pq.read_schema(out).names if n not in COLUMNS]
    assert table(plain).equals(table(out).drop_columns(COLUMNS))
    assert b"attributes" not in pq.read_schema(plain).metadata[b"audiorec"]


def test_asked_for_later_they_are_added_and_all_else_stays(library, out, tmp_path):
    extract(library, out, ExtractorConfig())
    before = pq.read_table(out)
    options = RunOptions(jobs=1)
    plan = preview(find_songs([library]), make_outputs(out), config=WITH, options=options)
    assert len(plan.todo) == 3
    assert extract(library, out).extracted == 3
    assert pq.read_table(out).drop_columns(COLUMNS).equals(before)
    whole = tmp_path / "whole.parquet"
    extract(library, whole)
    assert table(out).equals(table(whole))


def test_a_store_that_has_them_keeps_them_for_new_songs(library, out):
    extract(library, out)
    write_song(library / "new.wav", seed=3)
    report = extract(library, out, ExtractorConfig())
    assert (report.extracted, report.unchanged) == (1, 3)
    assert open_store(out).row("new.wav")["bpm_confidence"] > 0
    library.rename(library.with_name("moved"))
    assert extract(library.with_name("moved"), out, ExtractorConfig()).reused == 4
    assert open_store(out).row("known.wav")["key"] == "A"


def test_a_run_that_was_cut_off_opens_no_song_twice(library, out):
    extract(library, out, ExtractorConfig())
    stop, opened = threading.Event(), []

    def cut_off(at):
        opened.append(at.song_id)
        stop.set()

    extract(library, out, progress=cut_off, stop=stop)
    extract(library, out, progress=cut_off)
    assert len(opened) == len(set(opened)) == 3
    assert None not in open_store(out).column("bpm_confidence").to_pylist()


def test_a_song_that_cannot_be_read_again_keeps_its_vector_without_them(library, out):
    extract(library, out, ExtractorConfig())
    (library / "other.wav").unlink()
    assert extract(library, out).extracted == 2
    row = open_store(out).row("other.wav")
    assert {row[name] for name in COLUMNS} == {None}
    assert open_store(out).vector("other.wav").any()


def test_what_another_method_made_is_made_anew(library, out, monkeypatch):
    extract(library, out)
    right = table(out)
    monkeypatch.setitem(attributes.METHODS, "bpm", "tempo 0")
    monkeypatch.setitem(attributes.METHODS, "bpm_confidence", "tempo 0")
    assert extract(library, out).extracted == 3
    assert open_store(out).metadata.attributes["bpm"] == "tempo 0"
    monkeypatch.undo()
    assert extract(library, out).extracted == 3
    assert table(out).equals(right)


def test_parts_are_made_with_them_and_one_without_is_another(library, tmp_path):
    manifest, parts = tmp_path / "manifest.parquet", tmp_path / "parts"
    write_manifest(str(manifest), find_songs([library]))
    shard = read_shard(str(manifest), 0, 1)
    plain = ShardConfig()
    assert not process_shard(shard, str(parts), plain).kept
    assert process_shard(shard, str(parts), plain).kept
    report = process_shard(shard, str(parts), replace(plain, extractor=WITH))
    assert not report.kept
    assert process_shard(shard, str(parts), replace(plain, extractor=WITH)).kept
    assert sorted(open_store(report.run.outputs["vectors"]).metadata.attributes) == COLUMNS


def test_stores_with_and_without_are_not_joined(library, out, tmp_path):
    extract(library, out)
    plain = tmp_path / "plain.parquet"
    extract(library, plain, ExtractorConfig())
    with pytest.raises(StoreError, match=r"plain.parquet: audiorec extract FOLDER --attributes"):
        compact([out, plain], tmp_path / "all.parquet")
    assert compact([out, out], tmp_path / "all.parquet") == 3
    assert open_store(tmp_path / "all.parquet").metadata.attributes


def test_only_columns_of_attributes_stand_in_the_metadata(out):
    text = StoreMetadata(
        kind="vectors", extractor_id="a", classes=("g/jazz",), attributes={"bpm": "x"}
    ).to_json()
    assert StoreMetadata.from_json(text).attributes == {"bpm": "x"}
    for bad in ('{"vector": "x"}', '{"song_id": "x"}', '{"tag_é": "x"}', '["bpm"]', '{"bpm": 1}'):
        with pytest.raises(StoreError, match="attributes"):
            StoreMetadata.from_json(text.replace('{"bpm": "x"}', bad))


def test_moods_are_those_of_the_backbone_that_the_heads_use():
    assert sorted(Extractor(WITH).attributes) == COLUMNS
    assert Extractor().attributes == {}

"""Columns beside the vector in whole runs: written, kept, added later, and never in a vector."""

from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import soundfile
from made_pulses import RATE, cadence, pulse
from made_songs import write_song
from odd_files import encode, music

import audiorec
from audiorec.audio import attributes
from audiorec.errors import InputError, StoreError
from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.manifest import write_manifest
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
from audiorec.extraction.run import Policy, RunOptions, make_outputs, run
from audiorec.extraction.shards import ShardConfig, process_shard, read_shard
from audiorec.library.library import open_store
from audiorec.store.compact import compact
from audiorec.store.schema import LISTS, TAGS
from audiorec.store.verify import verify
from audiorec.tagger.vectors import shipped_sound

pytestmark = pytest.mark.usefixtures("in_this_process")
BARE = ExtractorConfig()
WITH = ExtractorConfig(attributes=True, sound=True)
ATTRIBUTES = [
    *("bpm", "bpm_confidence", "bpm_other", "key", "key_confidence", "scale"),
    *("tag_beautiful", "tag_catchy", "tag_happy", "tag_mellow", "tag_party", "tag_sad"),
]
COLUMNS = [*ATTRIBUTES, *LISTS]


def extract(library, out, config=WITH, policy=Policy.EXTEND, **more):
    options = RunOptions(jobs=1, policy=policy)
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
    assert sorted(store.metadata.attributes) == ATTRIBUTES
    row = store.row("known.wav")
    assert row["bpm"] == pytest.approx(120, rel=0.01)
    assert (row["key"], row["scale"]) == ("A", "minor")
    taggram = audiorec.taggram(library / "known.wav")
    happy = taggram.scores[:, taggram.classes.index("happy")].mean(dtype=np.float64)
    assert row["tag_happy"] == pytest.approx(happy, abs=1e-6)
    silent = store.row("silent.wav")
    assert [silent[name] for name in COLUMNS[:6]] == [None, 0.0, None, None, 0.0, None]
    assert report.to_dict()["cpu_s"]["attributes"] > 0


def test_a_song_has_its_sound_and_what_it_was_made_of(library, out):
    extract(library, out)
    store = open_store(out)
    assert store.metadata.lists == {"sound": 128, "embedding": 624, "heard_tags": 50}
    assert store.metadata.sound_id == shipped_sound().sha256[:16]
    (rows, sound), (_, embedding), (_, tags) = map(store.read_list, LISTS)
    assert rows.tolist() == [0, 1, 2]
    assert (sound.dtype, embedding.dtype, tags.dtype) == ("float32", "float16", "float16")
    assert np.linalg.norm(sound, axis=1) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(shipped_sound().project(embedding), sound)
    outputs = ("msd.penultimate", "msd.mean_pool", "msd.max_pool", "msd.tags")
    song = Extractor(WITH).song(library / "known.wav", outputs=outputs)
    means = [song.features[name].mean(axis=0, dtype=np.float64) for name in outputs]
    assert np.array_equal(tags[0], means[3].astype(np.float16))
    expected = shipped_sound().embedding(*(mean.astype(np.float32) for mean in means[:3]))
    assert np.array_equal(embedding[0], expected)
    assert "sound" not in store.row("known.wav")


def test_no_vector_moves_and_a_store_of_vectors_has_nothing_else(library, out, tmp_path):
    extract(library, out)
    plain = tmp_path / "plain.parquet"
    assert audiorec.extract(library, out=plain, vector_only=True, jobs=1).extracted == 3
    assert pq.read_schema(plain).names == [n for n in pq.read_schema(out).names if n not in COLUMNS]
    assert table(plain).equals(table(out).drop_columns(COLUMNS))
    about = pq.read_schema(plain).metadata[b"audiorec"]
    assert not any(name in about for name in (b"attributes", b"lists", b"sound_id"))
    with pytest.raises(
        InputError, match=r"has no sound.*audiorec extract FOLDER --overwrite --out"
    ):
        open_store(plain).read_list("sound")


@pytest.mark.parametrize(("stored", "asked"), [(WITH, BARE), (BARE, WITH)])
def test_a_store_keeps_the_columns_that_it_has(library, out, stored, asked):
    extract(library, out, stored)
    names = pq.read_schema(out).names
    write_song(library / "new.wav", seed=3)
    report = extract(library, out, asked)
    assert (report.extracted, report.unchanged) == (1, 3)
    assert pq.read_schema(out).names == names
    library.rename(library.with_name("moved"))
    assert extract(library.with_name("moved"), out, asked).reused == 4
    if stored is WITH:
        assert open_store(out).row("new.wav")["bpm_confidence"] > 0
        assert len(open_store(out).read_list("sound")[0]) == 4


def test_a_store_of_another_method_is_not_extended(library, out, monkeypatch):
    extract(library, out)
    monkeypatch.setitem(attributes.METHODS, "bpm", "tempo 0")
    with pytest.raises(StoreError, match="different columns from those this run writes; use `ov"):
        extract(library, out)
    assert extract(library, out, policy=Policy.OVERWRITE).extracted == 3


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
    made = open_store(report.run.outputs["vectors"]).metadata
    assert sorted(made.attributes) == ATTRIBUTES
    assert made.lists.keys() == LISTS.keys()


def test_stores_with_and_without_are_joined_with_nulls(library, out, tmp_path):
    extract(library, out)
    plain, both = tmp_path / "plain.parquet", tmp_path / "all.parquet"
    other = tmp_path / "other"
    write_song(other / "more.wav", seed=8)
    extract(other, plain, BARE)
    for parts in ([out, plain], [plain, out, plain]):
        assert compact(parts, both) == 4
        store = open_store(both)
        assert store.ids == ("known.wav", "more.wav", "other.wav", "silent.wav")
        assert [store.read_list(name)[0].tolist() for name in LISTS] == [[0, 2, 3]] * 3
        assert store.row("more.wav")["bpm"] is None
        assert not verify(both).problems
        without = pq.read_table(both).drop_columns(COLUMNS)
        assert without.filter(pc.field("song_id") == "more.wav").equals(pq.read_table(plain))


def test_of_two_rows_of_one_song_that_with_sound_is_kept(library, out, tmp_path):
    extract(library, out, BARE)
    bare = tmp_path / "bare.parquet"
    bare.write_bytes(out.read_bytes())
    extract(library, out, policy=Policy.OVERWRITE)
    for parts in ([out, bare], [bare, out]):
        assert compact(parts, tmp_path / "all.parquet", on_duplicate="newest") == 3
        assert table(tmp_path / "all.parquet").equals(table(out))


def test_sound_by_two_projections_is_not_joined(library, out, tmp_path):
    extract(library, out)
    other = tmp_path / "other.parquet"
    found = pq.read_table(out)
    about = found.schema.metadata[b"audiorec"].replace(
        shipped_sound().sha256[:16].encode(), b"0" * 16
    )
    pq.write_table(found.replace_schema_metadata({b"audiorec": about}), other)
    with pytest.raises(StoreError, match=r"'embedding' was not made alike.*extract FOLDER --over"):
        compact([out, other], tmp_path / "all.parquet")


def test_moods_are_those_of_the_backbone_that_the_heads_use():
    assert sorted(Extractor(WITH).attributes) == ATTRIBUTES
    assert (Extractor().attributes, Extractor().lists, Extractor().sound_id) == ({}, {}, "")


def tagged(path, genre, *, seconds=4):
    """Write a song with a genre, a year and a language in its tags."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tags = {"title": path.stem, "genre": genre, "date": "1998-05-01", "language": "jpn"}
    samples = music(seconds=seconds, rate=48_000)
    encode(path, samples, 48_000, codec="libopus", container="ogg", tags=tags)


def test_the_file_says_its_genre_and_its_year(tmp_path, out):
    tagged(tmp_path / "music" / "a.opus", "Hip-Hop")
    write_song(tmp_path / "music" / "b.wav", seed=1)
    extract(tmp_path / "music", out)
    store = open_store(out)
    assert store.metadata.tags.keys() == TAGS.keys()
    rows = [tuple(row[name] for name in TAGS) for row in store.rows([0, 1])]
    assert rows == [("Hip-Hop", 1998, "Japanese"), (None, None, None)]
    tagged(tmp_path / "music" / "a.opus", "Rock")  # the same audio
    report = extract(tmp_path / "music", out)
    assert (report.reused, report.extracted) == (1, 0)
    assert open_store(out).row("a.opus")["genre_tag"] == "Rock"

"""Networks of the user's own, from the file to what songs are found by."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_backbone import DROP, write_backbone
from made_onnx import (
    model,
    node,
    number,
    part,
    tensor,
    value_info,
    varint,
    weights,
    whole_number,
    whole_numbers,
)
from made_songs import write_song
from needs import needs

from audiorec.audio.decode import waveform
from audiorec.audio.segment import levelled
from audiorec.errors import InputError, MissingWeightsError, SpecMismatchError, WeightsError
from audiorec.extraction import backbones
from audiorec.extraction.backbones import add_backbone, extractor_by_id
from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.pipeline import Extractor, ExtractorConfig, extractor_config
from audiorec.extraction.run import RunOptions, make_outputs, run
from audiorec.library.library import Library
from audiorec.runs.workers import Limits
from audiorec.search.questions import Choice
from audiorec.spec import FeatureSpec
from audiorec.store.features import FeatureFile
from audiorec.tagger.added import added_names, find_added
from audiorec.tagger.vectors import summarise
from audiorec.tagger.weights import WEIGHTS, onnx_model

SHIPPED = {
    "name": "again",
    "licence": "ISC",
    "sample_rate": 16_000,
    "loudness_lufs": -23,
    "mel": {
        "n_fft": 512,
        "window": "hann",
        "hop_length": 256,
        "padding": "zeros",
        "scale": "slaney",
        "n_mels": 96,
        "f_min": 0,
        "f_max": 8_000,
        "curve": "log10(c x + 1)",
        "compression": 10_000,
    },
    "segment": {"length_s": 3.0, "frames": 187, "stft": "track"},
    "input": {"name": "log_mel", "layout": "N T M"},
    "outputs": {
        "scores": {"name": "tags", "classes": list(WEIGHTS["msd"].tags)},
        "embedding": {"name": "penultimate"},
    },
}


@pytest.fixture(autouse=True)
def _own_data(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOREC_DATA", str(tmp_path / "own"))


@pytest.fixture
def songs(tmp_path):
    for seed in range(3):
        write_song(tmp_path / "songs" / f"{seed}.wav", seed=seed, seconds=7.6)
    return tmp_path / "songs"


@pytest.fixture
def tiny(tmp_path):
    return add_backbone(*write_backbone(tmp_path / "here"))


def extracted(songs, out, config, **options):
    outputs = make_outputs(out / "vecs.parquet", features=out / "features.parquet")
    report = run(find_songs([songs]), outputs, config=config, options=RunOptions(jobs=1, **options))
    assert report.failed == 0
    return report


def test_a_song_is_heard_as_the_spec_says(songs, tiny):
    song = Extractor(extractor_config((), "tiny")).song(
        songs / "0.wav", outputs=("tiny.embedding", "tiny.scores")
    )
    samples, _ = waveform(songs / "0.wav", spec=tiny.stated.features)
    track = levelled([samples], tiny.stated.features)
    embedding = np.stack([segment.log_mel.mean(axis=0) for segment in track.segments])
    scores = 1 / (1 + np.exp(-embedding @ weights(40, 3)))
    np.testing.assert_allclose(song.features["tiny.embedding"], embedding, atol=1e-5)
    np.testing.assert_allclose(song.series.scores, scores, atol=1e-5)
    assert song.series.start_s.tolist() == pytest.approx([0.0, 3.0, 4.6])
    assert song.series.classes == ("tiny/bright", "tiny/dark", "tiny/loud")
    np.testing.assert_array_equal(song.vector, summarise(song.series.scores))
    assert song.loudness_lufs == track.loudness_lufs


def test_a_store_of_it_is_searched_by_what_it_says(tmp_path, songs, tiny):
    extracted(songs, tmp_path / "s", replace(extractor_config((), "tiny"), sound=True))
    store = Library.open(tmp_path / "s" / "vecs.parquet")
    assert store.metadata.dimension == 18
    assert dict(store.metadata.weights[0]) == tiny.origin()
    assert store.metadata.features == {"tiny_embedding": 40, "tiny_scores": 3}
    file = FeatureFile.open_last_layers(tmp_path / "s" / "features.parquet")
    assert (file.inputs, file.widths) == (("tiny_embedding",), (40,))
    basis = store.default_space()
    assert (basis.by, basis.note) == ("sound", "")
    means = file.means()
    units = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(store.space().matrix, units, atol=1e-5)
    found = store.similar("0.wav", 2, choice=Choice(also=("non-music",)), minimum=-1)
    assert {one.song_id for one in found} == {"1.wav", "2.wav"}


def test_a_store_knows_the_network_that_made_it(tmp_path, songs, tiny):
    extracted(songs, tmp_path / "s", extractor_config((), "tiny", hop_s=1.5))
    metadata = Library.open(tmp_path / "s" / "vecs.parquet").metadata
    extractor = Extractor.for_store(metadata)
    assert extractor.config.backbone == tiny.folder
    assert extractor.config.spec.segment.hop_s == 1.5
    spec = FeatureSpec.from_dict(metadata.spec)
    config = extractor_by_id(metadata.extractor_id, spec)
    assert config == ExtractorConfig(backbone=tiny.folder, spec=spec)
    add_backbone(*write_backbone(tmp_path / "b", {"mel.pre_emphasis": 0.5}), replace=True)
    with pytest.raises(SpecMismatchError):
        Extractor.for_store(metadata)
    assert extractor_by_id(metadata.extractor_id, spec) is None


def test_stores_of_two_networks_are_never_mixed(tmp_path, songs, tiny):
    extracted(songs, tmp_path / "s", extractor_config((), "tiny"))
    other = {"mel.pre_emphasis": 0.5, "name": "other"}
    add_backbone(*write_backbone(tmp_path / "b", other))
    for config in (ExtractorConfig(), extractor_config((), "other")):
        with pytest.raises(SpecMismatchError, match="extractor"):
            extracted(songs, tmp_path / "s", config)


def test_an_embedding_alone_makes_a_vector_of_its_means(tmp_path, songs):
    add_backbone(*write_backbone(tmp_path / "e", {"outputs.scores": DROP}))
    extracted(songs, tmp_path / "s", extractor_config((), "tiny"))
    store = Library.open(tmp_path / "s" / "vecs.parquet")
    assert store.metadata.statistics == ("mean",)
    assert store.vectors.shape == (3, 40)
    means = FeatureFile.open(tmp_path / "s" / "features.parquet").means()
    np.testing.assert_allclose(store.vectors, means, atol=1e-6)
    assert (
        len(store.similar("0.wav", 2, by="vector", choice=Choice(also=("non-music",)), minimum=-1))
        == 2
    )


def test_the_shipped_network_added_by_its_spec_says_the_same(tmp_path, songs):
    """One description for all front ends: ours is one of them, to the last bit."""
    (tmp_path / "again.json").write_text(json.dumps(SHIPPED))
    (tmp_path / "again.onnx").write_bytes(onnx_model("msd"))
    added = add_backbone(tmp_path / "again.onnx", tmp_path / "again.json")
    assert added.stated.features == FeatureSpec()
    ours = Extractor().song(songs / "0.wav", outputs=("msd.tags", "msd.penultimate"))
    theirs = Extractor(extractor_config((), "again")).song(
        songs / "0.wav", outputs=("again.scores", "again.embedding")
    )
    np.testing.assert_array_equal(theirs.features["again.scores"], ours.features["msd.tags"])
    np.testing.assert_array_equal(
        theirs.features["again.embedding"], ours.features["msd.penultimate"]
    )
    assert theirs.loudness_lufs == ours.loudness_lufs


def test_a_head_is_trained_on_it_and_finds_it_by_itself(tmp_path, songs, tiny):
    needs("torch")
    from audiorec.labelling.songs import labelled_features, read_labels, train_from_labels
    from audiorec.labelling.train import HeadRecipe

    rows = ["path,label"]
    for seed in range(6):
        write_song(tmp_path / "l" / f"{seed}.wav", seed=seed, seconds=3.2)
        rows.append(f"{seed}.wav,{'ab'[seed % 2]}")
    (tmp_path / "l" / "labels.csv").write_text("\n".join(rows) + "\n")
    labels = read_labels(tmp_path / "l" / "labels.csv")
    data = labelled_features(labels, tmp_path / "cache", backbone="tiny", jobs=1)
    assert data.inputs == ("tiny.embedding",)
    assert (tmp_path / "cache" / "tiny" / "features.parquet").exists()
    trained, _, _ = train_from_labels(
        data, task="kind", recipe=HeadRecipe(hidden=(), max_epochs=2, folds=2)
    )
    assert trained.head.backbones == {"tiny": tiny.sha256}
    trained.head.save(tmp_path / "h.safetensors")
    config = extractor_config([tmp_path / "h.safetensors"])
    assert config.backbone == tiny.folder
    extracted(songs, tmp_path / "s", config)
    store = Library.open(tmp_path / "s" / "vecs.parquet")
    assert store.metadata.classes == ("kind/a", "kind/b")
    heads = (tmp_path / "h.safetensors",)
    assert Extractor.for_store(store.metadata, heads=heads).config.backbone == tiny.folder
    with pytest.raises(InputError, match=r"no output 'tiny\.tags'"):
        labelled_features(labels, tmp_path / "c", backbone="tiny", inputs=["tiny.tags"], jobs=1)


REFUSED = {
    "no model": ({}, {"bands": 39}, r"has shape \(N, 1, 39, T\), the spec says"),
    "logits": ({}, {"activation": "Identity"}, "are not probabilities"),
    "another input": ({"input.name": "x"}, {}, "expected one input 'x'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_does_not_fit_is_not_kept(tmp_path, name):
    changes, made, message = REFUSED[name]
    path, spec = write_backbone(tmp_path / "a", changes, **made)
    with pytest.raises(WeightsError, match=message) as caught:
        add_backbone(path, spec)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert added_names() == []


def test_a_model_whose_answers_depend_on_the_batch_is_not_kept(tmp_path):
    path, spec = write_backbone(tmp_path / "a", {"outputs.scores": DROP})
    # The mean over frames, less that over segments: as batch normalisation does in training.
    nodes = [
        node("ReduceMean", ["mel"], ["m"], attribute("axes", [1, 3]), attribute("keepdims", 0)),
        node("ReduceMean", ["m"], ["all"], attribute("axes", [0])),
        node("Sub", ["m", "all"], ["emb"]),
    ]
    ins, outs = [value_info("mel", ["N", 1, 40, "T"])], [value_info("emb", ["N", 40])]
    path.write_bytes(model(nodes, ins, outs, [tensor("w", weights(40, 3))]))
    with pytest.raises(WeightsError, match="depend on the rest of the batch"):
        add_backbone(path, spec)


def long_tag(field, wire, content):
    """Return a field whose tag has a 33rd bit, which ONNX Runtime does not look at."""
    length = varint(len(content)) if wire == 2 else b""
    return varint((field << 3 | wire) + (1 << 32)) + length + content


@pytest.mark.parametrize("put", [lambda field, _, content: part(field, content), long_tag])
def test_a_network_that_asks_for_a_file_is_not_kept(tmp_path, monkeypatch, put):
    """Its embedding is a file of the folder in which the command is started."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_bytes(bytes(range(40)))
    path, spec = write_backbone(tmp_path / "a", {"outputs.scores": DROP})
    place = {"location": "key", "offset": "0", "length": "40"}
    pairs = b"".join(put(13, 2, part(1, k) + part(2, v)) for k, v in place.items())
    stolen = number(1, 40) + number(2, 2) + part(8, "f") + pairs
    stolen += number(14, 1) if put is not long_tag else long_tag(14, 0, b"\x01")
    nodes = [
        node("ReduceMean", ["mel"], ["m"], attribute("axes", [1, 3]), attribute("keepdims", 0)),
        node("Sub", ["m", "m"], ["zero"]),
        node("Cast", ["f"], ["c"], attribute("to", 1)),
        node("Add", ["zero", "c"], ["emb"]),
    ]
    ins, outs = [value_info("mel", ["N", 1, 40, "T"])], [value_info("emb", ["N", 40])]
    path.write_bytes(model(nodes, ins, outs, [stolen]))
    with pytest.raises(WeightsError, match=r"external data|the tensor has an unknown field"):
        add_backbone(path, spec)
    assert added_names() == []


def attribute(name, value):
    made = whole_numbers(name, value) if isinstance(value, list) else whole_number(name, value)
    return part(5, made)


def test_files_that_are_missing_or_no_files(tmp_path):
    path, spec = write_backbone(tmp_path / "a")
    with pytest.raises(InputError, match=r"gone\.onnx: cannot read the model: no such file"):
        add_backbone(tmp_path / "gone.onnx", spec)
    with pytest.raises(InputError, match="is neither a file"):
        add_backbone(tmp_path, spec)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match="not an ONNX model"):
        add_backbone(path, spec)
    with pytest.raises(MissingWeightsError, match="no added backbone 'tiny'"):
        extractor_config((), "tiny")


def test_a_model_that_takes_its_worker_along_is_one_line(tmp_path):
    path, spec = write_backbone(tmp_path / "a")
    with pytest.raises(WeightsError, match=r"tiny\.onnx: (crashed|oom|timeout|.*memory)"):
        add_backbone(path, spec, limits=Limits(timeout_s=60, memory_bytes=150 << 20))
    assert added_names() == []


def test_a_model_larger_than_the_limit_is_not_read(tmp_path, monkeypatch):
    path, spec = write_backbone(tmp_path / "a")
    monkeypatch.setattr(backbones, "MAX_MODEL_BYTES", 100)
    with pytest.raises(WeightsError, match="larger than 100 bytes"):
        add_backbone(path, spec)


def test_the_worker_alone_opens_the_model(tmp_path, monkeypatch):
    def refuse(*_args, **_more):
        raise AssertionError("a model was opened in this process")

    monkeypatch.setattr("audiorec.tagger.added.open_session", refuse)
    add_backbone(*write_backbone(tmp_path / "a"))
    assert find_added("tiny").widths == {"scores": 3, "embedding": 40}
    assert Extractor(extractor_config((), "tiny")).extractor_id


def test_the_hop_is_a_choice_and_another_front_end_is_not(tiny):
    config = extractor_config((), "tiny", hop_s=6.0)
    first, second = Extractor(config), Extractor(extractor_config((), "tiny"))
    assert first.extractor_id != second.extractor_id
    spec = replace(config.spec, mel=replace(config.spec.mel, shift=0.0))
    with pytest.raises(SpecMismatchError, match="was added with front end"):
        Extractor(replace(config, spec=spec))


def test_a_model_of_one_segment_at_once(tmp_path, songs):
    add_backbone(*write_backbone(tmp_path / "a", batch=1))
    one = Extractor(extractor_config((), "tiny")).song(Path(songs / "0.wav"))
    add_backbone(*write_backbone(tmp_path / "b"), replace=True)
    many = Extractor(extractor_config((), "tiny")).song(Path(songs / "0.wav"))
    np.testing.assert_allclose(one.vector, many.vector, atol=1e-5)

"""Networks of other packages, from the entry point to what songs are found by."""

from dataclasses import replace

import numpy as np
import pytest
from made_backbone import CODE, install_backbone
from made_songs import write_song
from needs import needs

from audiorec.audio.decode import waveform
from audiorec.audio.segment import levelled
from audiorec.errors import InputError, MissingWeightsError, SpecMismatchError
from audiorec.extraction.backbones import own_backbone
from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.pipeline import (
    Extractor,
    ExtractorConfig,
    extractor_by_id,
    extractor_config,
)
from audiorec.extraction.run import RunOptions, make_outputs, run
from audiorec.library.library import Library
from audiorec.search.questions import Choice
from audiorec.spec import FeatureSpec
from audiorec.store.features import FeatureFile
from audiorec.tagger.vectors import summarise

OTHER = CODE + "TINY = network(name='other', mel={'pre_emphasis': 0.5})\n"
ALONE = CODE + "TINY = network(classes=())\n"


@pytest.fixture
def songs(tmp_path):
    for seed in range(3):
        write_song(tmp_path / "songs" / f"{seed}.wav", seed=seed, seconds=7.6)
    return tmp_path / "songs"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package for this test: its module has another name each time."""

    def make(code=CODE, name="tiny"):
        module = f"{name}_net_{abs(hash((code, str(tmp_path)))):x}"
        install_backbone(tmp_path / module, code, name, module)
        monkeypatch.syspath_prepend(str(tmp_path / module))
        return own_backbone(name)

    return make


@pytest.fixture
def tiny(install):
    return install()


def extracted(songs, out, config, **options):
    outputs = make_outputs(out / "vecs.parquet", features=out / "features.parquet")
    report = run(find_songs([songs]), outputs, config=config, options=RunOptions(jobs=1, **options))
    assert report.failed == 0
    return report


def test_a_song_is_heard_as_its_front_end_says(songs, tiny):
    song = Extractor(extractor_config((), "tiny")).song(
        songs / "0.wav", outputs=("tiny.embedding", "tiny.scores")
    )
    samples, _ = waveform(songs / "0.wav", spec=tiny.features)
    track = levelled([samples], tiny.features)
    embedding = np.stack([segment.log_mel.mean(axis=0) for segment in track.segments])
    weights = np.random.default_rng(0).normal(size=(40, 3))
    scores = 1 / (1 + np.exp(-embedding @ weights))
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


def test_a_store_knows_the_network_that_made_it(tmp_path, songs, tiny, install, monkeypatch):
    extracted(songs, tmp_path / "s", extractor_config((), "tiny", hop_s=1.5))
    metadata = Library.open(tmp_path / "s" / "vecs.parquet").metadata
    extractor = Extractor.for_store(metadata)
    assert extractor.config.backbone == "tiny"
    assert extractor.config.spec.segment.hop_s == 1.5
    spec = FeatureSpec.from_dict(metadata.spec)
    config = extractor_by_id(metadata.extractor_id, spec)
    assert config == ExtractorConfig(backbone="tiny", spec=spec)
    monkeypatch.undo()  # the package is uninstalled, and another release of it installed
    install(CODE + "TINY = network(weights_sha256='cd' * 32)\n")
    with pytest.raises(SpecMismatchError):
        Extractor.for_store(metadata)
    assert extractor_by_id(metadata.extractor_id, spec) is None


def test_stores_of_two_networks_are_never_mixed(tmp_path, songs, tiny, install):
    extracted(songs, tmp_path / "s", extractor_config((), "tiny"))
    install(OTHER, "other")
    for config in (ExtractorConfig(), extractor_config((), "other")):
        with pytest.raises(SpecMismatchError, match="extractor"):
            extracted(songs, tmp_path / "s", config)


def test_an_embedding_alone_makes_a_vector_of_its_means(tmp_path, songs, install):
    install(ALONE)
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


def test_a_head_is_trained_on_it_and_finds_it_by_itself(tmp_path, songs, tiny, monkeypatch):
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
    assert config.backbone == "tiny"
    extracted(songs, tmp_path / "s", config)
    store = Library.open(tmp_path / "s" / "vecs.parquet")
    assert store.metadata.classes == ("kind/a", "kind/b")
    heads = (tmp_path / "h.safetensors",)
    assert Extractor.for_store(store.metadata, heads=heads).config.backbone == "tiny"
    with pytest.raises(InputError, match=r"no output 'tiny\.tags'"):
        labelled_features(labels, tmp_path / "c", backbone="tiny", inputs=["tiny.tags"], jobs=1)
    monkeypatch.undo()
    with pytest.raises(MissingWeightsError, match=r"no installed package brings .*'tiny'"):
        extractor_config([tmp_path / "h.safetensors"])


def test_the_hop_is_a_choice_and_another_front_end_is_not(tiny):
    config = extractor_config((), "tiny", hop_s=6.0)
    first, second = Extractor(config), Extractor(extractor_config((), "tiny"))
    assert first.extractor_id != second.extractor_id
    spec = replace(config.spec, mel=replace(config.spec.mel, shift=0.0))
    with pytest.raises(SpecMismatchError, match="has front end"):
        Extractor(replace(config, spec=spec))


def test_names_that_no_package_brings_and_what_is_no_network(install):
    with pytest.raises(InputError, match="unknown backbone 'tidy'; there are: msd"):
        extractor_config((), "tidy")
    assert extractor_config((), "msd") == ExtractorConfig()
    with pytest.raises(InputError, match=r"is no audiorec\.tagger\.OwnBackbone, but int"):
        install("TINY = 3\n", "three")

"""`audiorec.labelling.songs`: labels in, a head and honest figures out."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from needs import needs

from audiorec.errors import InputError
from audiorec.labelling.songs import (
    evaluate_head,
    labelled_features,
    read_labels,
    train_from_labels,
)
from audiorec.tagger.heads import Head, default_heads

RATE = 16_000  # Hz


def make(path, kind, seed):
    """Two classes that any ear tells apart: a low hum, and bright noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(7 * RATE) / RATE
    hum = sum(np.sin(2 * np.pi * 110 * k * t) / k for k in (1, 2, 3)) * rng.uniform(0.05, 0.2)
    noise = np.diff(rng.standard_normal(len(t) + 1)) * rng.uniform(0.02, 0.1)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, hum if kind == "hum" else noise, RATE)


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    root = tmp_path_factory.mktemp("labelled") / "kinds"
    for kind in ("hum", "noise"):
        for i in range(4):
            make(root / kind / f"album{i % 3}" / f"{i}.flac", kind, seed=i + 10 * (kind == "hum"))
    return root


@pytest.fixture(scope="module")
def data(collection):
    return labelled_features(read_labels(collection), collection.parent / "cache", jobs=1)


def test_a_folder_gives_classes_and_albums_as_groups(collection):
    songs = read_labels(collection)
    assert {s.label for s in songs} == {"hum", "noise"}
    assert songs[0].group == "hum/album0"
    assert len({s.group for s in songs}) == 6


def test_a_table_gives_paths_labels_and_groups(collection, tmp_path):
    table = collection.parent / "labels.csv"
    rows = [
        f"kinds/{k}/album{i}/{i}.flac,{k},{k}-artist{i}" for k in ("hum", "noise") for i in (0, 1)
    ]
    table.write_text("path,label,group\n" + "\n".join(rows) + "\n")
    songs = read_labels(table)
    assert [(s.label, s.group) for s in songs][:2] == [
        ("hum", "hum-artist0"),
        ("hum", "hum-artist1"),
    ]
    assert songs[0].source.size > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.wav,x\nb.wav,x\n", "two or more classes"),
        ("path,label\na.wav,x\nb.wav,y\nc.wav,y\n", "fewer than 2 groups: x"),
        ("path,label\na.wav,\n", "row 1 lacks a path or a label"),
        ("path,label\na.wav,x\na.wav,y\n", "row 2 repeats"),
    ],
)
def test_labels_that_cannot_work_are_refused(tmp_path, text, message):
    table = tmp_path / "labels.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=message):
        read_labels(table)


def test_features_are_a_row_a_segment(data):
    assert len(data.labels) == len(data.song_ids) == len(data.groups) == 8 * 2
    assert data.features["msd"].tags.shape == (16, 50)
    assert data.features["msd"].penultimate.shape == (16, 200)
    assert data.classes == ("hum", "noise")
    assert data.grouped


def test_a_head_learns_the_classes_and_survives_its_file(data, tmp_path):
    needs("torch")
    trained, segments, songs = train_from_labels(data, task="kind")
    assert segments.accuracy.value == 1.0
    assert (songs.n, segments.n) == (8, 16)
    trained.head.save(tmp_path / "head.safetensors")
    again, _ = evaluate_head(Head.load(tmp_path / "head.safetensors"), data)
    assert again.accuracy.value == 1.0


def test_the_same_seed_gives_the_same_head(data):
    needs("torch")
    first, second = (train_from_labels(data, task="kind")[0].head for _ in range(2))
    assert first.sha256 == second.sha256


def test_a_label_that_the_head_does_not_know_is_refused(collection):
    songs = read_labels(collection)
    with pytest.raises(InputError, match="unknown class noise"):
        labelled_features(songs, collection.parent / "cache", classes=("hum", "drone"), jobs=1)


def test_songs_that_fail_are_named(collection, tmp_path):
    bad = collection.parent / "labels2.csv"
    rows = [f"kinds/{k}/album{i}/{i}.flac,{k}" for k in ("hum", "noise") for i in (0, 1)]
    bad.write_text("path,label\n" + "\n".join([*rows, "gone.flac,hum"]) + "\n")
    data = labelled_features(read_labels(bad), collection.parent / "cache2", jobs=1)
    assert data.missing == ("gone.flac",)
    assert not data.grouped


def test_a_head_that_reads_pools_has_them_in_a_cache_of_their_own(collection, data):
    songs, cache = read_labels(collection), collection.parent / "cache"
    inputs = ("msd.max_pool", "msd.mean_pool")
    wide = labelled_features(songs, cache, inputs=inputs, jobs=1)
    assert wide.features["msd"].max_pool.shape == (len(wide.labels), 753)
    np.testing.assert_array_equal(wide.features["msd"].tags, data.features["msd"].tags)
    assert data.features["msd"].max_pool.shape[1] == 0
    needs("torch")
    trained, _, songs_report = train_from_labels(wide, task="kind", inputs=inputs)
    assert trained.head.inputs == inputs
    assert songs_report.n == 8


def test_the_shipped_heads_can_be_evaluated_on_labels(collection):
    version = next(iter(default_heads()))
    renamed = replace(version, classes=("hum", "noise", "vocal", "other"))
    songs, cache = read_labels(collection), collection.parent / "cache"
    found = labelled_features(songs, cache, inputs=renamed.inputs, classes=renamed.classes, jobs=1)
    by_segment, _ = evaluate_head(renamed, found)
    assert by_segment.n == len(found.labels)

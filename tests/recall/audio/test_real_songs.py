"""Real audio through user-audio: folders, broken files, and training end to end."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_listening import read_embeddings
from needs import needs

needs("torch")
needs("torchaudio")

from audiorec.errors import InputError
from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.run import RunOptions, make_outputs, run
from audiorec.library.library import Library
from audiorec.listening.interactions import read_interactions
from audiorec.listening.reading import to_liked
from audiorec.recall.audio.channel import UserAudio
from audiorec.recall.audio.embed import embed_audio, embed_stored, store_sources
from audiorec.recall.audio.model import UserAudioRecipe
from audiorec.recall.contract.data import Context, RecallData, Sound
from audiorec.recall.contract.training import train_channel
from audiorec.recall.registry import load_channel
from audiorec.store.features import FeatureFile

CLIPS = ("jazz-vibraphone.mp3", "drum-loop.aiff", "choir-a-cappella.mp3", "clicks-short.wav")
OPTIONS = RunOptions(jobs=1)
RECIPE = {"embedding": 5, "hidden": 3, "valid": 0.0, "max_epochs": 1, "batch_size": 4, "seed": 3}
RECIPE |= {"segments": 2}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Four clips, their store and features, and what six users like of them."""
    home = tmp_path_factory.mktemp("real")
    (home / "songs").mkdir()
    for name in CLIPS:
        shutil.copy(f"fixtures/audio/{name}", home / "songs")
    outputs = make_outputs(home / "vecs.parquet", features=home / "features.parquet")
    run(find_songs([home / "songs"]), outputs, options=OPTIONS)
    likes = [(u, CLIPS[(u + shift) % 4]) for u in range(6) for shift in range(2)]
    lines = [f"u{u},{song},1700000000,like" for u, song in likes]
    (home / "log.csv").write_text("user_id,song_id,timestamp,event\n" + "\n".join(lines) + "\n")
    return home


def features_of(home, name="features.parquet"):
    return Sound.of_features(FeatureFile.open(home / name), Library.open(home / "vecs.parquet"))


def trained(home, name, sound, **changes):
    """Train on the likes, and load what was written."""
    liked = to_liked(read_interactions(home / "log.csv"))
    data = RecallData.of_likes(liked, Context(sound=sound))
    assert train_channel(UserAudio(UserAudioRecipe(**RECIPE, **changes)), data, home / name)
    return load_channel(home / name)


@pytest.fixture(scope="module")
def model(home):
    """A model on frozen features."""
    return trained(home, "model", features_of(home))


@pytest.fixture(scope="module")
def heard(home):
    """A model that was trained end to end."""
    sound = Sound.of_store(Library.open(home / "vecs.parquet"))
    return trained(home, "heard", sound, end_to_end=True, max_segments=1)


def test_audio_and_its_features_get_the_same_embeddings(home, model, tmp_path):
    embed_stored(model, features_of(home), out=tmp_path / "a.parquet")
    sources = find_songs([home / "songs"])
    report = embed_audio(model, sources, out=tmp_path / "b.parquet", options=OPTIONS)
    assert (report.embedded, report.failed) == (4, 0)
    (ids, a, _), (again, b, _) = (read_embeddings(tmp_path / f"{n}.parquet") for n in "ab")
    assert ids == again == sorted(CLIPS)
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert not (tmp_path / "b.errors.parquet").exists()


def test_what_a_store_says_of_songs_stands_beside_their_embeddings(home, model, tmp_path):
    """Whichever way they came: files, a store of them, or features with a store beside them."""
    store = Library.open(home / "vecs.parquet")
    ways = {
        "files": find_songs([home / "songs"]),
        "store": store_sources(store),
    }
    for name, sources in ways.items():
        embed_audio(model, sources, out=tmp_path / f"{name}.parquet", options=OPTIONS)
    embed_stored(model, features_of(home), out=tmp_path / "features.parquet")
    columns = ["song_id", "title", "artist", "uri", "music"]
    found = [
        pq.read_table(tmp_path / f"{name}.parquet", columns=columns).to_pylist()
        for name in (*ways, "features")
    ]
    assert found[0] == found[1] == found[2]
    by_id = {row["song_id"]: row for row in found[0]}
    assert by_id["jazz-vibraphone.mp3"]["artist"] == "Kevin MacLeod"
    assert by_id["jazz-vibraphone.mp3"]["uri"] == str(home / "songs" / "jazz-vibraphone.mp3")
    assert [by_id[name]["music"] for name in CLIPS] == [True, False, True, False]  # two are short
    alone = Sound.of_features(FeatureFile.open(home / "features.parquet"))
    embed_stored(model, alone, out=tmp_path / "e.parquet")
    assert pq.read_schema(tmp_path / "e.parquet").names[-1] == "segments"


def test_only_the_songs_asked_for_and_only_new_ones_are_opened(home, model, tmp_path):
    out, seen = tmp_path / "e.parquet", []
    one = find_songs([home / "songs" / CLIPS[0]])
    embed_audio(model, one, out=out, options=OPTIONS)
    more = find_songs([home / "songs" / CLIPS[1]])
    embed_audio(model, more, out=out, options=OPTIONS, progress=lambda p: seen.append(p.song_id))
    assert read_embeddings(out)[0] == [s.song_id for s in more]
    embed_audio(model, one, out=out, options=OPTIONS, progress=lambda p: seen.append(p.song_id))
    assert read_embeddings(out)[0] == [s.song_id for s in one]
    assert seen == [s.song_id for s in more]


def test_a_broken_file_is_a_row_of_errors(home, model, tmp_path):
    shutil.copy(home / "songs" / CLIPS[0], tmp_path)
    (tmp_path / "broken.mp3").write_bytes(b"no music" * 20)
    sources = find_songs([tmp_path])
    report = embed_audio(model, sources, out=tmp_path / "e.parquet", options=OPTIONS)
    assert (report.embedded, report.failed) == (1, 1)
    errors = pq.read_table(tmp_path / "e.errors.parquet").to_pylist()
    assert [row["song_id"] for row in errors] == ["broken.mp3"]


def test_the_backbone_learns_end_to_end(heard):
    from audiorec.tagger.backbone_torch import load_network
    from audiorec.tagger.weights import weights_path

    before = load_network(weights_path("msd")).state_dict()
    tensors = heard.tower
    moved = np.abs(tensors["backbone.dense.weight"] - before["dense.weight"].numpy()).max()
    assert 1e-6 < moved < 1e-2
    rest = before["dense_norm.running_mean"].numpy()
    np.testing.assert_array_equal(tensors["backbone.dense_norm.running_mean"], rest)
    assert heard.hears == "audio"
    # The catalogue is heard as any other audio is.
    sound = Sound.of_store(Library.open("fixtures/formats/vecs-v1.parquet"))
    assert not heard.embed_sound(sound).any()  # none of its files is there


def test_end_to_end_embeds_any_audio(home, heard, tmp_path):
    shutil.copy(home / "songs" / CLIPS[3], tmp_path / "new.wav")
    (tmp_path / "broken.flac").write_bytes(b"no music" * 20)
    out = tmp_path / "e.parquet"
    for _ in range(2):  # the second time from what was decoded
        report = embed_audio(heard, find_songs([tmp_path]), out=out, options=OPTIONS)
        assert (report.embedded, report.failed) == (1, 1)
    errors = pq.read_table(tmp_path / "e.errors.parquet").to_pylist()
    assert [(row["song_id"], row["status"]) for row in errors] == [("broken.flac", "not_audio")]
    ids, found, metadata = read_embeddings(out)
    assert ids == ["new.wav"]
    assert metadata["model_id"] == heard.model_id
    store = embed_audio(
        heard,
        store_sources(Library.open(home / "vecs.parquet")),
        out=tmp_path / "s.parquet",
        options=OPTIONS,
    )
    assert store.failed == 0
    names, all_songs, _ = read_embeddings(tmp_path / "s.parquet")
    np.testing.assert_allclose(all_songs[names.index(CLIPS[3])], found[0], atol=1e-5)
    assert not (tmp_path / "s.errors.parquet").exists()  # this call had none


def test_an_end_to_end_model_hears_its_catalogue_as_it_hears_files(home, heard, tmp_path):
    report = embed_audio(
        heard, find_songs([home / "songs"]), out=tmp_path / "e.parquet", options=OPTIONS
    )
    assert report.embedded == len(heard.song_ids) == 4
    names, found, _ = read_embeddings(tmp_path / "e.parquet")
    assert tuple(names) == heard.song_ids
    np.testing.assert_allclose(found, heard.song_embeddings(), atol=1e-5)


def test_an_end_to_end_model_refuses_features(home, heard, tmp_path):
    alone = Sound.of_features(FeatureFile.open(home / "features.parquet"))
    with pytest.raises(InputError, match="decodes songs again: give `vectors`"):
        embed_stored(heard, alone, out=tmp_path / "e.parquet")


def test_vectors_are_made_of_any_audio_too(home, tmp_path):
    """Of a model that learnt from vectors, as youtube-dnn does."""
    store = Library.open(home / "vecs.parquet")
    channel = trained(home, "by-vector", Sound.of_store(store))
    assert channel.hears == "vectors"
    embed_stored(channel, Sound.of_store(store), out=tmp_path / "a.parquet")
    sources = find_songs([home / "songs"])
    report = embed_audio(channel, sources, out=tmp_path / "b.parquet", options=OPTIONS)
    assert (report.embedded, report.failed) == (4, 0)
    (ids, a, _), (again, b, about) = (read_embeddings(tmp_path / f"{n}.parquet") for n in "ab")
    assert ids == again
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert about["extractor_id"] == store.metadata.extractor_id
    # In a table of two songs, vectors standardised by the table would be others.
    two = find_songs([home / "songs" / name for name in CLIPS[:2]])
    embed_audio(channel, two, out=tmp_path / "c.parquet", options=OPTIONS)
    names, c, _ = read_embeddings(tmp_path / "c.parquet")
    np.testing.assert_allclose(c, a[[ids.index(name) for name in names]], atol=1e-6)

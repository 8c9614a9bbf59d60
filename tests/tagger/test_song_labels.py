"""`audiorec.tagger.song_labels`: genre and styles of songs, and when they are sure."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_labels import hand_head, tags
from safetensors.numpy import save

from audiorec.errors import InputError, MissingWeightsError, ShapeError, WeightsError
from audiorec.tagger.heads import shipped_head
from audiorec.tagger.song_labels import EMBEDDING, TAGS, SongLabels
from audiorec.tagger.vectors import shipped_sound
from audiorec.tagger.weights import MSD, data_folder


def found(head, *songs):
    heard = np.array([tags(**song) for song in songs]).reshape(len(songs), TAGS)
    return head.of(np.zeros((len(songs), EMBEDDING)), heard)


def test_probabilities_worked_by_hand():
    labels = found(hand_head(), {"jazz": 0.3}, {})
    sure = np.exp(3) / (np.exp(3) + 4)
    np.testing.assert_allclose(labels.genre[0], [sure, *2 * [1 / (np.exp(3) + 4)]], rtol=1e-5)
    np.testing.assert_allclose(labels.genre[1], [0.2] * 3, rtol=1e-6)  # five classes, all alike
    np.testing.assert_allclose(labels.styles[:, 0], [1 / (np.exp(3) + 4), 0.2], rtol=1e-5)
    assert labels.genre_clear.tolist() == [True, False]


def test_a_genre_is_clear_from_its_limit_on_and_not_if_the_song_is_something_else():
    labels = found(hand_head(), {"jazz": 0.5, "metal": 0.5}, {"none": 1.0}, {"disco": 0.9})
    assert labels.genre_clear.tolist() == [False, False, False]
    assert labels.style_clear[:, 0].tolist() == [False, False, True]
    assert labels.genre[1].sum() < 0.01
    lenient = hand_head(genre_limit=0.4)
    assert found(lenient, {"jazz": 0.5, "metal": 0.5}).genre_clear.tolist() == [True]


def test_one_song_by_name():
    head = hand_head()
    labels = found(head, {"metal": 0.5, "pop": 0.45}, {"disco": 0.9})
    first, second = head.label(labels, 0), head.label(labels, 1)
    assert list(first.likely)[:2] == ["metal", "pop"]
    assert (first.genre, first.genre_clear, first.styles) == ("metal", False, ())
    assert (next(iter(second.likely)), second.genre, second.styles) == ("disco", "jazz", ("disco",))


def test_a_song_without_an_embedding_is_not_labelled():
    head = hand_head()
    labels = head.of(np.full((1, EMBEDDING), np.nan), np.full((1, TAGS), np.nan))
    assert np.isnan(labels.genre).all()
    assert not labels.genre_clear.any()
    assert not labels.style_clear.any()
    assert head.label(labels, 0) is None
    assert found(head).genre.shape == (0, 3)


@given(
    arrays(np.float16, (2, EMBEDDING), elements=st.floats(-60000, 60000, width=16)),
    arrays(np.float16, (2, TAGS), elements=st.floats(0, 1, width=16)),
)
def test_any_stored_song_gets_probabilities(embedding, heard):
    labels = SongLabels.shipped().of(embedding, heard)
    total = labels.genre.sum(axis=1) + labels.styles.sum(axis=1)
    assert (labels.genre >= 0).all()
    assert (total <= 1 + 1e-5).all()
    alone = SongLabels.shipped().of(embedding[1:], heard[1:])
    np.testing.assert_allclose(alone.genre, labels.genre[1:], atol=1e-6)


def test_another_head_is_taken_by_its_name(monkeypatch):
    usual = SongLabels.shipped()
    monkeypatch.setenv("AUDIOREC_LABELS", "open")
    free = SongLabels.shipped()
    assert free.sha256 != usual.sha256
    assert (free.genres, free.styles) == (usual.genres, usual.styles)
    assert (free.front_end, free.backbone_sha256) == (usual.front_end, usual.backbone_sha256)
    monkeypatch.setenv("AUDIOREC_LABELS", "free")
    with pytest.raises(InputError, match="AUDIOREC_LABELS: must be open or empty, got 'free'"):
        SongLabels.shipped()


@pytest.mark.parametrize(
    ("embedding", "heard"), [((2, 623), (2, TAGS)), ((2, 624), (2, 49)), ((2, 624), (3, TAGS))]
)
def test_other_shapes_are_refused(embedding, heard):
    with pytest.raises(ShapeError, match="must have shape"):
        hand_head().of(np.zeros(embedding), np.zeros(heard))
    with pytest.raises(ShapeError, match="must have shape"):
        hand_head().of(np.zeros(624), np.zeros(TAGS))


@pytest.mark.parametrize(
    "changes",
    [{"genres": ("jazz", "metal")}, {"bias": np.full(5, np.nan, np.float32)}, {"styles": ()}],
)
def test_a_head_that_does_not_fit_together_is_refused(changes):
    with pytest.raises(ShapeError, match="must be finite and of shape"):
        hand_head(**changes)
    with pytest.raises(ShapeError, match="positive"):
        hand_head(scale=np.zeros(EMBEDDING + TAGS, np.float32))


def test_it_fits_the_very_genres_in_their_order():
    head = hand_head()
    assert head.fits(["version/vocal", "genre/jazz", "genre/metal", "genre/pop"])
    assert not head.fits(["genre/metal", "genre/jazz", "genre/pop"])
    assert not head.fits(["version/vocal"])


def test_a_saved_head_is_the_same(tmp_path):
    path, head = tmp_path / "labels.safetensors", hand_head()
    sha256 = head.save(path)
    again = SongLabels.load(path, sha256=sha256)
    assert (again.genres, again.styles, again.sha256) == (head.genres, head.styles, sha256)
    assert again.save(tmp_path / "twice.safetensors") == sha256
    np.testing.assert_array_equal(
        found(again, {"jazz": 0.3}).genre, found(head, {"jazz": 0.3}).genre
    )


def test_damage_is_said(tmp_path):
    path = tmp_path / "labels.safetensors"
    with pytest.raises(MissingWeightsError, match="labels of songs"):
        SongLabels.load(path)
    hand_head().save(path)
    with pytest.raises(WeightsError, match=r"expected 000.*reinstall"):
        SongLabels.load(path, sha256="0" * 64)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(WeightsError, match="damaged"):
        SongLabels.load(path)
    about = {"format_version": 9, "genres": ["a"], "styles": []}
    path.write_bytes(save({}, {"audiorec_song_labels": json.dumps(about)}))
    with pytest.raises(WeightsError, match="format 9"):
        SongLabels.load(path)
    path.write_bytes(save({}, {"audiorec_song_labels": json.dumps(about | {"format_version": 1})}))
    with pytest.raises(WeightsError, match="damaged"):
        SongLabels.load(path)


def test_the_shipped_head_is_of_the_shipped_network_and_genres():
    from audiorec.tagger.heads import Head

    labels = SongLabels.shipped()
    genre = Head.load(shipped_head("genre"))
    assert labels.genres == genre.classes
    assert labels.backbone_sha256 == MSD.sha256 == shipped_sound().backbone_sha256
    assert labels.front_end == genre.front_end
    assert 0.5 <= labels.genre_limit < 1
    assert shipped_sound().size == EMBEDDING
    assert (data_folder() / "song_labels.safetensors").stat().st_size < 64_000

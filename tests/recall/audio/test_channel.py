"""User-audio as a channel: songs by their sound, histories by who else plays their songs."""

import numpy as np
import pytest
from made_features import EXTRACTOR, write_features
from needs import needs

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.audio.channel import UserAudio
from audiorec.recall.audio.recipe import UserAudioRecipe
from audiorec.recall.contract.checks import N_NEW, made_up_listening
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.registry import load_channel
from audiorec.store.embeddings import write_embeddings
from audiorec.store.features import FeatureFile
from audiorec.store.segments import SongSegments

QUICK = UserAudioRecipe(embedding=8, max_epochs=2)


def queries(*lists):
    return Queries(Sequences.from_lists(lists))


def share_of_first(found, row):
    return np.mean([name < "song-020" for name in found.of(row)[:10]])


def test_it_tells_two_kinds_of_music_apart():
    needs("torch")
    channel = UserAudio(QUICK).fit(made_up_listening())
    found = channel.recall(queries(["song-001", "song-003"], ["song-021"], []), 10, cold=N_NEW)
    assert share_of_first(found, 0) > 0.8
    assert share_of_first(found, 1) < 0.2
    assert found.cold[0].sum() == N_NEW
    assert found.of(2) == []  # nothing is known of who has no history
    own = {found.song_ids[s] for s in found.evidence[0, :10].tolist()}
    assert own <= {"song-001", "song-003"}


def test_a_song_that_only_sounds_is_history_enough():
    needs("torch")
    data = made_up_listening()
    channel = UserAudio(QUICK).fit(data)
    place = channel.song_ids.index("song-new-0")
    np.testing.assert_allclose(
        channel.tastes[place] / np.linalg.norm(channel.tastes[place]),
        channel.songs[place],
        atol=1e-6,
    )
    assert channel.recall(queries(["song-new-0"]), 5).of(0)


def test_any_sound_gets_an_embedding(tmp_path):
    needs("torch")
    data = made_up_listening()
    UserAudio(QUICK).fit(data).save(tmp_path / "model")
    channel = load_channel(tmp_path / "model")
    units = data.sound.units[:2]
    new = channel.embed(SongSegments(("x", "y"), units, np.arange(3)))
    np.testing.assert_allclose(new, channel.songs[:2], atol=1e-5)


def test_users_that_are_given_set_the_space(tmp_path):
    needs("torch")
    data = made_up_listening()
    owners = data.sequences.owner_ids
    users = np.eye(3, dtype=np.float32)[np.arange(len(owners)) % 2]
    write_embeddings(tmp_path / "u.parquet", owners, users, kind="users", model_id="theirs")
    recipe = UserAudioRecipe(users=str(tmp_path / "u.parquet"), max_epochs=2)
    channel = UserAudio(recipe).fit(data)
    assert channel.songs.shape[1] == 3
    assert channel.space == "theirs"
    # By hand: songs of the first kind are played by users at (1, 0, 0) alone.
    taste = channel.tastes[channel.song_ids.index("song-001")]
    np.testing.assert_allclose(taste / np.linalg.norm(taste), [1, 0, 0], atol=1e-6)
    channel.save(tmp_path / "model")
    texts = b"".join(f.read_bytes() for f in sorted((tmp_path / "model").iterdir()))
    assert str(tmp_path).encode() not in texts
    strangers = RecallData(Sequences.from_lists([["song-001", "song-002"]]), (), data.context)
    with pytest.raises(InputError, match="holds none of the log's users"):
        UserAudio(recipe).fit(strangers)


def test_features_stand_in_for_vectors(tmp_path):
    needs("torch")
    data = made_up_listening()
    write_features(tmp_path / "features.parquet", data.sound.song_ids, data.sound.units)
    sound = Sound.of_features(FeatureFile.open(tmp_path / "features.parquet"))
    channel = UserAudio(QUICK).fit(RecallData(data.sequences, data.new_songs, Context(sound=sound)))
    found = channel.recall(queries(["song-001", "song-003"], ["song-021"]), 10)
    assert share_of_first(found, 0) > 0.8
    assert share_of_first(found, 1) < 0.2
    assert channel.made_by == sound.made_by == f"features of extractor {EXTRACTOR}"


def test_what_cannot_be_learnt_is_refused():
    with pytest.raises(InputError, match="valid"):
        UserAudioRecipe(valid=1.0)
    with pytest.raises(InputError, match="positive widths"):
        UserAudioRecipe(embedding=0)
    needs("torch")
    with pytest.raises(InputError, match="user-audio: no song of the log has a vector"):
        UserAudio(QUICK).fit(RecallData(made_up_listening().sequences))

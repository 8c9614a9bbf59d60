"""User-audio as a channel: songs by their sound, histories by who else plays their songs."""

from dataclasses import replace

import numpy as np
import pytest
from good_store import write_good_store
from made_features import EXTRACTOR, write_features
from made_sound import add_lists
from needs import needs

from audiorec.errors import InputError, SpecMismatchError
from audiorec.library.library import open_store
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import Category, SongSide
from audiorec.recall.audio.channel import UserAudio
from audiorec.recall.audio.held_out import SplitPart, artist_groups, assign_parts, song_groups
from audiorec.recall.audio.model import UserAudioRecipe
from audiorec.recall.contract.checks import N_NEW, synthetic_listening
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.registry import load_channel
from audiorec.store.embeddings import write_embeddings
from audiorec.store.features import FeatureFile, SongSegments

QUICK = UserAudioRecipe(embedding=8, max_epochs=2)


def queries(*lists):
    return Queries(Sequences.from_lists(lists))


def share_of_first(found, row):
    return np.mean([name < "song-020" for name in found.of(row)[:10]])


def test_it_tells_two_kinds_of_music_apart():
    needs("torch")
    channel = UserAudio(QUICK).fit(synthetic_listening())
    found = channel.recall(queries(["song-001", "song-003"], ["song-021"], []), 10, cold=N_NEW)
    assert share_of_first(found, 0) > 0.8
    assert share_of_first(found, 1) < 0.2
    assert found.cold[0].sum() == N_NEW
    assert found.of(2) == []  # nothing is known of who has no history
    own = {found.song_ids[s] for s in found.evidence[0, :10].tolist()}
    assert own <= {"song-001", "song-003"}


def test_a_song_that_only_sounds_is_history_enough():
    needs("torch")
    data = synthetic_listening()
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
    data = synthetic_listening()
    UserAudio(QUICK).fit(data).save(tmp_path / "model")
    channel = load_channel(tmp_path / "model")
    units = data.sound.units[:2]
    new = channel.embed(SongSegments(("x", "y"), units, np.arange(3)))
    np.testing.assert_allclose(new, channel.songs[:2], atol=1e-5)


def test_users_that_are_given_set_the_space(tmp_path):
    needs("torch")
    data = synthetic_listening()
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
    data = synthetic_listening()
    write_features(tmp_path / "features.parquet", data.sound.song_ids, data.sound.units)
    sound = Sound.of_features(FeatureFile.open(tmp_path / "features.parquet"))
    channel = UserAudio(QUICK).fit(RecallData(data.sequences, data.new_songs, Context(sound=sound)))
    found = channel.recall(queries(["song-001", "song-003"], ["song-021"]), 10)
    assert share_of_first(found, 0) > 0.8
    assert share_of_first(found, 1) < 0.2
    assert channel.made_by == sound.made_by == f"features of extractor {EXTRACTOR}"


def test_what_the_network_heard_goes_before_the_vector(tmp_path):
    """Taste is in the embeddings; vectors say nothing. A model that read vectors still does."""
    needs("torch")
    data = synthetic_listening()
    path = write_good_store(tmp_path, data.song_ids)
    made = open_store(path)
    plain = Context(sound=Sound.of_store(made))
    by_vector = UserAudio(QUICK).fit(RecallData(data.sequences, data.new_songs, plain))
    assert by_vector.spec.inputs == ("vector",)
    kinds = data.sound.among(tuple(made.ids)).units
    add_lists(path, embedding=list(kinds.astype(np.float16)))
    stored = Sound.of_store(open_store(path))
    channel = UserAudio(QUICK).fit(
        RecallData(data.sequences, data.new_songs, Context(sound=stored))
    )
    assert channel.spec.inputs == ("embedding",)
    assert channel.hears == "vectors"
    found = channel.recall(queries(["song-001", "song-003"], ["song-021"]), 10)
    assert share_of_first(found, 0) > 0.8
    few = stored.among(channel.song_ids[:3])
    np.testing.assert_allclose(channel.embed_sound(few), channel.songs[:3], atol=1e-5)
    np.testing.assert_allclose(by_vector.embed_sound(few), by_vector.songs[:3], atol=1e-5)
    with pytest.raises(InputError, match=r"has no embedding.*extract FOLDER --overwrite"):
        channel.embed_sound(plain.sound)


def test_what_cannot_be_learnt_is_refused():
    with pytest.raises(InputError, match="valid"):
        UserAudioRecipe(valid=1.0)
    with pytest.raises(InputError, match="embedding must be at least 1"):
        UserAudioRecipe(embedding=0)
    needs("torch")
    with pytest.raises(InputError, match="user-audio: no song of the log has a vector"):
        UserAudio(QUICK).fit(RecallData(synthetic_listening().sequences))


def test_a_song_has_one_embedding_whichever_table_it_comes_in():
    """Units are standardised by their table; a model reads the values and standardises itself."""
    needs("torch")
    data = synthetic_listening()
    ids, values = data.song_ids, data.sound.units * np.array([3, 1, 1, 9]) + 5
    values = values.astype(np.float32)

    def table(rows):
        units = values[rows] - values[rows].mean(axis=0)
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        names = tuple(ids[row] for row in rows)
        artists = tuple(data.sound.artists[row] for row in rows)
        return Sound(names, units, artists, values=values[rows], made_by="extractor e")

    everything = Context(sound=table(np.arange(len(ids))))
    channel = UserAudio(QUICK).fit(RecallData(data.sequences, data.new_songs, everything))
    few = np.array([1, 5, 30])
    np.testing.assert_allclose(channel.embed_sound(table(few)), channel.songs[few], atol=1e-5)
    other = replace(table(few), made_by="extractor other")
    with pytest.raises(SpecMismatchError, match="trained on vectors of extractor e, got"):
        channel.embed_sound(other)


def test_disliked_songs_and_what_was_met_come_from_the_data():
    needs("torch")
    data = synthetic_listening()
    sides = {"disliked": data.sequences.newest(1), "heard": data.sequences}
    liked = replace(data, sequences=data.sequences.newest(4), **sides)
    channel = UserAudio(QUICK).fit(liked)
    assert channel.learnt_from["disliked_pairs"] == len(data.sequences)
    assert channel.learnt_from["disliked_pairs"] < channel.learnt_from["pairs"]


def test_held_out_artists_are_neither_heard_nor_counted():
    needs("torch")
    data = synthetic_listening()
    recipe = replace(QUICK, test=0.3, split_seed=2)
    groups = artist_groups(data.song_ids, data.sound.artists)
    hidden = assign_parts(data.song_ids, groups, recipe.split) == SplitPart.TEST
    assert 5 < hidden.sum() < 30
    channel = UserAudio(recipe).fit(data)
    # In a history, they speak by their sound alone.
    by_sound = channel.tastes[hidden] / np.linalg.norm(channel.tastes[hidden], axis=1)[:, None]
    np.testing.assert_allclose(by_sound, channel.songs[hidden], atol=1e-6)
    # Nothing of the model changes with who plays these songs, nor with how they sound.
    plays = data.plays
    moved = replace(plays, song=plays.song.copy())
    at = np.flatnonzero(hidden[plays.song])
    moved.song[at] = np.random.default_rng(0).permutation(plays.song[at])
    units = data.sound.among(data.song_ids).units.copy()
    units[hidden] = -units[hidden]
    sound = replace(data.sound.among(data.song_ids), units=units, values=units)
    other = UserAudio(recipe).fit(replace(data, sequences=moved, context=Context(sound=sound)))
    for name, array in channel.tower.items():
        np.testing.assert_allclose(other.tower[name], array, atol=1e-5, err_msg=name)
    shown = ~hidden & ~data.is_cold
    np.testing.assert_allclose(other.tastes[shown], channel.tastes[shown], atol=1e-5)


def test_artists_come_from_side_information_where_no_tag_names_them():
    data = synthetic_listening()
    bare = Context(sound=replace(data.sound, artists=("",) * len(data.sound.song_ids)))
    assert song_groups(["song-001"], bare) == ("song song-001",)
    names = Category(np.array([0, -1], np.int32), ("Nina",), np.zeros(2, np.bool_))
    ids, never = ("song-001", "song-002"), np.full(2, np.nan, np.float32)
    side = SongSide(song_ids=ids, categories={"artist": names}, released=never)
    groups = song_groups([*ids, "song-003"], replace(bare, side=side))
    assert groups == ("artist nina", "song song-002", "song song-003")
    tagged = song_groups(["song-001"], replace(data.context, side=side))
    assert tagged == ("artist artist 0",)

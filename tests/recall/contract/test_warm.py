"""A channel goes on from a trained one: with its weights, new songs, and no look at what it saw."""

import json
from dataclasses import replace
from math import ceil
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import needs

from audiorec.errors import InputError, SpecMismatchError, WeightsError
from audiorec.learning.next_plays import FEWEST_NEW, NextPlays, hold_out_new
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import Category, SongSide
from audiorec.recall.contract.checks import synthetic_listening
from audiorec.recall.contract.data import Context, Queries, RecallData
from audiorec.recall.contract.training import train_channel
from audiorec.recall.contract.warm import JUDGED_ON_NEW, Start
from audiorec.recall.registry import channel_class, load_channel

torch = needs("torch")

SMALL = {
    "sasrec": {"dimension": 8, "max_epochs": 6},
    "mind": {"dimension": 8, "max_epochs": 6},
    "comirec-sa": {"dimension": 8, "max_epochs": 6},
    "youtube-dnn": {"dimension": 8, "hidden": (8,), "max_epochs": 12, "batch_size": 64},
    "song2vec": {"dimension": 8, "max_epochs": 6},
    "user-audio": {"embedding": 6, "hidden": 4, "max_epochs": 6},
}
WITH_TIMES = ("sasrec", "mind", "comirec-sa", "youtube-dnn", "song2vec")
NEW = tuple(f"song-late-{n}" for n in range(4))


def made(name, **settings):
    kind = channel_class(name)
    return kind(kind.Recipe(**{**SMALL[name], **settings}))


def today():
    """Return a log of two days: on the second, 60 more users play, also four more songs."""
    before = synthetic_listening()
    rng = np.random.default_rng(5)
    songs = before.sequences.song_ids
    late = [
        [*rng.choice(songs, 5).tolist(), *rng.permutation(NEW)[:2].tolist()] for _ in range(160)
    ]
    plays, n = before.sequences, len(before.sequences.song)
    lists = [[songs[s] for s in plays[row].tolist()] for row in range(len(plays))]
    names = [*plays.owner_ids, *(f"newcomer-{row}" for row in range(len(late)))]
    whole = Sequences.from_lists([*lists, *late], names)
    time = np.append(plays.time, plays.time.max() + 60.0 * (1 + np.arange(len(whole.song) - n)))
    sound = before.context.sound
    rows = np.resize(sound.units, (len(NEW), sound.units.shape[1]))
    sound = replace(
        sound,
        song_ids=(*sound.song_ids, *NEW),
        units=np.concatenate([sound.units, rows]),
        values=np.concatenate([sound.units, rows]),
        artists=(*sound.artists, *sound.artists[: len(NEW)]),
    )
    context = replace(before.context, sound=sound)
    return RecallData(replace(whole, time=time), before.new_songs, context)


YESTERDAY, TODAY = synthetic_listening(), today()
trained = {}


def older(name):
    """Return a channel trained on the first day, the same for all tests."""
    if name not in trained:
        trained[name] = made(name).fit(YESTERDAY)
    return trained[name]


def quarter(channel):
    """Return a quarter of the epochs that a training ran, to choose their number and after."""
    best, recipe = channel.trained.epochs, channel.recipe
    return ceil((min(best + recipe.patience, recipe.max_epochs) + best) / 4)


def similarities(channel, songs=YESTERDAY.song_ids):
    """Return what the users of the first day are proposed among its songs."""
    found = np.concatenate(list(channel.blocks(Queries(YESTERDAY.sequences))))
    number = {song: row for row, song in enumerate(channel.song_ids)}
    return found[:, [number[song] for song in songs]]


@pytest.mark.parametrize("name", SMALL)
def test_it_begins_where_the_trained_one_ended(name):
    data = replace(TODAY, sequences=replace(TODAY.sequences, time=TODAY.sequences.time * np.nan))
    if name == "user-audio":  # tastes are those of today's users
        data = YESTERDAY
    first = older(name)
    found = made(name, learning_rate=1e-9).fit(data, start=first)
    assert set(found.song_ids) >= {*first.song_ids}
    learnt = [s for s, cold in zip(first.song_ids, first.is_cold, strict=True) if not cold]
    ours, theirs = similarities(found, learnt), similarities(first, learnt)
    if name == "song2vec":  # its parts are scaled by today's lists and plays
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9
    else:
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_song2vec_keeps_what_it_knows_where_nothing_is_new():
    """At the whole learning rate the correlation was 0.95, and a model lost what it had learnt."""
    first = older("song2vec")
    found = made("song2vec").fit(YESTERDAY, start=first)
    learnt = [s for s, cold in zip(first.song_ids, first.is_cold, strict=True) if not cold]
    ours, theirs = similarities(found, learnt), similarities(first, learnt)
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("name", SMALL)
def test_new_songs_are_learnt_and_the_model_names_its_parent(name, tmp_path):
    older(name).save(tmp_path / "first")
    parent = load_channel(tmp_path / "first")
    train_channel(made(name), TODAY, tmp_path / "second", start=parent)
    found = load_channel(tmp_path / "second")
    new = np.isin(found.song_ids, NEW)
    assert new.sum() == len(NEW)
    assert not found.is_cold[new].any()
    assert np.isfinite(similarities(found, NEW)).any(axis=0).all()
    assert found.parent.model_id == parent.model_id
    assert (found.parent.added_songs, found.parent.later_plays) == (4, 160 * 7)
    assert found.newest_play == TODAY.sequences.time.max()
    card = (tmp_path / "second" / "MODEL_CARD.md").read_text()
    assert f"- goes on from: {parent.model_id}\n- added songs: 4\n- later plays: 1,120\n" in card
    whole = b"".join(path.read_bytes() for path in (tmp_path / "second").iterdir())
    assert b"newcomer-" not in whole


@pytest.mark.parametrize("name", WITH_TIMES)
def test_it_is_judged_on_later_plays_before_it_learns_from_them(name):
    lines = []
    found = made(name).fit(TODAY, start=older(name), progress=lines.append)
    assert [(line["phase"], line["epoch"]) for line in lines][:2] == [("choose", 0), ("refit", 1)]
    assert found.trained.epochs == len(lines) - 1 == quarter(older(name))
    assert found.trained.judged_on == JUDGED_ON_NEW
    # What it learns now is not in the figure: at another rate the figure is the same.
    again = made(name, learning_rate=1e-9).fit(TODAY, start=older(name))
    assert found.trained.figures == again.trained.figures
    assert f"{found.trained.epochs} epochs on all data" in found.trained.words()


@pytest.mark.parametrize("name", WITH_TIMES)
def test_without_later_plays_nothing_is_judged(name):
    lines = []
    found = made(name).fit(YESTERDAY, start=older(name), progress=lines.append)
    assert [line["phase"] for line in lines] == ["refit"] * quarter(older(name))
    assert found.trained.figures == older(name).trained.figures  # the weight in a fusion stays
    assert found.trained.judged_on.startswith("the model that this one goes on from: ")


def test_a_warm_start_is_shorter_than_the_last_full_training():
    first = older("sasrec")
    recipe = first.recipe
    once = made("sasrec").fit(TODAY, start=first)
    for channel in (first, once):  # of which the second took fewer epochs
        assert Start.of(channel, channel, TODAY).recipe(recipe).max_epochs == quarter(first)
    assert (once.parent.epochs, once.parent.generation) == (first.trained.epochs, 1)
    early = SimpleNamespace(parent=None, trained=SimpleNamespace(epochs=1), name="sasrec")
    stopped = replace(Start.of(first, first, TODAY), channel=early)  # it ran 1 + 3 + 1 epochs
    assert stopped.recipe(replace(recipe, max_epochs=12, patience=3)).max_epochs == 2
    short = Start.of(first, first, TODAY).recipe(replace(recipe, max_epochs=1))
    assert short.max_epochs == 1


@given(st.data())
def test_no_play_that_the_trained_one_saw_is_judged(data):
    lengths = data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=12))
    starts = np.cumsum([0, *lengths])
    time = np.array(
        data.draw(st.lists(st.integers(0, 9), min_size=sum(lengths), max_size=sum(lengths)))
    )
    time = np.concatenate([np.sort(part) for part in np.split(time, starts[1:-1])]).astype(float)
    until = data.draw(st.integers(0, 9))
    nobody = np.zeros((len(lengths), 0), np.float32)
    plays = NextPlays(starts=starts, song=time.astype(int), time=time, n_songs=10, profile=nobody)
    held = hold_out_new(plays, time > until)
    if held is None:
        return
    assert held.judged.sum() >= FEWEST_NEW
    assert (held.learnt == (time <= until)).all()
    assert (held.judged <= ~held.learnt).all()


def test_a_log_of_the_new_day_alone_keeps_the_songs_of_before():
    of_today = TODAY.sequences.keep(TODAY.sequences.time > YESTERDAY.sequences.time.max())
    data = RecallData(of_today, (), Context(sound=TODAY.context.sound))
    first, found = older("sasrec"), made("sasrec").fit(data, start=older("sasrec"))
    assert {*first.song_ids, *NEW} == {*found.song_ids}
    assert not found.is_cold[np.isin(found.song_ids, YESTERDAY.sequences.song_ids)].any()
    assert found.parent.later_plays == len(of_today.song)


def by_artists(names):
    """Return side information with the artist of each song."""
    songs, values = tuple(sorted(names)), tuple(sorted(set(names.values())))
    number = np.array([values.index(names[song]) for song in songs], np.int32)
    artist = Category(number=number, values=values, is_heard=np.zeros(len(songs), bool))
    never = np.full(len(songs), np.nan, np.float32)
    return SongSide(song_ids=songs, categories={"artist": artist}, released=never)


def test_values_of_side_information_are_added_and_keep_their_numbers():
    ids, artists = YESTERDAY.song_ids, ["b", "c"]
    of_before = dict(zip(ids, np.resize(artists, len(ids)).tolist(), strict=True))
    first = made("sasrec").fit(replace(YESTERDAY, context=Context(side=by_artists(of_before))))
    later = by_artists({**of_before, **dict(zip(NEW, "aaab", strict=True))})
    found = made("sasrec").fit(replace(TODAY, context=Context(side=later)), start=first)
    assert first.facts.categories == {"artist": ("b", "c")}
    assert found.facts.categories == {"artist": ("b", "c", "a")}
    with pytest.raises(InputError, match="knows the artist of songs: give the same `side`"):
        made("sasrec").fit(replace(TODAY, context=Context()), start=first)


def test_a_model_names_the_logs_of_its_parent_too():
    first = made("sasrec").fit(replace(YESTERDAY, logs=("a", "b")))
    found = made("sasrec").fit(replace(TODAY, logs=("b", "c")), start=first)
    assert found.logs == ("a", "b", "c")


def test_a_stopped_one_resumes_with_the_same_weights(tmp_path):
    stop = Event()

    def after_one(line):
        stop.set()

    first = older("sasrec")
    train_channel(made("sasrec"), TODAY, tmp_path / "whole", start=first)
    stopped = train_channel(
        made("sasrec"), TODAY, tmp_path / "parts", start=first, progress=after_one, stop=stop
    )
    assert stopped is None
    train_channel(made("sasrec"), TODAY, tmp_path / "parts", start=first)
    whole, parts = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("whole", "parts"))
    assert whole == parts


def loud(data):
    """Return the data with sound of another extractor."""
    sound = replace(data.context.sound, made_by="extractor two")
    return replace(data, context=replace(data.context, sound=sound))


def quiet(data):
    """Return the data with sound of one extractor."""
    sound = replace(data.context.sound, made_by="extractor one")
    return replace(data, context=replace(data.context, sound=sound))


@pytest.mark.parametrize(
    ("name", "error"),
    [("sasrec", InputError), ("youtube-dnn", SpecMismatchError), ("user-audio", SpecMismatchError)],
)
def test_sound_of_another_extractor_is_refused(name, error):
    first = made(name).fit(quiet(YESTERDAY))
    with pytest.raises(error, match=r"trained on .*extractor one, got .*extractor two"):
        made(name).fit(loud(TODAY), start=first)


@pytest.mark.parametrize(
    ("name", "settings", "change", "says"),
    [
        ("mind", {}, {}, "mind: cannot go on from a model of sasrec"),
        ("als", {}, {}, "als: has no warm start: train without `start`"),
        ("eges", {}, {}, "eges: has no warm start"),
        ("sasrec", {"dimension": 16}, {}, "sasrec: dimension is 8 in the model .* and 16 here"),
        ("sasrec", {}, {"by": "session"}, "learnt by user, and the data is by session"),
        ("sasrec", {}, {"context": Context()}, "was trained with sound, and this is without"),
    ],
)
def test_what_does_not_fit_is_refused(name, settings, change, says):
    SMALL.setdefault(name, {})
    with pytest.raises(InputError, match=says):
        made(name, **settings).fit(replace(TODAY, **change), start=older("sasrec"))


def test_other_users_than_those_of_the_model_are_refused():
    first = made("youtube-dnn").fit(YESTERDAY)
    silent = replace(TODAY, context=Context(profiles=TODAY.context.profiles))
    with pytest.raises(InputError, match="was trained on 4 numbers of sound per song, got 0"):
        made("youtube-dnn").fit(silent, start=first)


def test_settings_that_shape_no_weight_may_differ():
    found = made("sasrec", max_epochs=12, patience=1, seed=3).fit(TODAY, start=older("sasrec"))
    assert found.trained.epochs == quarter(older("sasrec"))


def test_a_song2vec_of_an_earlier_version_is_refused(tmp_path):
    older("song2vec").save(tmp_path / "m")
    first = load_channel(tmp_path / "m")
    first.song_vectors = replace(first.song_vectors, scales=())
    with pytest.raises(InputError, match="written by an earlier version"):
        made("song2vec").fit(TODAY, start=first)


def test_a_damaged_parentage_is_refused(tmp_path):
    from audiorec.files.own_files import sealed, unsealed

    older("sasrec").save(tmp_path / "m")
    path = tmp_path / "m" / "model.json"
    content = unsealed(json.loads(path.read_text()))
    path.write_text(json.dumps(sealed({**content, "parent": {"model_id": 7}})))
    with pytest.raises(WeightsError, match="parent: model_id must be text"):
        load_channel(tmp_path / "m")

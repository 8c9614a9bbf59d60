"""SASRec as a channel: order and time are learnt, songs without a play are placed, kills cost
nothing. That two processes are one is in `tests/recall/interests/test_processes.py`."""

import multiprocessing
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from needs import needs

torch = needs("torch")


from audiorec.errors import InputError
from audiorec.learning.next_song import NextSongLearner
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.checks import synthetic_listening
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.contract.training import train_channel
from audiorec.recall.sequence.sasrec.channel import SASRec, repeated
from audiorec.recall.sequence.sasrec.forward import SASRecRecipe

SMALL = SASRecRecipe(
    dimension=16, batch_size=64, max_epochs=4, longest=10, dropout=0.1, network_rate=0.5
)


def small(**given):
    return SASRec(replace(SMALL, **given))


def walks(n=300, songs=20, seed=0):
    """Sessions around a ring: song i is followed by song i + 1."""
    rng = np.random.default_rng(seed)
    lists = [
        [(s + i) % songs for i in range(rng.integers(3, 9))] for s in rng.integers(0, songs, n)
    ]
    return Sequences.from_lists([[f"s{x:02}" for x in songs_of] for songs_of in lists])


def walks_of(plays):
    return small()._next_plays(plays, np.zeros((len(plays), 0), np.float32))


@pytest.fixture(scope="module")
def ring():
    return small(max_epochs=20, learning_rate=0.02).fit(RecallData(walks()))


def test_what_follows_is_proposed(ring):
    asked = Sequences.from_lists([["s03", "s04"], ["s18", "s19"], ["s11"]])
    found = ring.recall(Queries(asked), 3)
    assert [found.of(row)[0] for row in range(3)] == ["s05", "s00", "s12"]
    assert ring.song_ids[found.evidence[0, 0]] in {"s03", "s04"}
    assert ring.trained.figures["hit_rate@10"] > 0.9


def test_time_tells_what_order_does_not():
    """After a short gap comes song 0, after a long one song 1: only the time can say which."""
    rng = np.random.default_rng(0)
    lists, times = [], []
    for _ in range(800):
        last = int(rng.integers(2, 20))
        long = bool(rng.random() < 0.5)
        lists.append([f"s{last:02}", f"s{(last + 1) % 18 + 2:02}", "s01" if long else "s00"])
        times += [0.0, 86_400.0 * 8 if long else 4.0, 1e7]
    plays = replace(Sequences.from_lists(lists), time=1e9 + np.array(times))
    known = {}
    for relative_time in (True, False):
        channel = small(
            max_epochs=10,
            learning_rate=0.02,
            heads=4,
            valid=0.2,
            patience=10,
            relative_time=relative_time,
        ).fit(RecallData(plays))
        known[relative_time] = channel.trained.figures["ndcg"]
    # Half of the plays that are judged are in order; of the rest, half are right by chance.
    assert known[True] > 0.98
    assert known[False] < 0.95


def test_a_song_without_a_play_lies_where_its_sound_says():
    data = synthetic_listening()
    channel = small(max_epochs=15, learning_rate=0.02).fit(data)
    found = channel.recall(Queries(data.sequences), 5, cold=6)
    new = found.song[found.cold].reshape(len(found), -1)
    # All new songs come after song-0nn by id, so they sound as the second kind of music does.
    similar = np.concatenate(list(channel.blocks(Queries(data.sequences))))[:, channel.is_cold]
    odd = similar[1::2].mean() - similar[::2].mean()
    assert new.shape[1] == 6
    assert odd > 0.3
    heard = data.sound.among(channel.song_ids)
    placed = channel.embed_sound(heard)
    cold = channel.is_cold
    np.testing.assert_allclose(placed[cold], channel.song_embeddings()[cold], atol=1e-5)


def test_sound_of_another_kind_is_refused():
    data = synthetic_listening()
    channel = small(max_epochs=1).fit(data)
    with pytest.raises(InputError, match="trained on 4 numbers per song, got 3"):
        channel.embed_sound(Sound(("a",), np.ones((1, 3), np.float32), ("",)))
    deaf = small(max_epochs=1).fit(replace(data, context=Context()))
    with pytest.raises(InputError, match="trained without `vectors`"):
        deaf.embed_sound(data.sound)


def test_a_profile_counts():
    data = synthetic_listening()
    users = data.sequences.owner_ids
    halves = ["left" if n % 2 else "right" for n in range(len(users))]
    profiles = Profiles(users, {"side": halves}, {})
    known = replace(data, context=Context(profiles=profiles))
    channel = small(max_epochs=8).fit(known)
    asked = data.sequences.take(np.arange(4))
    by = [
        channel.embed_users(
            Queries(asked, profiles=Profiles(asked.owner_ids, {"side": [s] * 4}, {}))
        )
        for s in ("left", "right")
    ]
    assert np.abs(by[0] - by[1]).max() > 1e-3
    assert np.isfinite(channel.embed_users(Queries(asked))).all()


def test_a_profile_alone_is_answered():
    """Two kinds of people hear two kinds of music: who has heard nothing gets that of the kind."""
    rng = np.random.default_rng(0)
    lists = [[f"{kind}{rng.integers(10)}" for _ in range(6)] for kind in "ab" * 150]
    plays = Sequences.from_lists(lists)
    kinds = Profiles(plays.owner_ids, {"kind": list("ab" * 150)}, {})
    channel = small(max_epochs=12, learning_rate=0.02)
    channel.fit(RecallData(plays, context=Context(profiles=kinds)))
    new = ("new-1", "new-2", "new-3")
    people = Profiles(new, {"kind": ["a", "b", None]}, {})
    queries = Queries(Sequences.from_lists([[], [], []], new), profiles=people)
    found = channel.recall(queries, 5)
    assert ["".join(song[0] for song in found.of(row)) for row in range(3)] == [
        "aaaaa",
        "bbbbb",
        "",
    ]
    assert channel.songs_used(queries).tolist() == [0, 0, 0]
    assert channel.embed_users(queries).any(axis=1).tolist() == [True, True, False]


def test_favourites_count_for_what_comes_later():
    """Half of the users have liked a song of one kind before, and play that kind after a song that
    tells nothing: what they like says which."""
    rng = np.random.default_rng(0)
    users = [f"u{n}" for n in range(400)]
    kinds = ["a" if n % 2 else "b" for n in range(400)]
    lists = [["x", *(f"{k}{rng.integers(8)}" for _ in range(3))] for k in kinds]
    plays = Sequences.from_lists(lists, users)
    plays = replace(plays, time=np.tile([100.0, 200.0, 300.0, 400.0], 400))
    liked = Sequences.from_lists([[f"{k}0"] for k in kinds], users)
    liked = replace(liked, time=np.full(400, 50.0))
    context = Context(favourites=liked)
    channel = small(max_epochs=8, learning_rate=0.02).fit(RecallData(plays, context=context))
    first = (
        replace(plays, starts=plays.starts).take(np.arange(40)).keep(np.tile([1, 0, 0, 0], 40) > 0)
    )
    found = channel.recall(context.queries_of(first), 4, exclude=first)
    right = [{song[0] for song in found.of(row)} == {kinds[row]} for row in range(40)]
    assert np.mean(right) > 0.9
    late = replace(liked, time=np.full(400, 150.0))  # what is liked later says nothing
    other = channel.recall(Context(favourites=late).queries_of(first), 4, exclude=first)
    assert len({tuple(other.of(row)) for row in range(40)}) == 1


def test_what_never_comes_twice_is_not_proposed_again():
    """Around the ring the newest song is never next, though no song lies nearer to the query."""
    seen = {}
    lists = [[*songs, songs[0]] for songs in [[s % 20 for s in range(a, a + 6)] for a in range(20)]]
    again = Sequences.from_lists([[f"s{x:02}" for x in songs] for songs in lists * 15])
    assert repeated(walks_of(again)) > 0.1 > repeated(walks_of(walks())) == 0
    for repeats in (True, False):
        channel = small(max_epochs=20, learning_rate=0.02, repeats=repeats).fit(RecallData(again))
        found = channel.recall(Queries(Sequences.from_lists([["s03", "s04"], ["s18", "s19"]])), 20)
        seen[repeats] = [found.of(0).index("s04"), found.of(1).index("s19")]
    assert min(seen[True]) > max(seen[False])


def test_sessions_cap_gaps_as_they_were_learnt():
    plays = walks()
    timed = replace(plays, time=np.arange(len(plays.song)) * 3_600.0)
    channel = small(max_epochs=1, session_gap_s=1_800.0).fit(RecallData(timed))
    assert np.diff(channel._next_plays(timed, np.zeros((300, 0), np.float32)).time).min() > 365e3
    same = Queries(replace(timed, time=timed.time * 2).take(np.arange(20)))
    # An hour and two are other sessions alike.
    one = np.concatenate(list(channel.blocks(Queries(timed.take(np.arange(20))))))
    assert np.allclose(one, np.concatenate(list(channel.blocks(same))), atol=1e-6)


@pytest.mark.parametrize("setting", [{"shared_table": False}, {"log_q": False}, {"negatives": 8}])
def test_ablations_learn_save_and_load(setting, tmp_path):
    channel = small(max_epochs=2, **setting).fit(synthetic_listening())
    channel.save(tmp_path / "model")
    loaded = SASRec.load(tmp_path / "model")
    queries = Queries(synthetic_listening().sequences)
    assert np.array_equal(loaded.recall(queries, 5).song, channel.recall(queries, 5).song)


def train_until_it_dies(out, at):
    """Train in a forked process, which imports nothing anew, and is killed before a step."""
    step, steps = NextSongLearner.step, []

    def dying(self, batch):
        steps.append(batch)
        if len(steps) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, batch)

    def train():
        NextSongLearner.step = dying
        train_channel(small(), synthetic_listening(), out)

    process = multiprocessing.get_context("fork").Process(target=train)
    process.start()
    process.join(120)
    return process.exitcode


def test_a_kill_in_either_phase_costs_nothing(tmp_path):
    data = synthetic_listening()
    train_channel(small(), data, tmp_path / "whole")
    whole = SASRec.load(tmp_path / "whole")
    steps = small().recipe.max_epochs * 4
    # Behind the first epoch, whose end leaves the first state.
    for number, at in enumerate((int(np.random.default_rng().integers(10, steps)), steps + 6)):
        out = tmp_path / str(number)
        assert train_until_it_dies(out, at) == -signal.SIGKILL
        assert not out.exists()
        states = {path.name for path in out.with_name(f"{number}.run").iterdir()}
        assert "choose.safetensors" in states
        train_channel(small(), data, out)
        again = SASRec.load(out)
        assert np.abs(again.songs - whole.songs).max() < 1e-6
        assert all(np.abs(again.weights[n] - w).max() < 1e-6 for n, w in whole.weights.items())

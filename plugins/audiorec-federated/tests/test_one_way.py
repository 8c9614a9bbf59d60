"""One-way: what the SVD and the ridge compute, one table that crosses once, parties that die."""

import threading
from itertools import pairwise

import numpy as np
import pytest
from direct_transport import Direct, Dying, KilledError, Served
from one_way_world import SMALL, USERS, people, plays

from audiorec.errors import InputError, LostPeerError, ProtocolError, SpecMismatchError
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import Context, RecallData
from audiorec.recall.registry import load_channel
from audiorec_federated.exchange import Shared, VectorsHost, finish
from audiorec_federated.link import Caller, PartyRun, keep_trying
from audiorec_federated.noise import Defence
from audiorec_federated.one_way import OneWay, fit_songs, fit_users, rows_of
from audiorec_federated.protocol import MessageKind, decode, pack, parts_of
from audiorec_federated.recipe import OneWayRecipe


def test_vectors_are_the_left_singular_vectors_times_the_squared_values():
    """Worked by another way: the weighted rows as a plain matrix, and numpy's SVD of it."""
    shown = Profiles(("u", "v", "w", "x"), {"items": ["a|b", "a", "b|c", "c"]}, {})
    model = fit_users(shown, OneWayRecipe(dimension=3))
    rows = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]]) * np.log(4 / 2)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    left, values, _ = np.linalg.svd(rows)
    expected = left[:, :3] * values**2
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = model.embed(shown)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-6)


def test_a_newcomer_is_embedded_as_the_same_row_of_the_table():
    model = fit_users(people(), SMALL)
    twin = Profiles(("new",), {"interests": ["a1|b1|c1|unheard"]}, {"age": np.array([21.0])})
    np.testing.assert_allclose(model.embed(twin)[0], model.embed(people())[1], atol=1e-6)
    nobody = Profiles(("nobody",), {"interests": ["unheard"]}, {"age": np.array([np.nan])})
    assert not model.embed(nobody).any()


def test_songs_are_a_ridge_regression_worked_by_hand():
    """Two users on the axes; of one song each, and the constant is hardly regularised."""
    vectors = np.eye(2, dtype=np.float32)
    heard = Sequences.from_lists([["s", "s"], ["t"]], ["u", "v"])
    songs, prior = fit_songs(vectors, heard, OneWayRecipe(dimension=2, regularisation=1.0))
    # By symmetry s - t is orthogonal to the constant: coefficients +-1/2 / (1/2 + 1/2) / 2.
    np.testing.assert_allclose(songs[0] - songs[1], [0.5, -0.5], atol=1e-6)
    np.testing.assert_allclose(prior[0], prior[1], atol=1e-7)
    assert prior[0] == pytest.approx(0.5, abs=1e-3)


def test_a_user_without_a_vector_counts_for_the_prior_alone():
    vectors = np.array([[1, 0], [0, 0]], np.float32)
    one = Sequences.from_lists([["s"], []], ["u", "v"])
    both = Sequences.from_lists([["s"], ["s"]], ["u", "v"])
    recipe = OneWayRecipe(dimension=2)
    (songs, prior), (more, higher) = (fit_songs(vectors, p, recipe) for p in (one, both))
    assert higher[0] > prior[0]
    assert abs(more[0, 0]) < abs(songs[0, 0]) + 1e-6
    silent = np.array([[1, 0], [0, 1]], np.float32)  # v plays nothing: no row at all
    for ours, alone in zip(
        fit_songs(silent, one, recipe), fit_songs(silent[:1], one.take([0]), recipe), strict=True
    ):
        np.testing.assert_allclose(ours, alone, atol=1e-7)


def test_the_plays_that_are_learnt_from_stay_as_they_were():
    data = plays()
    before = data.sequences.song.tobytes(), data.sequences.starts.tobytes()
    fit_songs(np.ones((60, 2), np.float32), data.sequences, SMALL)
    assert (data.sequences.song.tobytes(), data.sequences.starts.tobytes()) == before


def test_without_profiles_or_columns_there_is_nothing_to_learn_users_from():
    with pytest.raises(InputError, match="one-way: needs a table of user profiles"):
        OneWay(SMALL).fit(plays())
    nothing = Profiles(USERS, {"interests": [None] * len(USERS)}, {})
    with pytest.raises(InputError, match="the table of users has no column to learn from"):
        fit_users(nothing, SMALL)
    strangers = RecallData(plays().sequences, (), Context(profiles=people(("x", "y"))))
    with pytest.raises(InputError, match="no user known to both sides has a play"):
        OneWay(SMALL).fit(strangers)


class Music(Served):
    """The music side in a thread."""

    def __init__(self, *, recipe=SMALL, data=None, fit=None, dies=0, acted=False, wait_s=20.0):
        self.data, self.recipe, self.fit, self.fits = data or plays(), recipe, fit, 0
        self.saved = None
        shared = Shared(recipe=recipe, users=len(USERS), alignment="a" * 64)
        how = PartyRun(wait_s=wait_s)
        super().__init__(VectorsHost(shared, how, self._save), how, dies=dies, acted=acted)

    def _save(self, vectors, space):
        self.fits, self.vectors = self.fits + 1, vectors
        if self.fit is not None:
            self.fit()
        self.saved = OneWay.of_vectors(self.recipe, self.data, USERS, vectors, space=space)

    def join(self):
        super().join()
        return self


def sent(music, *, vectors=None, wrap=Direct, observer=None, recipe=SMALL, timeout_s=20, **how):
    """Run the partner to its end; return whether it wrote its model."""
    written = []
    found = fit_users(people(), recipe).embed(people()) if vectors is None else vectors
    shared = Shared(recipe=recipe, users=len(USERS), alignment="a" * 64)
    run = PartyRun(**{"wait_s": 20.0, **how})

    def talk(caller):
        shared.greet(caller)
        finish(caller, found, "ab" * 8, run, lambda: written.append(True))

    keep_trying(lambda: Caller(wrap(music().desk, observer), timeout_s=timeout_s), talk, run)
    return bool(written)


def test_two_parties_get_what_one_process_gets_bit_for_bit(tmp_path):
    music = Music()
    assert sent(lambda: music)
    music.join()
    known = RecallData(plays().sequences, (), Context(profiles=people()))
    central = OneWay(SMALL).fit(known)
    np.testing.assert_array_equal(music.saved.songs, central.songs)
    np.testing.assert_array_equal(music.saved.prior, central.prior)
    assert music.saved.trained.figures == central.trained.figures
    music.saved.save(tmp_path / "model")
    loaded = load_channel(tmp_path / "model")
    assert (loaded.space, loaded.users) == ("ab" * 8, None)
    assert "gets nothing back" in (tmp_path / "model" / "MODEL_CARD.md").read_text()


def test_one_table_crosses_and_the_answers_do_not_depend_on_plays():
    """The music side answers alike whoever plays what, but for the nonce of the session."""
    told = []
    for seed in (0, 1):
        heard, music = [], Music(data=plays(seed=seed))
        sent(lambda music=music: music, observer=heard.append)
        music.join()
        told.append([decode(data) for data in heard])
    asked = [MessageKind.TABLE, MessageKind.FINISH, MessageKind.FINISH]
    kinds = [message.kind for message in told[0]]
    assert kinds[:2] == [MessageKind.HELLO, MessageKind.WELCOME]
    assert kinds[2::2] == asked
    assert set(kinds[3::2]) == {MessageKind.NOTED}
    for first, second in zip(*(one[3::2] for one in told), strict=True):
        assert (first.fields, first.payload) == (second.fields, second.payload) == ({}, b"")


# The fourth message is the last one: after it, both have their models.
@pytest.mark.parametrize(
    ("left", "heard"), [*((n, True) for n in (1, 2, 3)), *((n, False) for n in (1, 2, 3, 4))]
)
def test_a_partner_that_dies_sends_the_same_bytes_again(left, heard):
    whole, music = [], Music()
    Dying.left, Dying.heard = left, heard
    with pytest.raises(KilledError):
        sent(lambda: music, wrap=Dying, observer=whole.append)
    done = sent(lambda: music, observer=whole.append)
    music.join()
    tables = [m.payload for m in map(decode, whole) if m.kind == MessageKind.TABLE]
    assert done
    assert len(set(tables)) == 1
    assert music.fits == 1
    reference = Music()
    sent(lambda: reference)
    np.testing.assert_array_equal(music.saved.songs, reference.join().saved.songs)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_music_side_that_dies_is_sent_the_table_again(after):
    first = Music(dies=after)
    parties = [first]

    def find():
        if not first.thread.is_alive() and len(parties) == 1:
            parties.append(Music())
        return parties[-1]

    assert sent(find)
    assert isinstance(first.error, KilledError)
    if after < 3:  # else it had written its model, and nothing is missing
        assert parties[-1].join().saved is not None


def test_a_fit_that_takes_longer_than_the_time_limit_runs_once():
    slow = threading.Event()
    music = Music(fit=lambda: slow.wait(1.5))
    assert sent(lambda: music, timeout_s=0.4)
    assert music.join().fits == 1


def test_a_table_that_is_longer_than_allowed_is_shortened():
    """What is released later is bounded by the length of a vector: the music side sees to it."""
    music = Music()
    vectors = np.full((len(USERS), 4), 100.0, np.float32)
    vectors[3] = 0.25  # of length 0.5
    sent(lambda: music, vectors=vectors)
    lengths = np.linalg.norm(music.join().vectors, axis=1)
    assert lengths.max() <= 1 + 1e-6
    assert lengths[3] == pytest.approx(0.5)


def test_numbers_that_are_not_finite_end_the_session():
    music = Music()
    vectors = np.zeros((len(USERS), 4), np.float32)
    vectors[5, 1] = np.nan
    with pytest.raises(Exception, match="finite numbers"):
        sent(lambda: music, vectors=vectors, wait_s=0.1)
    with pytest.raises(ProtocolError, match="finite numbers"):
        music.join()


def test_a_table_of_other_rows_is_refused():
    music = Music()
    with pytest.raises(Exception, match=f"expected .*total {len(USERS)}"):
        sent(lambda: music, vectors=np.zeros((10, 4), np.float32), wait_s=0.1)


def test_other_settings_and_another_alignment_are_refused_by_name():
    music = Music()
    with pytest.raises(Exception, match=r"regularisation is 2\.0 there, 1\.0 here"):
        sent(lambda: music, recipe=OneWayRecipe(dimension=4, regularisation=2.0))
    with pytest.raises(SpecMismatchError, match="regularisation"):
        music.join()


def test_a_partner_that_is_told_to_stop_writes_nothing():
    stop, music = threading.Event(), Music(wait_s=0.5)
    stop.set()
    assert not sent(lambda: music, stop=stop)
    with pytest.raises(LostPeerError):
        music.join()


def test_nobody_there_is_an_error_after_a_while():
    music = Music(wait_s=0.2)
    with pytest.raises(LostPeerError):
        music.join()


def test_vectors_may_cross_as_float16():
    heard, music = [], Music()
    sent(lambda: music, observer=heard.append, defence=Defence(rounding="float16"))
    music.join()
    table = next(m for m in map(decode, heard) if m.kind == MessageKind.TABLE)
    assert (table["dtype"], len(table.payload)) == ("float16", 2 * len(USERS) * 4)


def test_parts_cover_a_table_of_any_size_within_the_limit_of_a_message():
    for total, width in ((0, 64), (1, 4096), (65_536, 64), (200_000, 64), (5_000, 4096)):
        parts = list(parts_of(total, width))
        assert parts[0].start == 0
        assert parts[-1].stop == total
        assert all(a.stop == b.start for a, b in pairwise(parts))
        widest = max(part.stop - part.start for part in parts)
        pack(np.zeros((min(widest, 10), width), np.float32))
        assert widest * width * 4 <= 32 << 20


def test_rows_follow_the_owners():
    vectors = np.arange(4, dtype=np.float32).reshape(2, 2)
    found = rows_of(("b", "c", "a"), ("a", "", "b")[::2], vectors)
    assert found.tolist() == [[2, 3], [0, 0], [0, 1]]

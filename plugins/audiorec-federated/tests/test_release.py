"""Releases with a promise: two accountants, one user's reach, the ledger, an audit by canaries."""

import json
from dataclasses import replace

import federated_attacks as attacks
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import needs
from one_way_world import USERS, people, plays
from scipy.integrate import trapezoid

from audiorec.errors import InputError, SpecMismatchError, StoreError
from audiorec.listening.sequences import Sequences
from audiorec_federated.ledger import (
    Budget,
    Ledger,
    LedgerEntry,
    delta_of,
    epsilon_of,
    noise_for,
    note_ids,
    note_release,
    note_vectors,
)
from audiorec_federated.one_way import OneWay, Release
from audiorec_federated.recipe import OneWayRecipe
from audiorec_federated.release import (
    COUNTS,
    NUMBERS,
    SENSITIVITY,
    inputs_of,
    noised,
    numbers_of,
    released,
    scale_of,
    songs_of,
)

DELTA = 1e-5
RECIPE = OneWayRecipe(dimension=12)
EIGHT = Release(epsilon=8.0, delta=DELTA, noise=noise_for(8.0, DELTA))
PEER = "a" * 64


def world(n=30, songs=12, seed=0):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, RECIPE.dimension)).astype(np.float32)
    names = tuple(f"song-{s:02}" for s in range(songs))
    lists = [[names[s] for s in rng.integers(0, songs, rng.integers(0, 6))] for _ in range(n)]
    plays = Sequences.from_lists(lists, [f"user-{u:03}" for u in range(n)]).among(names)
    return vectors, plays


def test_epsilon_and_delta_of_a_gaussian_release_worked_by_numbers():
    """The privacy loss of N(0, 1) against N(1, s = 1), integrated numerically."""
    grid = np.linspace(-12, 13, 2_000_001)
    with_user = np.exp(-((grid - 1) ** 2) / 2) / np.sqrt(2 * np.pi)
    without = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    surplus = np.maximum(0, with_user - np.exp(1.5) * without)
    assert delta_of(1.0, 1.5) == pytest.approx(trapezoid(surplus, grid), rel=1e-6)


@given(
    st.lists(st.floats(0.3, 20), min_size=1, max_size=6),
    st.sampled_from([1e-8, 1e-5, 1e-3]),
)
@settings(max_examples=60, deadline=None)
def test_releases_add_up_and_never_cancel(noises, delta):
    whole = epsilon_of(noises, delta)
    assert whole >= max(epsilon_of([noise], delta) for noise in noises) * (1 - 1e-9)
    assert whole == pytest.approx(epsilon_of(sorted(noises), delta))
    assert epsilon_of([*noises, 5.0], delta) > whole


@pytest.mark.parametrize("epsilon", [0.1, 1, 2, 4, 8, 16])
def test_noise_for_an_epsilon_gives_that_epsilon_and_no_more(epsilon):
    noise = noise_for(epsilon, DELTA)
    assert epsilon - 1e-6 < epsilon_of([noise], DELTA) <= epsilon * (1 + 1e-9)
    assert delta_of(noise, epsilon) <= DELTA
    assert delta_of(noise * 0.999, epsilon) > DELTA


@pytest.mark.parametrize("noises", [[0.344], [0.6], [1.08], [3.73], [2.0] * 3, [1.2, 0.693]])
def test_a_second_accountant_says_the_same(noises):
    """`dp-accounting` composes privacy losses numerically, on a grid: it may say a bit more."""
    needs("dp_accounting")
    from dp_accounting.pld import privacy_loss_distribution as pld

    whole = pld.from_gaussian_mechanism(noises[0])
    for noise in noises[1:]:
        whole = whole.compose(pld.from_gaussian_mechanism(noise))
    assert epsilon_of(noises, DELTA) == pytest.approx(whole.get_epsilon_for_delta(DELTA), rel=1e-4)


def test_counts_and_moments_together_tell_as_much_as_is_claimed():
    both = [EIGHT.noise / share**0.5 for share in (COUNTS, 1 - COUNTS)]
    assert epsilon_of(both, DELTA) == pytest.approx(8)


def test_what_cannot_be_promised_is_refused():
    for epsilon, delta in ((0.0, DELTA), (-1.0, DELTA), (2_000.0, DELTA), (1.0, 0.0), (1.0, 1.0)):
        with pytest.raises(InputError, match="must be in"):
            noise_for(epsilon, delta)
    assert epsilon_of([], DELTA) == 0
    assert epsilon_of([1e-3], DELTA) == float("inf")


def inputs_and_numbers(vectors):
    numbers, mean = numbers_of(vectors, scale_of(vectors))
    return inputs_of(numbers), numbers, mean


@given(st.integers(0, 29), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_one_user_changes_counts_and_moments_by_the_sensitivity_at_most(user, seed):
    """In deviations of the noise, both together: a Gaussian release of the noise that is claimed.

    Songs are chosen alike with and without the user, as they are after any outcome of the counts.
    """
    vectors, plays = world(seed=seed)
    inputs, *_ = inputs_and_numbers(vectors * np.float32(10.0 ** (seed % 7 - 3)))
    lists = [[] if n == user else plays[n].tolist() for n in range(len(plays))]
    names = [[plays.song_ids[song] for song in own] for own in lists]
    without = Sequences.from_lists(names, plays.owner_ids).among(plays.song_ids)
    high = 100.0 * np.random.default_rng(seed).choice([-1, 1], (len(plays.song_ids), 1))

    def draw(shape):
        return high if shape == high.shape else np.zeros(shape)

    one, other = (noised(inputs, each, EIGHT.noise, draw=draw) for each in (plays, without))
    np.testing.assert_array_equal(one.chosen, np.flatnonzero(high > 0))
    counts = np.linalg.norm(one.counts - other.counts)
    moments = np.linalg.norm(one.moments - other.moments) / one.noise
    assert one.noise == other.noise
    assert np.hypot(counts, moments) <= 1 / EIGHT.noise
    if len(plays[user]):  # it is reached
        assert counts == pytest.approx(COUNTS**0.5 / EIGHT.noise, rel=1e-5)
    if np.isin(plays[user], one.chosen).any():
        assert np.hypot(counts, moments) == pytest.approx(1 / EIGHT.noise, rel=1e-5)


def test_little_noise_brings_back_what_songs_were_made_from():
    """Songs of planted plays, exp(a + x · b): their order for each user is that of the truth."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(20_000, RECIPE.dimension)).astype(np.float32)
    _, numbers, mean = inputs_and_numbers(vectors)
    likely = np.exp(np.linspace(-5, -3, 12) + numbers @ rng.normal(size=(NUMBERS, 12)))
    played = rng.random(likely.shape) < likely
    names = tuple(f"song-{s:02}" for s in range(12))
    lists = [[names[s] for s in np.flatnonzero(row)] for row in played]
    plays = Sequences.from_lists(lists, [f"{n:05}" for n in range(len(lists))]).among(names)
    channel = released(vectors, plays, replace(EIGHT, noise=0.01), RECIPE)
    found = channel.similarities((numbers + mean).astype(np.float32))
    right = [np.corrcoef(f, t)[0, 1] for f, t in zip(found, np.log(likely), strict=True)]
    assert np.mean(right) > 0.95


def test_a_song_that_does_not_stand_out_has_no_vector_and_a_low_prior():
    vectors, _ = world()
    inputs, numbers, mean = inputs_and_numbers(vectors)
    names = ("loud", "quiet", "silent")
    plays = Sequences.from_lists([["loud"]] * 29 + [["quiet"]], map(str, range(30))).among(names)
    found = noised(inputs, plays, EIGHT.noise, draw=np.zeros)
    songs, prior = songs_of(found, numbers, mean)
    assert found.chosen.tolist() == [0]
    assert not songs[1:].any()
    assert prior[0] > prior[1] > prior[2]
    nothing = noised(inputs, plays, 1_000.0, draw=np.zeros)
    songs, prior = songs_of(nothing, numbers, mean)
    assert not songs.any()
    assert np.isfinite(prior).all()


def test_noise_is_drawn_anew_and_has_the_deviation_that_is_claimed():
    vectors, plays = world(songs=40_000)
    silent = plays.take(np.arange(len(plays))).keep(np.zeros(len(plays.song), np.bool_))
    inputs, *_ = inputs_and_numbers(vectors)
    first, second = (noised(inputs, silent, EIGHT.noise) for _ in range(2))
    assert abs(np.corrcoef(first.counts, second.counts)[0, 1]) < 0.03
    assert not np.array_equal(first.chosen, second.chosen)
    for one in (first, second):  # 40,000 and some 8,000 numbers: known to 0.4 and 0.8 %
        assert one.counts.std() == pytest.approx(1, rel=0.02)
        assert one.moments.std() == pytest.approx(one.noise, rel=0.03)
        assert one.noise == pytest.approx(EIGHT.noise * SENSITIVITY / (1 - COUNTS) ** 0.5)


def test_a_bundle_tells_nothing_but_its_noised_songs(tmp_path):
    """Of two worlds that differ in the plays, all else in the bundle is the same."""
    bundles = []
    for seed in (0, 1):
        vectors, _ = world()
        _, plays = world(seed=seed)
        channel = released(vectors, plays, EIGHT, RECIPE, space="ab" * 8)
        channel.save(tmp_path / str(seed))
        config = json.loads((tmp_path / str(seed) / "model.json").read_text())
        bundles.append({n: v for n, v in config.items() if n not in ("model_id", "sha256")})
        loaded = OneWay.load(tmp_path / str(seed))
        assert not loaded.is_cold.any()
        assert (loaded.logs, loaded.trained.figures, loaded.users) == ((), {}, None)
        assert replace(loaded.release, scale=()) == EIGHT
        card = (tmp_path / str(seed) / "MODEL_CARD.md").read_text()
        assert "epsilon 8 and delta 1e-05" in card
        assert "not covered" in card
    hidden = [
        {n: v for n, v in one.items() if "sha" not in n and "digest" not in n} for one in bundles
    ]
    for one in hidden:
        one.pop("files", None)
    assert hidden[0] == hidden[1]


def shown_by(noise):
    """Return the lower bound that an audit of one run gets on a release with some noise."""
    vectors, plays = world()
    guesses, right = attacks.audited(vectors, plays, noise, members=1_000, seed=3)
    return attacks.lower_bound(1_000, guesses, right, DELTA, error=1e-3)


@pytest.mark.parametrize("epsilon", [1.0, 4.0, 8.0])
def test_canaries_show_less_than_what_is_claimed(epsilon):
    shown = shown_by(noise_for(epsilon, DELTA))
    assert shown < epsilon
    assert epsilon < 4 or shown > 0.5  # the audit sees something


def test_canaries_show_more_than_what_is_claimed_if_the_noise_is_too_small():
    assert shown_by(noise_for(1.0, DELTA) / 8) > 1.0


def test_the_bound_of_an_audit_worked_by_hand():
    """Without delta: all of r right has the chance q^r, so q = error^(1/r)."""
    right = 0.05 ** (1 / 100)
    expected = np.log(right / (1 - right))
    assert attacks.lower_bound(1_000, 100, 100, 1e-30) == pytest.approx(expected, abs=1e-4)
    assert attacks.lower_bound(1_000, 100, 55, DELTA) == 0
    assert attacks.lower_bound(1_000, 100, 100, DELTA) < expected
    assert attacks.lower_bound(1_000, 0, 0, DELTA) == 0


BUDGET = Budget(epsilon=8.0, delta=DELTA, ids_a_day=100)


def test_a_ledger_adds_up_and_refuses_what_is_beyond_the_budget(tmp_path):
    path = tmp_path / "ledger.json"
    noise = noise_for(5.0, DELTA)
    assert note_release(path, BUDGET, PEER, 10, noise) == pytest.approx(5.0)
    both = note_release(path, BUDGET, "b" * 64, 10, noise)  # another partner counts as well
    assert both == pytest.approx(epsilon_of([noise, noise], DELTA))
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"releases so far have epsilon 7\.\d+; with this one 9\."):
        note_release(path, BUDGET, PEER, 10, noise)
    assert path.read_bytes() == before
    with pytest.raises(InputError, match="beyond the budget of 0 at delta"):
        note_release(tmp_path / "new.json", Budget(), PEER, 10, noise)
    assert [entry.what for entry in Ledger.read(path).entries] == ["release", "release"]
    assert not list(tmp_path.glob("*.run"))


def test_a_ledger_that_was_changed_lets_nothing_through(tmp_path):
    path = tmp_path / "ledger.json"
    note_release(path, BUDGET, PEER, 10, 2.0)
    whole = path.read_text()
    for text in (whole.replace("2.0", "9.0"), whole[:-5], "[]", '{"schema": "other/1"}'):
        path.write_text(text)
        with pytest.raises(StoreError, match=r"ledger\.json"):
            note_release(path, BUDGET, PEER, 10, 2.0)
        assert path.read_text() == text
    with pytest.raises(InputError, match="an entry of vectors with noise"):
        LedgerEntry(what="vectors", at="2026-01-01T00:00:00+00:00", peer=PEER, count=1, noise=1.0)
    with pytest.raises(InputError, match="without a time zone"):
        LedgerEntry(what="ids", at="2026-01-01T00:00:00", peer=PEER, count=1)


def test_ids_are_limited_by_peer_and_day(tmp_path):
    from datetime import UTC, datetime, timedelta

    path, now = tmp_path / "ledger.json", datetime.now(UTC)
    old = LedgerEntry(
        what="ids", at=(now - timedelta(hours=25)).isoformat(), peer=PEER, count=1_000
    )
    Ledger(path, (old,)).write()
    assert note_ids(path, BUDGET, PEER, 60, "c" * 64) == ""
    assert Ledger.read(path).entries[-1].commitment == "c" * 64
    refused = "50 ids after 60 within a day; this side allows 100 (ids_a_day)"
    assert note_ids(path, BUDGET, PEER, 50) == refused
    assert note_ids(path, BUDGET, "b" * 64, 50) == ""
    assert note_ids(path, BUDGET, PEER, 40) == ""
    assert note_ids(path, Budget(ids_a_day=0), PEER, 10**8) == ""  # no limit
    note_vectors(path, PEER, 5)
    counts = [(entry.what, entry.count) for entry in Ledger.read(path).entries]
    assert counts[1:] == [("ids", 60), ("ids", 50), ("ids", 40), ("ids", 10**8), ("vectors", 5)]


def test_a_budget_that_makes_no_sense_is_refused():
    for wrong in ({"epsilon": -1.0}, {"delta": 0.0}, {"ids_a_day": -1}, {"least_users": 0}):
        with pytest.raises(InputError):
            Budget(**wrong)


def plan_of(folder, role, **more):
    from audiorec_federated.plan import PartyPlan

    text = "\n".join(f"{name} = {value}" for name, value in more.items())
    other = "partner" if role == "music" else "music"
    (folder / f"{role}.toml").write_text(
        f'[federated]\nrole = "{role}"\nkeys = "keys"\npeer = "{other}.pem"\n'
        f'address = "127.0.0.1:1"\n{text}\n'
    )
    return PartyPlan.read(folder / f"{role}.toml")


def test_a_plan_without_members_or_catalogue_is_refused_before_anything_is_counted(tmp_path):
    from audiorec_federated.alignment import Alignment, write_alignment
    from audiorec_federated.release import complete, release

    (tmp_path / "plays.csv").write_text(
        "user_id,song_id,timestamp,event\nu,s,1700000000,finish\nv,t,1700000000,finish\n"
    )
    (tmp_path / "ids.txt").write_text("u\nv\n")
    (tmp_path / "side.csv").write_text("song_id,artist\ns,a\nt,b\n")
    write_alignment(tmp_path / "aligned.parquet", Alignment(("u", "v"), ("a" * 64,)))
    log = {"interactions": '"plays.csv"', "budget": "{ epsilon = 8.0 }"}
    for more in ({}, {"ids": '"ids.txt"'}, {"side": '"side.csv"'}):
        with pytest.raises(InputError, match="a release needs a catalogue and members"):
            release(plan_of(tmp_path, "music", **log, **more), 4.0, tmp_path / "out")
    towers = plan_of(tmp_path, "music", **log, model='"two-tower"')
    with pytest.raises(InputError, match="two-tower cannot be released: only one-way has a bound"):
        release(towers, 4.0, tmp_path / "out")
    with pytest.raises(InputError, match="only the music side releases"):
        release(plan_of(tmp_path, "partner"), 4.0, tmp_path / "out")
    with pytest.raises(InputError, match="only the partner side completes a release"):
        complete(plan_of(tmp_path, "music"), tmp_path / "out", tmp_path / "all")
    assert not (tmp_path / "ledger.json").exists()


def test_a_release_and_the_partner_s_model_make_a_channel_for_profiles(tmp_path):
    from audiorec_federated.one_way import fit_users
    from audiorec_federated.release import complete

    model = fit_users(people(), RECIPE)
    data = plays()
    heard = data.plays.of_owners(USERS)
    channel = released(model.embed(people()), heard, EIGHT, RECIPE, space="ab" * 8, draw=np.zeros)
    channel.save(tmp_path / "out")
    OneWay.of_partner(model, space="ab" * 8).save(tmp_path / "model")
    plan = plan_of(tmp_path, "partner")
    complete(plan, tmp_path / "out", tmp_path / "all")
    whole = OneWay.load(tmp_path / "all")
    scale = np.array(channel.release.scale)
    expected = channel.similarities(sum(numbers_of(model.embed(people()), scale)))
    found = whole.similarities(whole.users.embed(people()))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert whole.release == channel.release == replace(EIGHT, scale=channel.release.scale)
    OneWay.of_partner(model, space="cd" * 8).save(tmp_path / "model")
    with pytest.raises(SpecMismatchError, match="was made for the space abab"):
        complete(plan, tmp_path / "out", tmp_path / "all")
    other = OneWay.of_vectors(RECIPE, data, USERS, model.embed(people()), space="cd" * 8)
    other.save(tmp_path / "plain")
    with pytest.raises(InputError, match="not a release"):
        complete(plan, tmp_path / "plain", tmp_path / "all")

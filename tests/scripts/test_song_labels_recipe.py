"""The recipe of the head for whole songs: rows, estimates, limits, and the card of its figures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from needs import needs

needs("torchaudio")
ROOT = Path(__file__).parents[2]
import head_open
import head_songs
import song_labels_page
from head_features import Table
from head_genre import FOLK, GENRES
from head_song_figures import NEVER, curve, limit_of, shares
from head_songs import CLASSES, NONE, SongRows

from audiorec.tagger.song_labels import EMBEDDING, OPEN_SHA256, SHA256, TAGS, WIDTH, SongLabels
from audiorec.tagger.weights import MSD
from audiorec.types import Features

CARDS = ROOT / "docs" / "model_cards"
WIDTHS = {"penultimate": 200, "mean_pool": 753, "max_pool": 753, "tags": 50}


def table(tracks, seed=0):
    """Return a table with a row for each name of a track, in order."""
    rng = np.random.default_rng(seed)
    n = len(tracks)
    features = {name: rng.uniform(0, 1, (n, w)).astype(np.float32) for name, w in WIDTHS.items()}
    return Table(
        msd=Features(**features),
        label=np.zeros(n, np.int64),
        corpus=np.full(n, "corpus"),
        group=np.array(tracks),
        track=np.array(tracks),
        voiced=np.zeros(n, np.float32),
    )


def rows(genre, group, *, seed=0, columns=None):
    n = len(genre)
    made = np.random.default_rng(seed).uniform(0.05, 0.9, (n, WIDTH))
    return SongRows(
        columns=made if columns is None else columns,
        genre=np.array(genre),
        segments=np.full(n, 9),
        corpus=np.full(n, "corpus"),
        group=np.array(group),
        track=np.array([f"track {i}" for i in range(n)]),
    )


def test_a_row_is_the_mean_of_a_track_or_of_a_part():
    made = table(["a"] * 5 + ["b"] * 3)
    genre, group = np.repeat([2, 4], [5, 3]), np.repeat(["x", "y"], [5, 3])
    whole = head_songs.recordings(made, genre, group)
    assert (whole.genre.tolist(), whole.group.tolist()) == ([2, 4], ["x", "y"])
    assert whole.segments.tolist() == [5, 3]
    np.testing.assert_allclose(
        whole.columns[0, :200], made.msd.penultimate[:5].mean(axis=0), rtol=1e-3
    )
    np.testing.assert_allclose(whole.tags[1], made.msd.tags[5:].mean(axis=0), rtol=2e-3)
    parts = head_songs.recordings(made, genre, group, part=2)
    assert parts.segments.tolist() == [2, 2, 1, 2, 1]
    assert parts.track.tolist() == ["a"] * 3 + ["b"] * 2


def test_an_embedding_is_told_from_tags_that_follow_from_it():
    rng = np.random.default_rng(1)
    inner, mix = rng.normal(size=(300, 50)), rng.normal(size=(50, EMBEDDING))
    tags = 1 / (1 + np.exp(-inner))  # log-odds are what the embedding is a mixture of
    made = rows([0] * 300, ["x"] * 300, columns=np.hstack([inner @ mix, np.sqrt(tags)]))
    unknown = made.rows(np.arange(200, 300))
    hidden = np.hstack([np.full((100, EMBEDDING), np.nan), np.sqrt(tags[200:])])
    found = head_songs.with_embedding(replace(unknown, columns=hidden), made.rows(np.arange(200)))
    true, told = unknown.columns[:, :EMBEDDING], found.columns[:, :EMBEDDING]
    assert np.square(told - true).mean() < 0.1 * np.square(true - true.mean(axis=0)).mean()
    assert head_songs.with_embedding(unknown, made) is unknown  # nothing is absent


def test_a_song_of_a_genre_is_folk_in_part_and_a_style_is_not():
    columns = np.zeros((3, WIDTH))
    columns[:, EMBEDDING + MSD.tags.index("folk")] = np.sqrt([0.3, 0.9, 0.9])
    made = rows([0, 0, CLASSES.index("disco")], "abc", columns=columns)
    wanted = head_songs.targets(made)
    np.testing.assert_allclose(wanted[:, FOLK], [0.3, 0.6, 0.0])
    np.testing.assert_allclose(wanted.sum(axis=1), 1)
    assert wanted[2, CLASSES.index("disco")] == 1


def test_nothing_of_a_group_is_heard_before_it_is_judged():
    made = rows([0, 0, 1, 1, NONE], ["a", "a", "b", "c", "d"])
    heard = []

    def how(learnt):
        heard.append(set(learnt.group.tolist()))
        return lambda others: np.zeros((len(others), len(CLASSES)))

    judged = made.rows(made.genre != NONE)
    found = head_songs.left_out(judged, judged.group, lambda r: r.group, made, how)
    assert heard == [{"b", "c", "d"}, {"a", "c", "d"}, {"a", "b", "d"}]
    assert found.logits.shape == (4, len(CLASSES))


def test_shares_worked_by_hand():
    said = np.zeros((4, len(CLASSES)))
    said[0, [0, 1]], said[1, [0, 1]], said[2, [2, 1]], said[3, NONE] = (0.9, 0.1), (0.4, 0.6), (
        0.8, 0.2
    ), 1.0  # fmt: skip
    found = shares(said, np.array([0, 0, 1, 3]), 0.7)
    assert (found["first"], found["two"], found["clear"]) == (0.25, 0.75, 0.5)
    assert (found["clear_rows"], found["right_if_clear"]) == (2, 0.5)
    short = shares(said, np.array([0, 0, 1, 3]), 0.7, np.array([True, False, False, True]))
    assert (short["clear"], short["right_if_clear"]) == (0.25, 1.0)


def test_the_limit_is_the_lowest_at_which_enough_is_right():
    sure = np.zeros((100, len(CLASSES)))
    sure[:, 0], genre = np.repeat([0.95, 0.6], 50), np.repeat([0, 1], 50)
    points = curve(sure, genre)  # right from 0.65 on, where those of 0.6 are no longer clear
    assert limit_of(points) == 0.65
    assert limit_of(points, points) == 0.65
    wrong = curve(sure, np.ones(100, np.int64))
    assert limit_of(points, wrong) == NEVER
    few = curve(sure[:3], genre[:3])  # three of three are no evidence
    assert limit_of(few) == NEVER


@pytest.fixture(scope="module")
def figures():
    return json.loads((CARDS / "song_labels.json").read_text())


@pytest.fixture(scope="module")
def free_figures():
    return json.loads((CARDS / "song_labels_open.json").read_text())


def test_the_head_from_free_audio_begins_with_tags_and_hears_nothing_else(free_figures):
    weight, bias = head_open.prior()
    told = {CLASSES[n] for n in np.flatnonzero(weight.any(axis=0))}
    assert told == set(GENRES) - {"classical"}  # the network has no such tag
    assert (weight[:EMBEDDING] == 0).all()
    assert [CLASSES[n] for n in np.flatnonzero(bias)] == ["disco", "reggae"]
    made = rows([0, 1, NONE], ["a", "b", "c"])
    made = replace(made, corpus=np.array(["gtzan", "muldjord", "cmu_arctic"]))
    names = ("half", "short", "listed", "outside", "sounds", "parts", "tagged", "unnamed")
    free = head_open.free_songs(head_songs.Songs(**dict.fromkeys(names, made)))
    assert set(free.all.corpus) == {"muldjord", "cmu_arctic"}
    assert set(free.sounds.corpus) == {"cmu_arctic"}
    assert set(free_figures["pieces"]) <= set(GENRES)


def test_a_genre_without_rows_is_heard_by_its_tag():
    jazz, rock = GENRES.index("jazz"), GENRES.index("rock")
    columns = np.zeros((40, WIDTH))
    columns[:20, EMBEDDING + MSD.tags.index("rock")] = 0.6
    columns[20:, EMBEDDING + MSD.tags.index("electronic")] = 0.6
    labelled = rows([rock] * 20 + [GENRES.index("electronic")] * 20, list("abcd") * 10)
    model = head_open.fit_open(replace(labelled, columns=columns))
    heard = np.zeros((1, WIDTH))
    heard[0, EMBEDDING + MSD.tags.index("jazz")] = 0.6
    assert model.scores(heard)[0].argmax() == jazz
    assert model.scores(columns[:1])[0].argmax() == rock


def test_the_file_from_free_audio_is_that_of_the_figures(free_figures, monkeypatch):
    monkeypatch.setenv("AUDIOREC_LABELS", "open")
    shipped = SongLabels.shipped()
    assert free_figures["sha256"] == OPEN_SHA256 == shipped.sha256
    assert free_figures["limit"] == shipped.genre_limit
    assert (shipped.style_limits > 1).all()
    points = free_figures["outside"]["without drum loops"]
    at = next(point for point in points if point["limit"] == free_figures["limit"])
    assert at["right_if_clear_95"][0] >= 0.8


def test_the_card_is_what_the_figures_of_the_shipped_head_say(figures, free_figures):
    assert song_labels_page.page(figures, free_figures) == (CARDS / "song_labels.md").read_text()
    shipped = SongLabels.shipped()
    assert figures["sha256"] == SHA256 == shipped.sha256
    assert figures["limit"] == shipped.genre_limit
    limits = [found["limit"] for found in figures["styles"].values()]
    np.testing.assert_allclose(shipped.style_limits, limits, rtol=1e-6)
    assert shipped.genres == GENRES
    assert TAGS == 50


def test_what_is_clear_is_right_often_enough(figures):
    def at(points):
        return next(point for point in points if point["limit"] == figures["limit"])

    assert at(figures["outside"]["without drum loops"])["right_if_clear_95"][0] >= 0.8
    assert at(figures["outside"]["all"])["right_if_clear"] >= 0.8
    for corpus in ("gtzan", "gtzan_actcv"):
        assert at(figures["inside"][f"{corpus}, artists left out"])["right_if_clear"] >= 0.8
    for found in figures["styles"].values():
        good = [p for p in found["curve"] if p["limit"] == found["limit"]]
        assert all(point["right"] >= 0.8 for point in good)

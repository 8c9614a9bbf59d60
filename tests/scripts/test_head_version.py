"""The version head's recipe: what is left out, what weighs how much, what is made."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from needs import needs

needs("torchaudio")
import head_packages
import head_voices
from head_augment import (
    LENGTH,
    SAMPLE_RATE,
    aac,
    codec,
    low_pass,
    mp3,
    pitch,
    speed,
    telephone,
    tempo,
)
from head_data import ACCOMPANIED, INSTRUMENTAL, OTHER, OTHER_CORPORA, UNLABELLED, VOCAL, Clip
from head_dense import DenseRecipe, fit_dense
from head_features import Table
from head_judging import by_track, calibration_error, cell_weights, judge
from head_mixing import Sources, make_segment, run_of
from head_packages import MUSIC, SOUNDS, Corpus, package_clips
from head_sung import longer, melody
from head_tables import without
from head_version import (
    MADE_SHARE,
    SONG_WEIGHTS,
    TURNS,
    VOICE_TURNS,
    Unseen,
    left_out,
    row_weights,
    targets,
    turns,
)
from head_version_figures import calibrate_on
from head_voices import FOLDERS, LOOPS
from train_open_heads import FREE, free_rows, unheard

from audiorec.types import Features


def table(rows):
    """A table of (label, corpus, group, track) with features of zeros."""
    n = len(rows)
    features = Features(
        np.zeros((n, 50), np.float32),
        np.zeros((n, 200), np.float32),
        np.zeros((n, 753), np.float32),
        np.zeros((n, 753), np.float32),
    )
    label, corpus, group, track = zip(*rows, strict=True)
    return Table(
        msd=features,
        label=np.array(label, np.int64),
        corpus=np.array(corpus),
        group=np.array(group),
        track=np.array(track),
        voiced=np.full(n, np.nan, np.float32),
    )


def clean_rows():
    singers = [
        (label, "mir1k", f"mir1k/{singer}", f"mir1k/{singer}_1/{label}")
        for singer in "abcdefghi"
        for label in (VOCAL, INSTRUMENTAL, ACCOMPANIED)
    ]
    corpora = [
        (label, name, f"{name}/1", f"{name}/1")
        for label, names in (
            (INSTRUMENTAL, ["superpowers", "naev-music"]),
            (OTHER, ["cmu_arctic", "noises"]),
            (VOCAL, ["tune", "beatbox", "rap"]),
        )
        for name in names
    ]
    return singers + corpora


def test_every_corpus_is_left_out_in_one_turn():
    together = [name for turn in range(TURNS + VOICE_TURNS) for name in left_out(turn)]
    every = ["superpowers", *(c.name for c in (*MUSIC, *SOUNDS)), *OTHER_CORPORA, *FOLDERS, LOOPS]
    assert sorted(together) == sorted(every)
    assert len(set(together)) == len(together)


def test_nothing_of_a_turn_is_heard_not_even_in_a_mix():
    mixes = [
        (ACCOMPANIED, "mir1k+naev-music", "mir1k/a+naev-music/1", "augmented"),
        (VOCAL, "cmu_arctic", "cmu_arctic/1", "augmented"),
        (OTHER, "noises", "noises/1", "augmented"),
    ]
    clean = table(clean_rows())
    train = table(clean_rows() + mixes)
    judged = np.zeros(len(clean), int)
    for turn, (learn, left) in enumerate(turns(train, clean)):
        heard = train.rows(learn)
        parts = {part for name in heard.corpus for part in name.split("+")}
        assert not parts & {*left_out(turn), "tune"}
        singers = {part for name in heard.group for part in name.split("+")}
        voices = clean.rows(left & np.isin(clean.label, [VOCAL, ACCOMPANIED]))
        assert not singers & set(voices.group)
        judged += left
    of_tune = clean.corpus == "tune"
    karaoke = (clean.corpus == "mir1k") & (clean.label == INSTRUMENTAL)
    assert (judged[of_tune] == TURNS).all()
    assert (judged[karaoke] == 0).all()
    assert (judged[~of_tune & ~karaoke] == 1).all()


def weights_of(rows):
    """Weights of (label, corpus, made)."""
    label, corpus, made = zip(*rows, strict=True)
    return row_weights(np.array(label), np.array(corpus), np.array(made))


def test_classes_weigh_the_same_and_what_was_made_its_share():
    rows = [(VOCAL, "mir1k", False)] * 4 + [(OTHER, "noises", False)] * 9
    rows += [(OTHER, "kitchen20", False), (VOCAL, "mir1k+x", True), (VOCAL, "rap", True)]
    rows += [(INSTRUMENTAL, "superpowers", False), (ACCOMPANIED, "gtzan", False)]
    weights = weights_of(rows)
    totals = np.bincount([label for label, _, _ in rows], weights)
    np.testing.assert_allclose(totals, len(rows) / 4)
    made = np.array([made for _, _, made in rows])
    assert weights[made].sum() == pytest.approx(MADE_SHARE * totals[VOCAL])
    noises = weights[4:13]
    assert np.ptp(noises) == 0
    assert (
        weights[13] > noises[0]
    )  # nine noises weigh more than one kitchen, not nine times as much
    assert 1 < noises.sum() / weights[13] < 9


def test_a_class_that_is_only_made_weighs_as_much_as_the_others():
    rows = [(OTHER, "noises", False), (INSTRUMENTAL, "x", False), (ACCOMPANIED, "y", False)]
    np.testing.assert_allclose(weights_of([*rows, (VOCAL, "cmu_arctic", True)]), 1.0)


def test_a_record_weighs_as_the_table_of_songs_says():
    weights = weights_of([(ACCOMPANIED, name, False) for name in ("gtzan", "winterreise", "mir1k")])
    assert weights[0] / weights[2] == pytest.approx(SONG_WEIGHTS["gtzan"])
    assert weights[1] / weights[2] == pytest.approx(SONG_WEIGHTS["winterreise"])


def test_weak_labels_give_way_to_the_tags_and_others_do_not():
    rows = [(ACCOMPANIED, name, name, name) for name in ("gtzan", "winterreise", "mir1k")]
    found = targets(table(rows))  # no tag says anything of a voice
    np.testing.assert_allclose(found[:2], [[0, 0.3, 0.7, 0]] * 2)
    np.testing.assert_allclose(found[2], [0, 0, 1, 0])


def test_one_temperature_leaves_every_answer_as_it_was_and_tune_unheard():
    rng = np.random.default_rng(0)
    rows = table([(label, "noises", "n", "n") for label in rng.integers(0, 4, 400)])
    unsure = Unseen(
        logits=rng.normal(size=(400, 4)) * 8, turn=np.zeros(400, int), rows=np.arange(400)
    )
    scale, bias = calibrate_on([(unsure, rows), (unsure, rows)])
    np.testing.assert_array_equal(bias, 0)
    assert np.ptp(scale) == 0
    assert 0 < scale[0] < 0.5, "random answers that were far too sure"
    sure = Unseen(logits=np.eye(4)[rows.label] * 9, turn=unsure.turn, rows=unsure.rows)
    tune = replace(rows, corpus=np.full(400, "tune"))
    again, _ = calibrate_on([(unsure, rows), (sure, tune)])
    assert again[0] == pytest.approx(scale[0], rel=1e-6)


def songs_folder(tmp_path, monkeypatch, **options):
    """A corpus of one package, fetched or not."""
    corpus = Corpus("some-songs", ACCOMPANIED, "songs==1.2", "**/*.wav", **options)
    monkeypatch.setattr(head_packages, "FETCHED", (corpus,))
    return tmp_path / "songs-1.2", (corpus,)


def test_a_package_that_is_absent_is_named(tmp_path, monkeypatch):
    _, corpora = songs_folder(tmp_path, monkeypatch)
    with pytest.raises(SystemExit, match=r"songs-1\.2"):
        package_clips(tmp_path, corpora)


def test_a_package_without_audio_is_named(tmp_path, monkeypatch):
    folder, corpora = songs_folder(tmp_path, monkeypatch)
    folder.mkdir()
    (folder / "readme.wav").write_text("no audio")
    with pytest.raises(SystemExit, match="no audio for some-songs"):
        package_clips(tmp_path, corpora)


def test_recordings_of_singers_are_whole_and_grouped_by_the_end_of_their_names(
    tmp_path, monkeypatch
):
    folder, corpora = songs_folder(tmp_path, monkeypatch, whole=True, by_singer=True)
    folder.mkdir()
    for name in ("One_01_AA", "One_02_AA", "One_01_BB"):
        soundfile.write(folder / f"{name}.wav", np.zeros(3 * SAMPLE_RATE), SAMPLE_RATE)
    clips = package_clips(tmp_path, corpora)
    assert [clip.group for clip in clips] == [
        "some-songs/AA", "some-songs/BB", "some-songs/AA",
    ]  # fmt: skip
    assert {(clip.skip_s, clip.max_s) for clip in clips} == {(0.0, head_packages.WHOLE_S)}


@pytest.mark.parametrize(
    ("coded", "most"),
    [
        (lambda waveform: mp3(waveform, 128), 0.02),
        (lambda waveform: mp3(waveform, 64), 0.02),
        (lambda waveform: codec(waveform, np.random.default_rng(2)), 0.02),  # MP3
        (lambda waveform: aac(waveform, 128), 0.06),
        (lambda waveform: aac(waveform, 64), 0.06),
        (lambda waveform: codec(waveform, np.random.default_rng(0)), 0.06),  # AAC
    ],
)
def test_codecs_keep_length_and_place_and_lose_a_little(coded, most):
    seconds = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    tone = (0.3 * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32)
    made = coded(tone)
    assert made.shape == tone.shape
    middle = slice(SAMPLE_RATE // 2, -SAMPLE_RATE // 2)
    assert 0 < np.abs(made[middle] - tone[middle]).max() < most


@pytest.mark.parametrize(
    ("change", "length", "hertz"), [(speed, 0.8, 550), (tempo, 0.8, 440), (pitch, 1.0, 550)]
)
def test_speed_tempo_and_pitch_change_what_they_say(change, length, hertz):
    seconds = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    tone = (0.3 * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32)
    made = change(tone, 1.25)
    assert len(made) == pytest.approx(length * len(tone), rel=1e-3)
    second = made[SAMPLE_RATE : 2 * SAMPLE_RATE] * np.hanning(SAMPLE_RATE)
    assert np.abs(np.fft.rfft(second)).argmax() == pytest.approx(hertz, abs=2)


def test_a_telephone_leaves_the_middle_and_a_narrow_band_the_bottom():
    seconds = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    low, mid, high = (np.sin(2 * np.pi * f * seconds).astype(np.float32) for f in (100, 1000, 5000))

    def kept(change, tone):
        made = change(tone)
        assert made.shape == tone.shape
        return np.square(made[4000:-4000]).mean() / np.square(tone[4000:-4000]).mean()

    assert kept(telephone, low) < 0.01
    assert kept(telephone, mid) == pytest.approx(1, abs=0.05)
    assert kept(telephone, high) < 0.01
    assert kept(lambda w: low_pass(w, 4000.0), low) == pytest.approx(1, abs=0.01)
    assert kept(lambda w: low_pass(w, 4000.0), high) < 0.001


def test_a_voice_over_music_is_of_both_groups_and_left_out_by_either():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(4 * SAMPLE_RATE).astype(np.float32)
    voice = clip("gtsinger", VOCAL)
    music = clip("naev-music", INSTRUMENTAL)
    sources = Sources([voice, music], lambda _: noise)
    waveform, row = make_segment(sources, ACCOMPANIED, np.random.default_rng(0))
    assert waveform.shape == (LENGTH,)
    assert np.isfinite(waveform).all()
    assert {"gtsinger/1", "naev-music/1"} <= set(row["group"].split("+"))
    groups = np.array([row["group"], "beatbox/1"])
    for group in ("gtsinger/1", "naev-music/1"):
        assert without(groups, (group,)).tolist() == [False, True]


def clip(corpus, label, **options):
    return Clip(
        corpus=corpus,
        group=f"{corpus}/1",
        track=f"{corpus}/1",
        label=label,
        path=Path(corpus),
        **options,
    )


def test_of_a_clip_whose_class_changes_only_the_segments_of_the_class_are_drawn():
    spans = (UNLABELLED, ACCOMPANIED, ACCOMPANIED, INSTRUMENTAL)
    second = np.repeat(np.arange(12), SAMPLE_RATE)
    sources = Sources([clip("songs", UNLABELLED, spans=spans)], lambda _: second)
    rng = np.random.default_rng(0)
    assert set(np.unique(sources.draw(ACCOMPANIED, rng)[1])) == set(range(3, 9))
    assert set(np.unique(sources.draw(INSTRUMENTAL, rng)[1])) == set(range(9, 12))
    assert UNLABELLED not in sources.by_class
    assert run_of(spans, ACCOMPANIED, rng) == (1, 2)


def voices_folder(tmp_path, manifest, windows=""):
    """A folder of voices with its tables."""
    folder = tmp_path / "jingju_arias"
    folder.mkdir()
    (folder / "manifest.csv").write_text("file,cls,group\n" + manifest)
    if windows:
        (folder / "windows.csv").write_text("song,start,voice_frac,inst_frac,mix_label\n" + windows)
    return list(head_voices._clips(folder))


def test_windows_say_what_the_segments_of_a_stem_and_of_a_mix_are(tmp_path):
    windows = "a1,0.0,0.9,1.0,M\na1,1.5,0.4,1.0,\na1,3.0,0.1,0.9,I\na1,6.0,0.8,0.2,\n"
    files = "a1_voice.ogg,V,a1\na1_inst.ogg,I,a1\na1_mix.ogg,M,a1\n"
    voice, music, mixed = voices_folder(tmp_path, files, windows)
    assert voice.spans == (VOCAL, UNLABELLED, VOCAL)
    assert music.spans == (INSTRUMENTAL, INSTRUMENTAL, UNLABELLED)
    assert mixed.spans == (ACCOMPANIED, INSTRUMENTAL, UNLABELLED)
    assert {found.group for found in (voice, music, mixed)} == {"jingju_arias/a1"}


def test_without_windows_a_label_holds_for_all(tmp_path):
    (found,) = voices_folder(tmp_path, "x.ogg,O,de\n")
    assert (found.label, found.spans, found.group) == (OTHER, (), "jingju_arias/de")


def test_corpora_and_classes_weigh_the_same_and_groups_are_redrawn():
    label = np.array([VOCAL] * 12 + [OTHER] * 4)
    corpus = np.array(["big"] * 10 + ["small"] * 2 + ["noises"] * 4)
    group = np.array([f"{name}/{i % 2}" for i, name in enumerate(corpus)])
    weights = cell_weights(corpus, label)
    assert weights.sum() == pytest.approx(1)
    assert weights[:10].sum() == pytest.approx(weights[10:12].sum())
    assert weights[:12].sum() == pytest.approx(0.5)
    answer = np.array([VOCAL] * 10 + [OTHER] * 2 + [OTHER] * 4)  # all of the small corpus wrong
    found = judge(np.eye(4)[answer], label, corpus, group)
    assert found.recall[VOCAL] == 0.5
    assert found.recall[OTHER] == 1.0
    assert found.f1[OTHER] == pytest.approx(2 / (1 + 1.5))
    assert found.macro_f1.low <= found.macro_f1.value <= found.macro_f1.high
    assert found.cells["small vocal"][1].tolist() == [0, 0, 0, 1]


def test_calibration_error_counts_by_weight():
    scores = np.array([[0.75, 0.25], [0.75, 0.25]])
    label = np.array([0, 1])
    assert calibration_error(scores, label, np.array([3.0, 1.0])) == pytest.approx(0.0)
    assert calibration_error(scores, label, np.array([1.0, 1.0])) == pytest.approx(0.25)


def test_a_track_of_two_classes_is_two_tracks():
    scores = np.array([[0.2, 0.8], [0.4, 0.6], [1.0, 0.0]])
    names = np.array(["s", "s", "s"])
    mean, label, _, _ = by_track(scores, np.array([0, 0, 1]), names, names, names)
    np.testing.assert_allclose(mean, [[0.3, 0.7], [1.0, 0.0]])
    assert label.tolist() == [0, 1]


def two_clouds(n=400):
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(n, 6)).astype(np.float32)
    columns[:, 5] = 2.0  # always the same
    label = (columns[:, 0] * columns[:, 1] > 0).astype(int)  # no linear map tells them apart
    return columns, np.eye(2)[label], np.ones(n)


QUICK = DenseRecipe(
    networks=2, units=16, steps=400, batch_size=64, learning_rate=0.02, dropout=0, input_dropout=0
)


def test_networks_side_by_side_are_one_head_that_learns_what_is_not_linear():
    columns, aims, weights = two_clouds()
    found = fit_dense(columns, aims, weights, recipe=QUICK)
    logits = found.logits(columns)
    assert (logits.argmax(1) == aims.argmax(1)).mean() > 0.9
    (first, _), (second, _) = found.layers
    assert first.shape == (6, 32)
    assert second.shape == (32, 2)
    np.testing.assert_array_equal(first[5], 0)
    np.testing.assert_array_equal(
        logits, fit_dense(columns, aims, weights, recipe=QUICK).logits(columns)
    )


def test_a_row_of_weight_nothing_is_never_learnt():
    columns, aims, weights = two_clouds()
    wrong = np.arange(len(columns)) % 2 == 0
    aims[wrong] = 1 - aims[wrong]
    found = fit_dense(columns, aims, np.where(wrong, 0.0, weights), recipe=QUICK)
    right = found.logits(columns).argmax(1) == aims.argmax(1)
    assert right[~wrong].mean() > 0.9
    assert right[wrong].mean() < 0.2


def test_a_line_made_to_sing_is_longer_and_has_notes_where_it_was_voiced():
    pitch = np.where(np.arange(2000) % 100 < 80, 120.0, 0.0)
    rng = np.random.default_rng(0)
    frames = longer(pitch > 0, rng)
    assert (np.diff(frames) >= 0).all()
    assert (pitch[frames] > 0).sum() >= 1.5 * (pitch > 0).sum()
    assert (pitch[frames] == 0).sum() <= (pitch == 0).sum()
    sung = melody(pitch[frames], rng)
    np.testing.assert_array_equal(sung > 0, pitch[frames] > 0)
    semitones = 12 * np.log2(sung[sung > 0] / 120)
    assert semitones.std() > 1
    assert (melody(np.zeros(10), rng) == 0).all()


def test_the_open_heads_learn_from_nothing_that_is_for_research_only():
    rows = clean_rows()
    clean = table(rows)
    free = free_rows(clean)
    assert set(free.corpus) == {"superpowers", "naev-music", "cmu_arctic"}
    sung = [(VOCAL, "cmu_arctic+sung", "cmu_arctic/1", "sung/1")]
    train = table([row for row in rows if row[1] in set(free.corpus)] + sung)
    first, *others = unheard(train, clean)
    assert first[0].all()
    assert set(clean.corpus[first[1]]).isdisjoint(FREE)
    for name, (learn, left) in zip(FREE, others, strict=True):
        assert set(clean.corpus[left]) <= {name}
        assert not any(name in corpus.split("+") for corpus in train.corpus[learn])

"""The version head's recipe: what is left out, what weighs how much, what is made."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from needs import needs

needs("torchaudio")
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import head_packages
from head_augment import LENGTH, SAMPLE_RATE, aac, codec, mp3, pitch, speed, tempo
from head_data import ACCOMPANIED, INSTRUMENTAL, OTHER, OTHER_CORPORA, VOCAL
from head_features import Table
from head_packages import MUSIC, SOUNDS, Corpus, package_clips
from head_version import (
    AUGMENTED_SHARE,
    SONG_WEIGHTS,
    TURNS,
    calibrate,
    left_out,
    row_weights,
    targets,
    turns,
)

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
        mtt=features,
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
            (VOCAL, ["tune"]),
        )
        for name in names
    ]
    return singers + corpora


def test_every_corpus_is_left_out_in_one_turn():
    together = [name for turn in range(TURNS) for name in left_out(turn)]
    every = ["superpowers", *(c.name for c in MUSIC), *OTHER_CORPORA, *(c.name for c in SOUNDS)]
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
    for turn, (learn, judge) in enumerate(turns(train, clean)):
        heard = train.rows(learn)
        parts = {part for name in heard.corpus for part in name.split("+")}
        assert not parts & {*left_out(turn), "tune"}
        singers = {part for name in heard.group for part in name.split("+")}
        voices = clean.rows(judge & np.isin(clean.label, [VOCAL, ACCOMPANIED]))
        assert not singers & set(voices.group)
        judged += judge
    of_tune = clean.corpus == "tune"
    karaoke = (clean.corpus == "mir1k") & (clean.label == INSTRUMENTAL)
    assert (judged[of_tune] == TURNS).all()
    assert (judged[karaoke] == 0).all()
    assert (judged[~of_tune & ~karaoke] == 1).all()


def test_classes_weigh_the_same_and_what_was_made_its_share():
    rows = [(VOCAL, "mir1k", "a", "a")] * 4 + [(OTHER, "noises", "n", "n")] * 9
    rows += [(OTHER, "kitchen20", "k", "k")] + [(VOCAL, "mir1k+x", "a+x", "augmented")] * 2
    rows += [(INSTRUMENTAL, "superpowers", "s", "s"), (ACCOMPANIED, "gtzan", "g", "g")]
    found = table(rows)
    weights = row_weights(found)
    totals = np.bincount(found.label, weights)
    np.testing.assert_allclose(totals, len(rows) / 4)
    made = found.track == "augmented"
    assert weights[made].sum() == pytest.approx(AUGMENTED_SHARE * totals[VOCAL])
    # A corpus by the root of its rows: nine noises weigh three times as much as one.
    noises = weights[found.corpus == "noises"].sum()
    assert noises == pytest.approx(3 * weights[found.corpus == "kitchen20"].sum())


def test_a_class_that_is_only_made_weighs_as_much_as_the_others():
    rows = [(OTHER, "noises", "n", "n"), (INSTRUMENTAL, "x", "x", "x")]
    rows += [(ACCOMPANIED, "y", "y", "y"), (VOCAL, "cmu_arctic", "c", "augmented")]
    np.testing.assert_allclose(row_weights(table(rows)), 1.0)


def test_a_record_weighs_as_the_table_of_songs_says():
    rows = [(ACCOMPANIED, name, name, name) for name in ("gtzan", "winterreise", "mir1k")]
    weights = row_weights(table(rows))
    assert weights[0] / weights[2] == pytest.approx(SONG_WEIGHTS["gtzan"])
    assert weights[1] / weights[2] == pytest.approx(SONG_WEIGHTS["winterreise"])


def test_weak_labels_give_way_to_the_tags_and_others_do_not():
    rows = [(ACCOMPANIED, name, name, name) for name in ("gtzan", "winterreise", "mir1k")]
    found = targets(table(rows))  # no tag says anything of a voice
    np.testing.assert_allclose(found[:2], [[0, 0.3, 0.7, 0]] * 2)
    np.testing.assert_allclose(found[2], [0, 0, 1, 0])


def test_one_temperature_leaves_every_answer_as_it_was():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(400, 4)) * 8, rng.integers(0, 4, 400)
    scale, bias = calibrate(logits, labels)
    np.testing.assert_array_equal(bias, 0)
    assert np.ptp(scale) == 0
    assert 0 < scale[0] < 0.5, "random answers that were far too sure"


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


def spoken():
    """Two seconds of a buzzing vowel of 120 Hz with a pause in the middle."""
    seconds = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * 120 * k * seconds) / k for k in range(1, 25))
    buzz[int(0.9 * SAMPLE_RATE) : int(1.1 * SAMPLE_RATE)] = 0
    return (0.2 * buzz).astype(np.float32)


def vocoder():
    """`head_singing`, where the vocoder is installed."""
    needs("pyworld")
    import head_singing

    return head_singing


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_a_spoken_line_is_sung_longer_and_at_many_pitches():
    singing = vocoder()
    line = spoken()
    sung = singing.sung(line, np.random.default_rng(3))
    assert len(sung) > 1.3 * len(line)
    assert np.isfinite(sung).all()
    before, after = (singing._analyse(w)[0] for w in (line, sung))
    spread = [np.std(np.log2(p[p > 0])) for p in (before, after)]
    assert spread[1] > 5 * spread[0]
    again = singing.sung(line, np.random.default_rng(3))
    np.testing.assert_array_equal(sung, again)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_silence_cannot_be_sung_and_stays_silence():
    silence = np.zeros(LENGTH, np.float32)
    assert not vocoder().sung(silence, np.random.default_rng(0)).any()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_a_melody_keeps_to_its_notes():
    melody = vocoder()._melody(4000, 200.0, np.random.default_rng(1))
    semitones = 12 * np.log2(melody / 200.0)
    assert melody.shape == (4000,)
    assert -20 < semitones.min() < semitones.max() < 20
    assert np.abs(np.diff(semitones)).max() < 2  # glides, not jumps


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_formants_move_by_the_ratio():
    singing = vocoder()
    envelope = np.full((1, 513), 1e-6)
    envelope[0, 100] = 1.0
    assert singing._formants(envelope, 1.5)[0].argmax() == 150

"""`audiorec.search.explain`: reasons are true of both songs, the rarest first, three at most."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_library import series, song, write_library

from audiorec.library.library import Library
from audiorec.search.explain import COMMON, MOST_PARTS, SureFacts, Usual, reasons_for, sentence
from audiorec.search.questions import SimilarQuestion
from audiorec.types import SCALES, TONICS

REGGAE = SureFacts(
    artist="Marcia Griffiths",
    styles=("reggae",),
    version="voice",
    singer="woman",
    bpm=74.0,
    key="A",
    scale="minor",
    loudness_lufs=-14.0,
)
OTHERS = [
    *[SureFacts(genre="rock", version="voice", singer="man", bpm=120.0)] * 16,
    *[SureFacts(genre="jazz", version="instrumental", bpm=76.0)] * 2,
]


def told(first, second, others=OTHERS):
    return sentence(reasons_for(first, second, Usual([first, second, *others])))


def test_the_rarest_shared_thing_comes_first():
    other = replace(REGGAE, artist="Dawn Penn", bpm=76.0, key="")
    assert told(REGGAE, other) == "both reggae, a woman's voice, 74 and 76 BPM"
    slower = [replace(song, bpm=75.0) for song in OTHERS]
    assert told(REGGAE, other, slower) == "both reggae, a woman's voice"  # now 75 BPM is nothing
    again = replace(other, artist=" marcia  GRIFFITHS")
    singers = [*OTHERS, SureFacts(styles=("reggae",), singer="woman")]
    assert told(REGGAE, again, singers).startswith("both by Marcia Griffiths")


def test_what_most_songs_have_is_no_reason():
    one, other = SureFacts(version="instrumental"), SureFacts(version="instrumental")
    assert reasons_for(one, other, Usual([one, other])) == ()
    few = [SureFacts()] * 2
    assert told(one, other, few) == "both instrumental"
    assert told(one, other, few[:1]) == ""


def test_a_difference_takes_the_third_place():
    other = replace(REGGAE, singer="man", bpm=76.0, key="F")
    found = reasons_for(REGGAE, other, Usual([REGGAE, other, *OTHERS]))
    assert sentence(found) == "both by Marcia Griffiths, reggae; but a man's voice"
    assert [(r.kind, r.values, r.in_common) for r in found] == [
        ("artist", ("Marcia Griffiths", "Marcia Griffiths"), True),
        ("style", ("reggae", "reggae"), True),
        ("singer", ("woman", "man"), False),
    ]
    assert found[1].share == pytest.approx(2 / 20)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": "instrumental", "singer": ""}, "instrumental"),
        ({"version": "voice alone", "singer": ""}, "a voice alone"),
        ({"bpm": 100.0}, ""),
        ({"bpm": 50.0}, ""),  # one of the two may be half of what people tap
        ({"loudness_lufs": -23.4}, "9 dB quieter"),
        ({"loudness_lufs": None}, ""),
    ],
)
def test_what_sets_two_songs_apart(changes, words):
    other = replace(REGGAE, **changes)
    apart = [r for r in reasons_for(REGGAE, other, Usual([*OTHERS])) if not r.in_common]
    assert [reason.words for reason in apart] == [words] * bool(words)


def test_genres_differ_unless_a_style_is_shared():
    jazz, blues = SureFacts(genre="jazz"), SureFacts(genre="blues")
    (apart,) = reasons_for(jazz, blues, Usual([jazz, blues]))
    assert (apart.kind, apart.words) == ("genre", "blues, not jazz")
    both = replace(jazz, styles=("soul",)), replace(blues, styles=("soul",))
    assert [r.kind for r in reasons_for(*both, Usual([*both, jazz, blues]))] == ["style"]


def test_keys_and_levels():
    minor = SureFacts(key="A", scale="minor", loudness_lufs=-26.0)
    major = SureFacts(key="C", scale="major", loudness_lufs=-24.0)
    others = [SureFacts()] * 3
    assert told(minor, replace(minor), others) == "both in A minor, quiet (-26 and -26 LUFS)"
    assert told(minor, major, others) == (
        "in the relative keys A minor and C major, both quiet (-26 and -24 LUFS)"
    )
    assert told(replace(minor, scale="major"), major, others) == "both quiet (-26 and -24 LUFS)"
    fainter = replace(minor, scale="major", loudness_lufs=-34.0)
    assert told(fainter, major, others) == ""  # ten decibels apart are no likeness


def test_nothing_certain_gives_nothing():
    assert reasons_for(SureFacts(), SureFacts(), Usual([])) == ()
    assert sentence(()) == ""


FACTS = st.builds(
    SureFacts,
    artist=st.sampled_from(["", "Ada", "ada ", "Bo"]),
    year=st.sampled_from([None, 1977, 1978]),
    genre=st.sampled_from(["", "jazz", "rock"]),
    styles=st.lists(st.sampled_from(["soul", "reggae"]), unique=True).map(tuple),
    version=st.sampled_from(["", "instrumental", "voice"]),
    singer=st.sampled_from(["", "woman", "man"]),
    bpm=st.none() | st.floats(40, 250),
    key=st.sampled_from(["", *TONICS]),
    scale=st.sampled_from(SCALES),
    loudness_lufs=st.none() | st.floats(-40, 0),
)


@given(FACTS, FACTS, st.lists(FACTS, max_size=6))
def test_every_reason_is_true(first, second, others):
    found = reasons_for(first, second, Usual([first, second, *others]))
    assert len(found) <= MOST_PARTS
    shares = [reason.share for reason in found if reason.in_common]
    assert shares == sorted(shares)
    assert all(0 < share <= COMMON for share in shares)
    for reason in found:
        if reason.kind in ("genre", "version", "singer", "year"):
            assert reason.values == (getattr(first, reason.kind), getattr(second, reason.kind))
            assert reason.in_common == (reason.values[0] == reason.values[1])
        if reason.kind == "tempo":
            ratio = max(reason.values) / min(reason.values)
            assert reason.values == (first.bpm, second.bpm)
            assert ratio <= 1.04 if reason.in_common else ratio >= 1.25
        if reason.kind == "style":
            assert reason.values[0] in set(first.styles) & set(second.styles)


def test_reasons_of_a_store_are_true_of_its_columns(tmp_path):
    rng = np.random.default_rng(5)
    songs = [
        song(
            f"{n:02}",
            series(n, version=(4, -4) if n % 3 else (-4, 4)),
            artist=("Ada", "ADA ", "Bo", None)[n % 4],
            bpm=float(rng.uniform(60, 180)),
            bpm_confidence=float(rng.uniform(0.8, 1)),
            bpm_other=None if n % 4 else 45.0,
            key=TONICS[n % 3],
            scale=SCALES[n % 2],
            key_confidence=float(rng.uniform(0.8, 1)),
            loudness_lufs=float(rng.uniform(-30, -5)),
        )
        for n in range(40)
    ]
    store = Library.open(write_library(tmp_path, songs))
    found = 0
    for asked in store.ids:
        answer = store.ask(SimilarQuestion(seeds=(asked,), k=5, minimum=-1))
        for song_id, reasons in zip(answer.song_ids, answer.beside.reasons, strict=True):
            rows = store.row(asked), store.row(song_id)
            found += len(reasons)
            assert all(is_true(reason, *rows) for reason in reasons)
    assert found > 200


def is_true(reason, first, second):
    """Check a reason by the columns of two songs, which are compared here once more."""
    values = [row.get(reason.kind) for row in (first, second)]
    if reason.kind == "artist":
        return values[0].strip().lower() == values[1].strip().lower()
    if reason.kind == "tempo":
        slow, fast = sorted(row["bpm"] for row in (first, second))
        sure = min(row["bpm_confidence"] for row in (first, second)) >= 0.9
        sure &= first["bpm_other"] is None and second["bpm_other"] is None
        return sure and (fast <= 1.04 * slow if reason.in_common else fast >= 1.25 * slow)
    if reason.kind == "key":
        sure = min(row["key_confidence"] for row in (first, second)) >= 0.9
        steps = {TONICS.index(r["key"]) + 3 * (r["scale"] == "minor") for r in (first, second)}
        return sure and len({step % 12 for step in steps}) == 1
    if reason.kind == "loudness":
        levels = sorted(row["loudness_lufs"] for row in (first, second))
        if not reason.in_common:
            return levels[1] - levels[0] >= 8
        return levels[1] <= -23 or levels[0] >= -8
    is_alone = [int(row["song_id"]) % 3 > 0 for row in (first, second)]
    said = ["voice alone" if alone else "instrumental" for alone in is_alone]
    return reason.kind == "version" and said == list(reason.values)

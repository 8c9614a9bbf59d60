"""`audiorec.search.explain`: what is certain about a song is said, and nothing else."""

import numpy as np
import pytest
from made_labels import add_genre_tags
from made_library import CLASSES, series, song, write_library
from made_sound import add_lists, random_sound

from audiorec.library.library import Library
from audiorec.search.explain import MAN, WOMAN, WOMAN_TAG, FactReader
from audiorec.search.stored_labels import WIDTHS
from audiorec.tagger.song_labels import FoundLabels, SongLabels
from audiorec.tagger.vectors import shipped_sound

VOICE, BAND = (4, -4), (-4, 4)


def tags(woman):
    values = np.full(50, 0.01)
    values[WOMAN_TAG] = woman
    return values


def facts(folder, songs, **lists):
    path = write_library(folder, songs)
    if lists:
        add_lists(path, **lists)
    store = Library.open(path)
    return dict(zip(store.ids, FactReader(store).of_rows(range(len(store))), strict=True))


def test_tempo_and_key_need_confidence(tmp_path):
    sure = {
        "bpm": 74.2,
        "bpm_confidence": 0.91,
        "key": "A",
        "scale": "minor",
        "key_confidence": 0.91,
    }
    unsure = {**sure, "bpm_confidence": 0.89, "key_confidence": 0.89}
    odd = {**sure, "bpm": None, "key": "H"}
    found = facts(
        tmp_path,
        [song(n, series(1), **row) for n, row in (("a", sure), ("b", unsure), ("c", odd))],
    )
    assert (found["a"].bpm, found["a"].key, found["a"].scale) == (pytest.approx(74.2), "A", "minor")
    assert (found["b"].bpm, found["b"].key, found["b"].scale) == (None, "", "")
    assert (found["c"].bpm, found["c"].key) == (None, "")


def test_version_and_a_tag_as_it_is_written(tmp_path):
    found = facts(
        tmp_path,
        [
            song("alone", series(1, version=VOICE), artist="  Ada\n Lee "),
            song("band", series(2, version=BAND)),
            song("either", series(3), loudness_lufs=-9.5),
        ],
    )
    assert [found[name].version for name in ("alone", "band", "either")] == [
        *("voice alone", "instrumental", ""),
    ]
    assert found["alone"].artist == "Ada Lee"
    assert found["either"].loudness_lufs == pytest.approx(-9.5)


def test_a_silent_or_short_song_has_its_tags_only(tmp_path):
    more = {"artist": "Ada", "bpm": 100.0, "bpm_confidence": 1.0}
    found = facts(
        tmp_path,
        [
            song("short", series(1, version=BAND, segments=2), **more),
            song("silent", series(2, version=BAND), status="silent", **more),
        ],
    )
    for one in found.values():
        assert (one.artist, one.version, one.bpm) == ("Ada", "", None)


def test_whose_voice_it_is_is_said_of_a_voice_with_a_band_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "made_library.CLASSES",
        ("version/vocal_accompaniment", "version/instrumental", *CLASSES[2:]),
    )
    sung, none = series(1, version=VOICE), series(2, version=BAND)
    songs = [song("a", sung), song("b", sung), song("c", sung), song("d", sung), song("e", none)]
    heard = [tags(WOMAN + 0.01), tags(MAN - 0.01), tags((MAN + WOMAN) / 2), None, tags(WOMAN + 0.1)]
    found = facts(tmp_path, songs, heard_tags=heard)
    assert [found[name].singer for name in "abcde"] == ["woman", "man", "", "", ""]
    assert found["a"].version == "voice"


def test_a_store_without_means_has_no_version(tmp_path):
    assert FactReader(Library.open("fixtures/formats/vecs-v1.parquet")).of_rows([]) == []


class Head:
    """Takes the first number of an embedding for the clear genre, and the second for a style."""

    genres, styles = ("jazz", "rock"), ("disco", "reggae")

    def fits(self, _classes):
        return True

    def of(self, embedding, _tags):
        said = np.nan_to_num(embedding[:, :2], nan=-1.0).astype(int)
        genre, style = (said[:, :1] == [0, 1]), (said[:, 1:] == [0, 1])
        none = np.full(len(embedding), -1)
        return FoundLabels(genre.astype(np.float32), genre.any(axis=1), style * 1.0, style, none)

    label = SongLabels.label


def embedding(genre, style):
    return np.float32([genre, style, *[0.0] * (WIDTHS["embedding"] - 2)])


def test_clear_genres_and_styles_of_stored_columns(tmp_path, monkeypatch):
    monkeypatch.setattr(SongLabels, "shipped", classmethod(lambda _: Head()))
    made = {"a": embedding(0, -1), "b": embedding(-1, 1), "c": embedding(1, 0), "d": None}
    path = write_library(tmp_path, [song(name, series(1)) for name in made])
    lists = {
        "sound": [None if one is None else random_sound(1, width=128)[0] for one in made.values()],
        "embedding": list(made.values()),
        "heard_tags": [None if one is None else tags(0.3) for one in made.values()],
    }
    store = Library.open(add_lists(path, sound_id=shipped_sound().sha256[:16], **lists))
    found = store.facts.of_rows([3, 2, 1, 0])
    assert [(one.genre, one.styles) for one in found] == [
        *(("", ()), ("rock", ("disco",)), ("", ("reggae",)), ("jazz", ())),
    ]
    outside = {name: np.asarray(values[2:3]) for name, values in lists.items()}
    entry = {"status": "ok", "segments": 20}
    (file,) = store.facts.of_songs([entry], store.read_rows([0]), outside)
    assert (file.genre, file.styles) == ("rock", ("disco",))
    other = add_lists(write_library(tmp_path, [song("a", series(1))]), heard_tags=[tags(0.3)])
    assert FactReader(Library.open(other)).of_rows([0])[0].genre == ""  # made by another network


def test_a_store_with_tags_tells_them(tmp_path):
    path = write_library(tmp_path, [song(name, series(n)) for n, name in enumerate("ab")])
    store = Library.open(add_genre_tags(path, ["Hip-Hop", None]))
    first, second = FactReader(store).of_rows([0, 1])
    assert (first.genre, first.year) == ("hiphop", 1998)
    assert (second.genre, second.year) == ("", 1998)

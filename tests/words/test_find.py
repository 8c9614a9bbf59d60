"""Songs found by a sentence, and what a library must have for it."""

from dataclasses import replace

import numpy as np
import pytest
from good_store import METADATA, change, write_good_store
from made_sound import add_lists
from made_words import HEARD, add_heard, embedding_of, write_heard
from scipy.special import logit

from audiorec.errors import InputError, MissingWeightsError, ShapeError, WeightsError
from audiorec.library.library import open_store
from audiorec.search.questions import Choice, FindQuestion, PlaylistQuestion, SimilarQuestion
from audiorec.tagger.backbone import load_backbone
from audiorec.tagger.vectors import shipped_sound
from audiorec.words.find import scored, understood
from audiorec.words.labels import Labels, nearness, packed, shipped_labels
from audiorec.words.sentence import read_sentence
from audiorec.words.strength import CURVE, level

ALL = Choice(also=("non-music",))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return open_store(write_heard(tmp_path_factory.mktemp("heard")))


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("solo piano", "piano.flac"),
        ("钢琴", "piano.flac"),
        ("drums", "drums.flac"),
        ("death metal", "metal.flac"),
        ("someone talking", "speech.flac"),
        ("animals", "animal.flac"),
        ("saxophone", "sax.flac"),
    ],
)
def test_what_is_asked_for_comes_first(library, text, first):
    assert library.find(text, 3, choice=ALL)[0].song_id == first


def test_what_is_denied_takes_away_and_never_adds(library):
    with_drums = library.find("metal", 6, choice=ALL)
    without = library.find("metal, no drums", 6, choice=ALL)
    assert without[0].song_id == "metal.flac"
    place = {"with": list(with_drums.song_ids), "without": list(without.song_ids)}
    assert place["without"].index("drums.flac") >= place["with"].index("drums.flac")
    assert (without.wished.by[1, without.rows] <= 0).all()


def test_the_similarity_has_a_bound_and_says_of_how_many_songs_less_is_true(library):
    """Four deviations in everything asked for is 1; no other song is more of a piano."""
    found = library.find("solo piano", 6, choice=ALL)
    assert found.similarities.max() <= 1
    assert found.beside.closer_than == pytest.approx(np.arange(5, -1, -1) / 6)


def test_shares_add_up_to_the_similarity(library):
    found = library.find("calm saxophone without drums", 6, choice=ALL)
    assert np.allclose(found.wished.by[:, found.rows].sum(axis=0), found.similarities, atol=1e-6)
    assert "no drums" in found.beside.said[0]


def test_the_document_says_what_was_understood(library):
    asked = FindQuestion(text="piano by Nobody under nine minutes", k=2, why=True, choice=ALL)
    document = library.ask(asked).to_dict()
    assert document["schema"] == "audiorec/find/1"
    assert [one["words"] for one in document["understood"]] == ["piano"]
    assert document["conditions"] == {"under nine minutes": "duration<=9:00"}
    assert document["not_understood"] == ["nobody"]
    assert document["songs"][0]["why"].keys() == {"piano"}
    assert [song["rank"] for song in document["songs"]] == [1, 2]


def test_a_strength_is_that_of_the_level_whatever_else_there_is(library):
    """Halfway up its curve a song fits as often as not; what is denied is turned round."""
    steep, half = CURVE
    found = library.find("saxophone", 6, choice=ALL)
    heard = level(library.hearing, found.terms[0].ways, found.rows.tolist())
    assert found.strengths == pytest.approx(1 / (1 + np.exp(-steep * (heard - half))), abs=1e-4)
    denied = library.find("saxophone, no drums", 6, choice=ALL)
    alone = library.find("no drums", 6, choice=ALL)
    of = dict(zip(found.rows.tolist(), found.strengths, strict=True))
    no = dict(zip(alone.rows.tolist(), alone.strengths, strict=True))
    both = [np.sqrt(of[row] * no[row]) for row in denied.rows.tolist()]
    assert denied.strengths == pytest.approx(both, abs=1e-3)


def test_what_no_song_has_is_said_first(library):
    assert library.find("sitar", 3, choice=ALL).remarks[0] == "nothing here fits well; nearest:"
    for text in ("metal", "short songs", "calmer"):  # of the last two nothing is known
        assert "nothing here" not in " ".join(library.find(text, 3, choice=ALL).remarks)


def test_a_song_that_is_not_instrumental_has_a_voice(library):
    (no,) = understood(read_sentence("not instrumental"), library.hearing)
    (voice,) = understood(read_sentence("singing"), library.hearing)
    assert str(no) == "no instrumental: Singing, version.voiced"
    denied, wanted = scored([no], library.hearing)[0], scored([voice], library.hearing)[0]
    assert np.corrcoef(denied, wanted)[0, 1] > 0.7


def test_what_one_clause_wants_no_other_denies(library):
    metal, no = understood(read_sentence("heavy metal, no screaming"), library.hearing)
    (alone,) = understood(read_sentence("no screaming"), library.hearing)
    assert alone.heard.keys() & metal.heard.keys()
    assert no.heard.keys() == alone.heard.keys() - metal.heard.keys()
    rock, again = understood(read_sentence("rock, no rock"), library.hearing)
    assert again.heard == rock.heard  # where nothing is left, the denial stands as it was


def test_what_is_no_music_is_listed_only_if_it_is_asked_for(library):
    music = set(np.array(library.ids)[library.music])
    assert set(library.find("piano", 9).song_ids) == music
    assert set(library.find("speech", 9).song_ids) == set(HEARD)


def test_nothing_understood_is_an_error(library):
    with pytest.raises(InputError, match="none describes a sound"):
        library.find("Abbey Road")
    with pytest.raises(InputError, match="empty"):
        library.find(" ")
    with pytest.raises(InputError) as refused:
        library.find("a" * 100_000)
    assert len(str(refused.value)) < 500


def test_a_store_without_an_embedding_says_what_to_run(tmp_path):
    library = open_store(write_good_store(tmp_path))
    with pytest.raises(InputError, match="extract FOLDER --overwrite"):
        library.find("piano")


def test_one_song_and_an_unknown_embedding(tmp_path):
    path = write_heard(tmp_path, {"a.flac": "Piano"})
    assert open_store(path).find("piano", choice=ALL)[0].song_id == "a.flac"


def test_a_label_is_heard_where_it_is_and_tags_are_those_of_the_network(tmp_path):
    labels = shipped_labels()
    for name in ("Piano", "Speech", "Rain"):
        numbers = labels.numbers(embedding_of(name)[None])
        own = labels.heard(numbers, range(labels.outer.shape[1]))[:, 0]
        assert labels.names[own.argmax()] == name
    noise = np.random.default_rng(0).random((9, 187, 96), np.float32)
    said = load_backbone("msd").features(noise * np.linspace(0.2, 2, 9)[:, None, None])
    rows = shipped_sound().embedding(said.penultimate, said.mean_pool, said.max_pool)
    places = range(labels.outer.shape[1], len(labels.names))
    heard, tags = labels.heard(labels.numbers(rows), places), logit(said.tags.T.astype(np.float64))
    for one, other in zip(heard, tags, strict=True):  # in other units
        assert np.corrcoef(one, other)[0, 1] > 0.999
    with pytest.raises(ShapeError, match="embedding must have shape"):
        labels.numbers(rows[:, :-1])


def test_a_question_makes_the_labels_that_it_names_and_once(tmp_path, monkeypatch):
    made, plain = [], Labels.heard
    monkeypatch.setattr(Labels, "heard", lambda *given: made.extend(given[2]) or plain(*given))
    asked = open_store(write_heard(tmp_path))
    (term,) = asked.find("piano", choice=ALL).terms
    names = shipped_labels().names
    assert sorted(names[place] for place in made) == sorted(set(term.heard) & set(names))
    made.clear()
    asked.find("piano", 2, choice=ALL)
    assert made == []


def test_labels_come_back_from_their_file_as_they_were(tmp_path):
    labels = shipped_labels()
    by_columns = replace(labels, tags=np.asfortranarray(labels.tags))
    sha256 = by_columns.save(tmp_path / "labels.safetensors")
    again = Labels.load(tmp_path / "labels.safetensors", sha256=sha256)
    assert again.names == labels.names
    rows = np.stack([embedding_of("Piano"), embedding_of("Speech")])
    assert np.array_equal(again.numbers(rows), labels.numbers(rows))
    for name in ("outer", "offset"):
        assert np.array_equal(getattr(again, name), getattr(labels, name))


def test_labels_follow_the_distance_to_their_centres():
    """Worked by hand: places 0 and (3, 4), centre 0: distances 0 and 5."""
    places = np.array([[0, 0], [3, 4]], np.float32)
    assert nearness(places, places[:1]).ravel() == pytest.approx([1, np.exp(-12.5)])
    whole, scale = packed(np.array([[1.0, 0.0], [-2.0, 0.0]]))
    assert whole.tolist() == [[64, 0], [-127, 0]]
    assert scale == pytest.approx([2 / 127, 0])


def test_a_damaged_or_missing_file_is_refused(tmp_path):
    path = tmp_path / "labels.safetensors"
    with pytest.raises(MissingWeightsError, match="reinstall"):
        Labels.load(path)
    path.write_bytes(b"no labels")
    with pytest.raises(WeightsError, match="damaged"):
        Labels.load(path)
    with pytest.raises(WeightsError, match="replaced"):
        Labels.load(path, sha256="ab" * 32)


def test_songs_without_an_embedding_are_counted_and_never_found(tmp_path):
    path = write_good_store(tmp_path)
    rows = [embedding_of("Piano"), None, embedding_of("Speech"), None]
    sound_id = shipped_labels().sound_sha256[:16]
    found = open_store(add_lists(path, sound_id=sound_id, embedding=rows)).find("piano", choice=ALL)
    assert len(found) == 2
    assert "2 songs have no embedding and cannot be found" in str(found.remarks)


def tagged(folder, languages):
    """Write a store that says of some songs in what language they are sung."""
    metadata = replace(METADATA, tags={"language": "tag"})
    path = write_good_store(folder, tuple(HEARD), metadata, language=None)
    for row, language in enumerate(languages):
        change(path, "language", row, language)
    return open_store(add_heard(path, [name for _, name in sorted(HEARD.items())]))


@pytest.mark.parametrize(
    "question",
    [
        FindQuestion(text="French song", choice=ALL),
        FindQuestion(text="songs from the eighties", choice=ALL),
        SimilarQuestion(seeds=("piano",), words="French song", minimum=-1, choice=ALL),
        PlaylistQuestion(words="French song", minutes=1, choice=ALL),
    ],
)
def test_where_no_song_is_known_to_answer_the_list_is_empty_and_says_so(library, question):
    found = library.ask(question)
    assert len(found) == 0
    told = "\n".join(found.remarks)
    assert "no song surely meets" in told
    assert "6 do not say, or not surely" in told
    assert "audiorec extract" in told


def test_songs_in_doubt_follow_behind_those_that_answer(tmp_path):
    library = tagged(tmp_path, ["French", "English", None, None, None, None])
    found = library.find("French song", 6, choice=ALL)
    answer = library.ids[0]
    assert found.song_ids[0] == answer
    assert len(found) == 5  # without the one in English
    assert found.unsure == set(found.rows.tolist()) - {0}
    without = replace(ALL, exclude_ids=(answer,))
    assert len(library.find("French song", 6, choice=without)) == 0

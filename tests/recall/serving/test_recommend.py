"""`recall.serving.one_user.recommend`: who gets what and why, with and without models and sound."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from made_logs import log_of
from made_stores import write_store

from audiorec.errors import InputError, WeightsError
from audiorec.library.library import Library
from audiorec.listening.events import TextColumn
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import read_side
from audiorec.recall.contract.data import RecallData
from audiorec.recall.serving.answers import RecommendQuestion
from audiorec.recall.serving.one_user.reasons import reason_phrase
from audiorec.recall.serving.one_user.recommend import Recommender
from audiorec.recall.serving.rules import ENTRIES
from audiorec.recall.simple.counts import Rules

HOUR = 3_600.0


def plays(*lists):
    """Each list is what a user ``u0``, ``u1`` ... finished, an hour apart."""
    rows = [
        (f"u{user}", song, 1.7e9 + HOUR * place, "finish")
        for user, songs in enumerate(lists)
        for place, song in enumerate(songs)
    ]
    return log_of(*rows)


LOG = plays("abc", "abd", "bcd", "aab", "xyz", "xyw")


def test_it_works_from_a_log_alone():
    recommender = Recommender(log=LOG)
    found = recommender.recommend("u0", 5)
    assert [song.rank for song in found] == list(range(1, len(found) + 1))
    assert found[0].song_id == "d"  # what others of the same songs play
    assert found[0].reason == "2 listeners of b play it"
    assert not {song.song_id for song in found} & set("abc")  # nothing that was heard
    assert {note.partition(":")[0] for note in recommender.notes} == {
        "nearest-audio",
        "nearest-artist",
    }
    assert found == Recommender(log=LOG).recommend("u0", 5)


def test_radio_brings_back_what_the_user_comes_back_to():
    found = Recommender(log=LOG).recommend("u3", 10, entry="radio")
    again = [song for song in found if song.channel == "replay"]
    assert again[0].song_id == "a"
    assert again[0].reason == "you finished it twice this week"
    assert len(again) <= 3  # of ten places


def test_disliked_and_blocked_songs_never_come():
    rows = [("u0", "d", 1.8e9, "dislike"), ("u4", "w", 1.8e9, "block")]
    more = log_of(
        *[
            (LOG.user_ids[u], LOG.song_ids[s], t, "finish")
            for u, s, t in zip(LOG.user, LOG.song, LOG.timestamp, strict=True)
        ],
        *rows,
    )
    recommender = Recommender(log=more)
    for entry in ENTRIES:
        assert "d" not in {song.song_id for song in recommender.recommend("u0", 9, entry=entry)}
        assert "w" not in {song.song_id for song in recommender.recommend("u4", 9, entry=entry)}


def test_sound_brings_new_songs_and_titles(tmp_path):
    path = tmp_path / "vecs.parquet"
    ids = write_store(path, 7, title=[f"Title {n}" for n in range(7)], content_hash=list("0123456"))
    log = log_of(
        *[
            (user, ids["abcde".index(song)], 1.7e9 + HOUR * place, "finish")
            for user, songs in (("u0", "abc"), ("u1", "abd"), ("u2", "bce"))
            for place, song in enumerate(songs)
        ]
    )
    recommender = Recommender(log=log, store=Library.open(path))
    found = recommender.recommend("u0", 10, entry="new")
    assert {song.song_id for song in found} == set(ids[5:])
    assert {song.title for song in found} == {"Title 5", "Title 6"}
    assert all(song.cold for song in found)
    said = ("new, sounds like Title", "new, by the artist of", "new, its artist", "new, goes with")
    assert all(song.reason.startswith(said) for song in found), found
    daily = recommender.recommend("u0", 10)
    assert sum(song.cold for song in daily) <= 1  # a tenth of the places
    why = recommender.why("u0", ids[5])
    assert why
    assert all(one.rank >= 1 for one in why)
    assert recommender.why("u0", "nothing") == []


def test_titles_and_artists_come_from_a_table_where_no_store_has_them(tmp_path):
    rows = ["song_id,title,artist", "d,Delta,Ayla", "z,Zeta,Bo"]
    (tmp_path / "side.csv").write_text("\n".join(rows) + "\n")
    recommender = Recommender(log=LOG, known=read_side(tmp_path / "side.csv"))
    first = recommender.recommend("u0", 1)[0]
    assert (first.song_id, first.title, first.artist) == ("d", "Delta", "Ayla")


def test_a_model_of_the_folder_stands_in_for_its_channel(tmp_path):
    for_all = Sequences.from_lists([["a", "zzz"]] * 9, [f"v{n}" for n in range(9)])
    Rules().fit(RecallData(for_all)).save(tmp_path / "models" / "my-rules")
    found = Recommender(log=plays("xa", "yb"), models=tmp_path / "models")
    assert [channel.name for channel in found.channels].count("rules") == 1
    assert "zzz" in {song.song_id for song in found.recommend("u0", 9)}


GENRES = ["song_id,title,artist,genre,energy"] + [
    f"{song},{song.upper()},{artist},{genre},{energy}"
    for song, artist, genre, energy in (
        ("a", "Ayla", "jazz", 0.9),
        ("b", "Ayla", "jazz", 0.8),
        ("c", "Bo", "rock", 0.1),
        ("d", "Cy", "rock", 0.2),
        ("e", "Cy", "jazz", 0.3),
    )
]


@pytest.fixture
def known(tmp_path):
    (tmp_path / "genres.csv").write_text("\n".join(GENRES) + "\n")
    return read_side(tmp_path / "genres.csv")


def test_each_interest_has_a_list_with_a_name(known):
    log = plays("aabc", "abce", "cde", "ae", "cd")
    found = Recommender(log=log, known=known).mixes("u0", 5)
    assert [mix.name for mix in found] == ["jazz", "rock"]  # the strongest first
    assert [[song.song_id for song in mix.songs] for mix in found] == [["e"], ["d"]]
    assert [song.rank for mix in found for song in mix.songs] == [1, 1]
    only = replace(known, categories={"artist": known.categories["artist"]})
    by_artist = Recommender(log=log, known=only).mixes("u0", 5)
    assert by_artist[0].name == "Bo and the like"
    with pytest.raises(InputError, match="mixes need genres or artists of songs"):
        Recommender(log=log).mixes("u0")


def test_lists_of_people_are_ranked_and_those_of_the_user_left_out(known):
    lists = Sequences.from_lists([["a", "d", "e"], ["c", "x"], ["z"]], ["mix", "few", "strange"])
    found = Recommender(log=plays("abc", "abd", "bce"), known=known, lists=lists)
    first, second = found.recommend_lists("u0")
    assert (first.list_id, first.songs, first.known, first.proposed) == ("mix", 3, 1, 2)
    assert first.reason.startswith("you know A; suits you: ")
    assert second.list_id == "few"
    own = replace(found, lists=replace(lists, owner_ids=("u0", "few", "strange")))
    assert [one.list_id for one in own.recommend_lists("u0")] == ["few"]
    with pytest.raises(InputError, match="no playlists"):
        Recommender(log=LOG).recommend_lists("u0")


def test_the_whole_story_of_a_song(known):
    log = plays("abc", "abd", "bce")
    found = Recommender(log=log, known=known)
    story = found.explain("u0", "d", 3)
    assert (story.title, story.artist, story.excluded_because) == ("D", "Cy", "")
    songs = [song.song_id for song in found.recommend("u0", 3)]
    assert story.place == songs.index("d") + 1
    assert {one.channel for one in story.proposals} >= {"vs-knn", "item-knn", "rules"}
    assert "heard" in found.explain("u0", "a").excluded_because
    assert found.explain("u0", "a").place == 0
    assert found.explain("u0", "nothing").proposals == ()


def test_reasons_are_true(known):
    lists = Sequences.from_lists([["c", "d"], ["c", "d"], ["d"]])
    found = Recommender(log=plays("aac", "cd", "cd", "dc"), known=known, lists=lists)
    story = found.explain("u0", "d")
    said = {one.channel: one.reason for one in story.proposals}
    assert said["item-knn"] == "in 2 lists with C"
    assert said["rules"] == "often played after C"
    no_lists = Recommender(log=plays("aac", "cd", "cd", "dc"), known=known).explain("u0", "d")
    said = {one.channel: one.reason for one in no_lists.proposals}
    assert said["item-knn"] == "3 listeners of C play it"
    assert said["recent-likes"] == "goes with C, which you played lately"


def test_learnt_weights_hold_and_a_channel_without_one_proposes_nothing(known):
    found = Recommender(log=LOG, weights={"popular": 1.0, "rules": 0.5})
    assert {song.channel for song in found.recommend("u0", 5)} <= {"popular", "rules"}
    usual = ENTRIES["daily"].recipe_for(found.channels, 5)
    weights = dict(zip((c.name for c in found.channels), usual.weights, strict=True))
    assert (weights["rules"], weights["popular"], weights["replay"]) == (1.0, 0.3, 0.0)


def test_refusals(tmp_path):
    with pytest.raises(InputError, match="no user 'u'; did you mean u0"):
        Recommender(log=LOG).explain("u", "d")
    with pytest.raises(InputError, match="unknown entry 'weekly'; there are: daily, radio"):
        Recommender(log=LOG).recommend("u0", entry="weekly")
    with pytest.raises(InputError, match=r"holds no model; .* audiorec recall train"):
        Recommender(log=LOG, models=tmp_path).recommend("u0")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "model.json").write_text("{}")
    with pytest.raises(WeightsError, match="odd"):
        Recommender(log=LOG, models=tmp_path).recommend("u0")


def test_a_user_without_a_finished_play_gets_what_is_popular():
    skipped = log_of(
        *[(f"u{n}", "hit", 1.7e9, "finish") for n in range(3)], ("new", "other", 1.7e9, "skip")
    )
    found = Recommender(log=skipped).recommend("new", 5)
    assert [song.song_id for song in found] == ["hit"]
    assert [(song.channel, song.reason) for song in found] == [("default", "popular now")]


def test_a_new_user_gets_what_is_popular_now_in_the_product():
    day = 86_400
    rows = [(f"u{n}", "old", 1.7e9, "finish") for n in range(8)]
    rows += [(f"u{n}", "hit", 1.7e9 + 30 * day, "finish") for n in range(4)]
    rows += [(f"u{n}", "driving", 1.7e9 + 30 * day, "finish") for n in range(2)]
    log = log_of(*rows)
    found = Recommender(log=log).recommend("nobody", 5)
    assert [song.song_id for song in found] == ["hit", "driving", "old"]  # 8 plays a month ago
    assert {(song.channel, song.reason) for song in found} == {("default", "popular now")}
    radio = TextColumn(np.array([0] * 12 + [1] * 2, np.int32), ("daily", "radio"))
    recommender = Recommender(log=replace(log, labels={"entry": radio}))
    assert next(s.song_id for s in recommender.recommend("nobody", 5, entry="radio")) == "driving"
    assert next(s.song_id for s in recommender.recommend("nobody", 5)) == "hit"
    assert recommender.recommend("nobody", 5, entry="new") == []  # nobody has played its songs
    assert (
        recommender.why_default("u") == "the log has no user 'u'; did you mean u0, u1, u2, u3, u4?"
    )
    assert recommender.why_default("u0") == ""


@pytest.mark.parametrize(
    ("reason", "known", "words"),
    [
        ("popular", {"listeners": 1}, "popular"),
        ("popular", {"listeners": 1200}, "popular: 1,200 listeners"),
        ("follows", {"evidence": "X", "times": 1}, "often played after X"),
        ("follows", {}, "often played after your last songs"),
        ("listeners", {"evidence": "X", "times": 3}, "by listeners of X, which you played 3 times"),
        ("artist", {"evidence": "X"}, "its artist sounds like that of X"),
        ("artist", {"evidence": "X", "same_artist": True}, "by the artist of X"),
        ("liked", {"evidence": "X", "liked": True}, "goes with X, which you liked lately"),
        ("liked", {"evidence": "X", "cold": True}, "new, sounds like X, which you played lately"),
        ("listeners", {"evidence": "X", "together": 12}, "12 listeners of X play it"),
        ("replay", {"times": 1}, "you played it before"),
        ("external", {}, "proposed by another system"),
        ("taste", {"cold": True}, "new, close to what you listen to"),
    ],
)
def test_reasons_in_words(reason, known, words):
    assert reason_phrase(reason, **known) == words


def test_an_entry_is_a_list_for_a_product():
    assert set(ENTRIES) == {"daily", "radio", "discover", "new"}
    assert all(entry.about and replace(entry.rules, k=1).k == 1 for entry in ENTRIES.values())


def test_one_question_has_one_answer():
    recommender = Recommender(log=LOG)
    answer = recommender.ask(RecommendQuestion(user_id="u0", k=3))
    assert answer.songs == recommender.recommend("u0", 3)
    assert list(answer.rows()) == answer.entries() == [asdict(song) for song in answer.songs]
    assert answer.remarks[0].startswith("3 songs for u0, from vs-knn, item-knn, rules")
    notes = [line for line in answer.remarks if line.startswith("note: nearest-")]
    assert len(notes) == 2
    assert answer.remarks[-1].startswith("no trained model was used")
    assert "no trained model" not in " ".join(replace(answer, is_trained=True).remarks)


def test_an_answer_to_a_stranger_says_what_the_list_is():
    answer = Recommender(log=LOG).ask(RecommendQuestion(user_id="u00", k=2))
    assert answer.remarks[:2] == [
        "note: the log has no user 'u00'",
        "2 songs for u00, from the default list: what is popular now",
    ]
    nothing = Recommender(log=LOG).ask(RecommendQuestion(user_id="u00", entry="new"))
    assert (nothing.songs, list(nothing.rows())) == ([], [])
    assert "new has no default list: it has only songs that nobody has played" in nothing.remarks[1]


def test_mixes_and_playlists_are_answers_too(known):
    recommender = Recommender(log=LOG, known=known)
    mixes = recommender.ask(RecommendQuestion(user_id="u0", k=2, what="mixes"))
    assert list(mixes.mixes) == recommender.mixes("u0", 2)
    assert {row["list"] for row in mixes.rows()} == {mix.name for mix in mixes.mixes}
    assert mixes.entries() == [asdict(song) for mix in mixes.mixes for song in mix.songs]
    assert mixes.remarks[0].startswith(f"{len(mixes.mixes)} lists for u0: {mixes.mixes[0].name} (")
    with pytest.raises(InputError, match="no playlists"):
        recommender.ask(RecommendQuestion(user_id="u0", what="lists"))

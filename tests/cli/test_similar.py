"""``audiorec similar``: seeds, filters, caps, reasons, playlists, refusals."""

import io
import json
import shutil
from functools import partial

import pytest
from command import run_command
from library_commands import assert_opens, files_in, read_m3u8
from made_sound import add_lists, random_sound

from audiorec.library.library import Library
from audiorec.search.explain import percent_words
from audiorec_cli.shared.song_lists import _lines


def listed(out):
    head, *lines = [line.split("\t") for line in out.splitlines()]
    return [dict(zip(head, line, strict=True)) for line in lines]


def ids(out):
    return [line["song_id"] for line in listed(out)]


def test_one_seed_lists_what_the_store_lists(in_library, music):
    code, out, err = in_library("similar", "song 03", "--k", "5")
    assert code == 0, err
    store = Library.open(music / "vecs.parquet")
    assert ids(out) == [n.song_id for n in store.similar("song 03", 5)]


def test_a_playlist_is_taken_for_its_songs(in_library, music):
    lists = music / "lists"
    lists.mkdir(exist_ok=True)
    songs = ["album 3/song 03.opus", "album 2/song 10.flac"]
    text = "#EXTM3U\n" + "".join(f"#EXTINF:4,a song\n../music/{song}\n" for song in songs)
    (lists / "two.m3u8").write_text(text, "utf-8")
    named = in_library("similar", "song 03", "song 10")[1]
    code, out, err = in_library("similar", "--from", "lists/two.m3u8")
    assert (code, out) == (0, named), err
    code, out, _ = in_library("playlist", "--from", "lists/two.m3u8", "--minutes", "10", "--json")
    assert code == 0
    assert [song["song_id"] for song in json.loads(out)["songs"]][:2] == songs


def test_relative_paths_of_a_playlist_begin_at_its_folder(tmp_path, monkeypatch):
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "a.flac").touch()
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "one.m3u8").write_text("#EXTM3U\n../songs/a.flac\nan id\n")
    monkeypatch.chdir(tmp_path)
    assert _lines("lists/one.m3u8") == ["lists/../songs/a.flac", "an id"]


def test_seeds_from_a_list_and_from_stdin(in_library, music, monkeypatch):
    text = "\ufeff# my seeds\nsong 03\n\n  song 10  \nsong 03\n"
    (music / "seeds.txt").write_text(text, "utf-8")
    named = in_library("similar", "song 03", "song 10")[1]
    assert in_library("similar", "--from", "seeds.txt")[1] == named
    monkeypatch.setattr("sys.stdin", io.StringIO("song 10\n"))
    assert in_library("similar", "song 03", "--from", "-")[1] == named


def test_lists_are_filled_although_the_nearest_are_capped(in_library):
    options = ("--max-per-artist", "2", "--minimum", "-1")
    code, out, _ = in_library("similar", "song 00", "-k", "8", *options)
    assert code == 0
    assert len(ids(out)) == 8


def test_only_and_exclude(in_library):
    _, out, _ = in_library("similar", "song 00", "--only", "codec=mp3|flac, duration<3:20")
    assert ids(out)
    assert all(name.endswith((".mp3", ".flac")) for name in ids(out))
    _, out, err = in_library(
        *("similar", "song 00", "-k", "40", "--exclude", "album 1/", "--exclude", "*.mp3"),
        *("--exclude", "nobody"),
    )
    assert ids(out)
    assert not [n for n in ids(out) if n.startswith("album 1/") or n.endswith(".mp3")]
    assert "--exclude nobody matches no song" in err


def test_copies_are_left_out_and_that_is_said(in_library):
    _, out, err = in_library("similar", "song 07.ogg", "-k", "3")
    assert "copies/song 7b.mp3" not in ids(out)
    assert "1 copy of these songs left out (--also copies" in err
    _, out, err = in_library("similar", "song 07.ogg", "-k", "3", "--also", "copies")
    assert listed(out)[0]["song_id"] == "copies/song 7b.mp3"
    assert float(listed(out)[0]["closer_than"]) > 0.99
    assert "left out" not in err


def test_why_says_what_is_true_of_both_and_changes_no_order(in_library, music):
    plain = json.loads(in_library("similar", "song 00", "-k", "20", "--json")[1])
    told = json.loads(in_library("similar", "song 00", "-k", "20", "--why", "--json")[1])
    assert [s["song_id"] for s in told["songs"]] == [s["song_id"] for s in plain["songs"]]
    assert (told["schema"], told["by"]) == ("audiorec/similar/2", "vector")
    store = Library.open(music / "vecs.parquet")
    artist = store["song 00"]["artist"]
    same = [s for s in told["songs"] if (s["artist"] or "").strip().lower() == artist.lower()]
    assert same
    for one in told["songs"]:
        kinds = {reason["kind"] for reason in one["why"]}
        assert ("artist" in kinds) == (one in same)
    lines = listed(in_library("similar", "song 00", "-k", "20", "--why")[1])
    assert [line["why"] for line in lines if f"both by {artist}" in line["why"]]
    assert "speech" not in json.dumps(told)


def test_a_person_reads_percent_and_reasons_below_the_table(in_library, monkeypatch):
    told = json.loads(in_library("similar", "song 00", "-k", "20", "--why", "--json")[1])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    code, out, err = in_library("similar", "song 00", "-k", "20", "--why")
    lines = out.splitlines()
    assert (code, lines[1].split()[:2]) == (0, ["rank", "closer"]), err
    assert max(map(len, lines)) <= 80
    first = percent_words(told["songs"][0]["closer_than"])
    assert first in next(line for line in lines if line.split()[:1] == ["1"])
    reasoned = [n for n, one in enumerate(told["songs"], 1) if any(r["share"] for r in one["why"])]
    assert [n for n in range(1, 21) if any(line.startswith(f"{n}: ") for line in lines)] == reasoned


def test_songs_that_are_not_alike_are_cut_and_counted(in_library, music):
    def listed(least):
        how = ("-k", "30", "--minimum", least, "--json")
        code, out, err = in_library("similar", "song 00", *how)
        assert code == 0
        return json.loads(out), err

    everyone, _ = listed("-1")
    near = [entry["similarity"] for entry in everyone["songs"]]
    assert len(near) == 29  # its copy apart
    least = round(near[14] - 1e-4, 4)
    document, err = listed(str(least))
    assert (document["minimum"], document["songs"]) == (least, everyone["songs"][:15])
    assert f"14 more songs have a similarity below {least:g} (--minimum -1 lists them)" in err
    assert "the store has 29 eligible songs, not 30" in err


def test_an_older_store_is_compared_by_vector_and_says_how_to_add_sound(in_library, music):
    made = in_library("similar", "song 00", "--json")
    assert json.loads(made[1])["by"] == "vector"
    assert "note: compared by vector: this store has no sound; to add it: " in made[2]
    code, out, err = in_library("similar", "song 00", "--by", "sound")
    assert (code, out) == (2, "")
    assert "has no sound, as it was extracted without; to add it: audiorec extract" in err


@pytest.fixture
def sounding(music, tmp_path, monkeypatch, capsys):
    """Run the command beside a copy of the store that has sound, for all songs but the third."""
    path = tmp_path / "vecs.parquet"
    shutil.copy(music / "vecs.parquet", path)
    sound = [None if i == 2 else row for i, row in enumerate(random_sound(31))]
    add_lists(path, sound=sound)
    monkeypatch.chdir(tmp_path)
    return partial(run_command, monkeypatch, capsys)


def test_songs_are_compared_by_sound_and_those_without_are_counted(sounding):
    code, out, err = sounding("similar", "song 00", "-k", "40", "--minimum", "-1", "--json")
    found = json.loads(out)
    assert (code, found["by"], len(found["songs"])) == (0, "sound", 28)
    assert "note: 1 of 31 songs have no sound and are never found; to add it: audiorec" in err
    lacking = Library.open("vecs.parquet").ids[2]
    assert lacking not in [song["song_id"] for song in found["songs"]]
    code, out, err = sounding("similar", lacking)
    assert (code, out) == (2, "")
    assert f"'{lacking}' has no sound, as it was extracted without: compare by vector" in err
    assert sounding("similar", lacking, "--by", "vector")[0] == 0


def test_reasons_beside_the_nearest_seed_towards_and_away(sounding):
    options = ("--less-like", "song 04", "--why", "-k", "3", "--json")
    code, out, err = sounding("similar", "song 00", "song 01", *options)
    assert code == 0, err
    document = json.loads(out)
    assert document["by"] == "sound"
    store = Library.open("vecs.parquet")
    space = store.space()
    seeds = space.units([store.row_number(seed) for seed in document["seeds"]])
    for song in document["songs"]:
        near = (seeds @ space.units([store.row_number(song["song_id"])])[0]).max(keepdims=True)
        assert song["closer_than"] == pytest.approx(store.closer_than(space, near)[0], abs=1e-4)
        assert isinstance(song["why"], list)


def test_a_playlist_from_a_folder_beside_opens(in_library, music, monkeypatch):
    options = ("-k", "25", "--minimum", "-1", "--m3u8", "lists/like.m3u8", "--exclude", "copies/")
    code, out, err = in_library("similar", "song 03", *options)
    assert (code, out) == (0, "")
    entries = read_m3u8(music / "lists" / "like.m3u8")
    assert len(entries) == 26
    assert entries[0][:2] == (81, "Song 3")
    assert {path.suffix for _, _, path in entries} == {".flac", ".mp3", ".ogg", ".opus", ".m4a"}
    assert_opens(entries)
    assert "26 songs written to lists/like.m3u8" in err


def test_a_playlist_through_a_linked_folder_opens(in_library, music, tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "deep" / "er")
    assert in_library("similar", "song 03", "-k", "2", "--m3u8", link / "x.m3u8")[0] == 0
    assert_opens(read_m3u8(link / "x.m3u8"))


def test_files_that_are_gone_are_told_of(in_library):
    _, _, err = in_library("similar", "song 7b", "--m3u8", "lists/gone.m3u8")
    assert "1 of these files no longer exist, for example /music/copies/song 7b.mp3" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name a song"),
        (["song 00", "--only", "genre=jaz"], 2, "there are: jazz, metal, pop"),
        (["song 00", "--only", "genre"], 2, "expected at the end"),
        (["song 00", "--diversity", "2"], 2, "diversity"),
        (["song 00", "--k", "0"], 2, "k"),
        (["song 00", "--max-per-artist", "-1"], 2, "max-per-artist"),
        (["song 00", "--by", "tempo"], 2, "by must be one of auto, sound, vector, or"),
        (["song 00", "--by", "vecs.parquet"], 4, "holds vectors of songs, not embeddings"),
        (["song 00", "--also", "jingles"], 2, "'jingles' is not one of 'copies', 'non-music'"),
        (["song 00", "--m3u8", "nowhere/x.m3u8"], 2, "there is no folder nowhere"),
        (["song 00", "--m3u8", "lists"], 2, "lists: is a folder"),
        (["song 00", "--m3u8", "-", "--json"], 2, "would both write to stdout"),
        (["song 00", "-v", "empty/vecs.parquet"], 4, "has no songs"),
        (["music/album 0/song 00.flac", "-v", "other/vecs.parquet"], 2, "fedcba9876543210"),
    ],
)
def test_a_mistake_is_one_clear_line_and_writes_nothing(
    in_library, music, arguments, code, message
):
    before = files_in(music)
    found, out, err = in_library("similar", *arguments)
    assert found == code, err
    assert message in err
    assert out == ""
    assert "Traceback" not in err
    assert files_in(music) == before
    if "Usage:" not in err:
        assert len(err.splitlines()) == 1

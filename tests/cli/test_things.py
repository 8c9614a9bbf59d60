"""A path names a thing: ``info`` tells which, other commands refuse it and name a command."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import run_command
from made_songs import write_song

import audiorec
from audiorec_cli.shared.things import KNOWN, Sort, recognise

LOG = "user_id,song_id,timestamp,event\n" + "".join(
    f"u{user},{song},2026-11-0{day}T10:00:00Z,play\n"
    for day, song in enumerate(("a/one.flac", "b/two.wav", "a/one.flac"), start=1)
    for user in range(4)
)
NIGHT = """[recall]
interactions = "plays.csv"
out = "night"
channels = ["popular"]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with one thing of each sort, made by the commands themselves."""
    home = tmp_path_factory.mktemp("things")
    for seed, name in enumerate(("a/one.flac", "b/two.wav")):
        write_song(home / "songs" / name, seed=seed, seconds=7.0)
    write_song(home / "song.wav", seed=0, seconds=7.0)
    audiorec.extract(home / "songs", out=home / "vecs.parquet", jobs=1)
    (home / "plays.csv").write_text(LOG)
    (home / "recall.toml").write_text(NIGHT)
    (home / "list.m3u8").write_text("#EXTM3U\nsongs/a/one.flac\n")
    lists = {"user_id": ["u1"], "song_id": ["b/two.wav"], "score": [1.0]}
    pq.write_table(pa.table(lists), home / "lists.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for line in (
            "recall train item-knn -i plays.csv --out model",
            "recall run --config recall.toml",
            "manifest songs --out manifest.parquet",
        ):
            assert run_command(patch, _Quiet, *line.split())[0] == 0, line
    return home


class _Quiet:
    """In place of capsys, which has the scope of a test."""

    out = err = ""

    @classmethod
    def readouterr(cls):
        return cls


@pytest.fixture
def run(made, monkeypatch, capsys):
    monkeypatch.chdir(made)
    return lambda line: run_command(monkeypatch, capsys, *line.split())


SORTS = {
    "vecs.parquet": Sort.STORE,
    "model": Sort.MODEL,
    "night": Sort.NIGHT,
    "plays.csv": Sort.LOG,
    "lists.parquet": Sort.CANDIDATES,
    "manifest.parquet": Sort.MANIFEST,
    "model.run.json": Sort.RECORD,
    "list.m3u8": Sort.PLAYLIST,
    "song.wav": Sort.SONG,
    "songs": Sort.FOLDER,
    "recall.toml": None,
    "gone": None,
}


@pytest.mark.parametrize(("name", "sort"), SORTS.items())
def test_a_thing_is_recognised_by_its_path(made, name, sort):
    thing = recognise(made / name)
    assert (thing and thing.sort) == sort


def test_every_sort_is_called_something_and_has_a_command():
    assert set(KNOWN) == set(Sort)
    assert all(one.words and one.commands for one in KNOWN.values())


def test_info_of_a_store_is_the_info_of_the_store(run):
    assert run("info vecs.parquet --json") == run("info --vectors vecs.parquet --json")


@pytest.mark.parametrize(
    ("name", "words", "command"),
    [
        ("model", "a trained model", "audiorec recall candidates model -i LOG"),
        ("night", "the folder of a nightly run", "audiorec recall export night"),
        ("plays.csv", "a listening log", "audiorec listening check plays.csv"),
        ("manifest.parquet", "a manifest of songs", "audiorec shards manifest.parquet"),
        ("model.run.json", "the record of a run", "audiorec runs model.run.json"),
        ("list.m3u8", "a playlist", "audiorec similar --from list.m3u8"),
        ("songs", "a folder", "audiorec start songs"),
    ],
)
def test_info_tells_what_a_thing_is_and_what_reads_it(run, name, words, command):
    code, out, err = run(f"info {name}")
    assert (code, err) == (0, "")
    assert f"what: {words}\n" in out
    assert f"read it: {command}" in out
    document = json.loads(run(f"info {name} --json")[1])
    assert (document["schema"], document["what"]) == ("audiorec/thing/1", words)
    assert document["commands"][0].startswith(command)


WRONG = [
    ("start vecs.parquet", "a store of songs, not a folder of songs; run: audiorec browse --vec"),
    ("start model", "a trained model, not a folder of songs; run: audiorec info model"),
    ("start song.wav", "song.wav: is not a folder; give the folder of your songs"),
    ("extract vecs.parquet", "a store of songs, not songs or folders"),
    ("extract list.m3u8", "a playlist, not songs .*run: audiorec similar --from list.m3u8"),
    ("manifest plays.csv", "a listening log, not songs .*run: audiorec listening check plays.csv"),
    ("similar vecs.parquet", "not a song; run: audiorec similar SONG --vectors vecs.parquet"),
    ("similar songs", "a folder, not a song; run: audiorec start songs"),
    ("similar model", "a trained model, not a song; run: audiorec info model"),
    ("classify vecs.parquet", "run: audiorec classify SONG --vectors vecs.parquet"),
    ("find vecs.parquet", "not a sentence; run: audiorec find WORDS --vectors vecs.parquet"),
    ("playlist vecs.parquet", "run: audiorec playlist SONG --vectors vecs.parquet"),
    ("duplicates vecs.parquet", "run: audiorec duplicates --vectors vecs.parquet"),
    ("browse songs", "songs: is a folder; run: audiorec start songs"),
    ("serve vecs.parquet", "run: audiorec serve --vectors vecs.parquet"),
    ("playlists plays.csv", "a listening log; run: audiorec listening check plays.csv"),
    ("doctor model", "a trained model; run: audiorec info model"),
    ("store verify model", "a trained model, not a store; run: audiorec info model"),
    ("store aliases plays.csv", "a listening log, not a store"),
    ("store merge plays.csv", "a listening log, not a store or a file beside one"),
    ("recall candidates vecs.parquet -i plays.csv -o x", "not a trained model; run: audiorec"),
    ("recall candidates night -i plays.csv -o x", "a nightly run, not a trained model"),
    ("recall promote vecs.parquet", "a store of songs, not a folder of nightly runs"),
    ("recall fuse vecs.parquet -o x", "a store of songs, not lists of songs"),
    ("recall train vecs.parquet -i plays.csv -o x", "a store of songs, not a channel"),
    ("listening check vecs.parquet", "a store of songs, not a listening log"),
    ("listening check model", "a trained model, not a listening log"),
    ("shards vecs.parquet 0/1 -o x", "a store of songs, not a manifest"),
    ("config vecs.parquet", "a store of songs, not a command"),
    ("sync vecs.parquet", "a store of songs, not the name of a server"),
    ("heads vecs.parquet --task t -o x", "a store of songs, not labels"),
    ("runs songs", "not a record of a run"),
]


@pytest.mark.parametrize(("line", "words"), WRONG)
def test_a_command_says_what_it_was_given_and_what_to_run(run, made, line, words):
    before = sorted(made.iterdir())
    code, _, err = run(line)
    assert code in (2, 4)
    (error,) = [one for one in err.splitlines() if one.lower().startswith("error: ")]
    assert re.search(words, error), error
    assert sorted(made.iterdir()) == before


def test_a_folder_with_the_name_of_a_song_does_not_hide_it(run, made):
    (made / "two").mkdir(exist_ok=True)
    try:
        assert run("similar two --k 1")[0] == 0
        assert "song id: b/two.wav" in run("info two")[1]
    finally:
        (made / "two").rmdir()

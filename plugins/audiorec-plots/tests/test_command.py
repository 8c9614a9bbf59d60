"""``audiorec plot``: the right songs, and one picture or none."""

import json
import re
import shutil

import pytest
from library_commands import files_in
from made_songs import write_song
from made_stores import write_store
from needs import needs

needs("audiorec_plots")

from audiorec.store.store import VectorStore

PNG, SVG = b"\x89PNG", b"<?xml"
FIRST, SECOND = "album 0/song 00.flac", "album 1/song 01.mp3"


@pytest.fixture
def drawn(in_library, tmp_path):
    """Run ``audiorec plot`` in the library with a picture to write; return document and bytes."""

    def run(*arguments, name="a.svg"):
        path = tmp_path / name
        code, out, err = in_library("plot", *arguments, "--out", path, "--json")
        assert (code, err.splitlines()[-1]) == (0, f"written: {path}"), err
        return json.loads(out), path.read_bytes()

    return run


def text_of(svg):
    """The texts of an SVG: matplotlib draws letters, and writes the text beside them."""
    return re.findall(r"<!-- (.*?) -->", svg.decode(), re.DOTALL)


def test_a_song_of_the_store_is_drawn_from_its_scores(drawn, music):
    document, svg = drawn("song 04")
    assert svg.startswith(SVG)
    assert document["song"] == "album 0/song 04.m4a"
    assert (document["segments"], document["waveform"]) == (20, False)
    store = VectorStore.open(music / "vecs.parquet")
    means = store.vector(document["song"]).reshape(5, 6)[:, 2]
    assert list(document["mean_scores"].values()) == pytest.approx(means.tolist(), abs=1e-4)
    assert "Bjørk: Song 5  (1:00, 20 segments)" in text_of(drawn("song 05")[1])


def test_a_song_whose_file_cannot_be_used_is_drawn_without_its_waveform(in_library, tmp_path):
    # Half a second of audio is too short for a waveform to be read; a copy has no file at all.
    for song in (FIRST, "copies/song 7b.mp3"):
        code, out, err = in_library("plot", song, "-o", tmp_path / "a.png")
        assert (code, out) == (0, "")
        assert err.startswith("note: drawn without its waveform: ")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)


def test_a_file_needs_no_store(audiorec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUDIOREC_VECTORS", raising=False)
    write_song(tmp_path / "my song.wav", seed=3, seconds=7.0)
    code, out, err = audiorec("plot", "my song.wav", "-o", "a.svg", "--json")
    assert (code, err) == (0, "written: a.svg\n")
    document = json.loads(out)
    assert (document["song"], document["segments"], document["waveform"]) == (
        "my song.wav",
        2,
        True,
    )
    assert len(document["mean_scores"]) == 14
    assert "my song.wav  (0:07, 2 segments)" in text_of((tmp_path / "a.svg").read_bytes())
    code, out, err = audiorec("plot", "my song.wav", "my song.wav", "-o", "b.png")
    assert (code, out) == (0, "")
    assert "no similarity" in err


def test_a_song_that_is_neither_file_nor_in_a_store(audiorec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUDIOREC_VECTORS", raising=False)
    code, _, err = audiorec("plot", "nobody", "-o", "a.png")
    assert code == 2
    assert "audiorec extract FOLDER" in err


def test_a_store_without_scores_of_another_extractor(music, audiorec, tmp_path, monkeypatch):
    shutil.copy(music / "vecs.parquet", tmp_path)
    monkeypatch.chdir(tmp_path)
    code, _, err = audiorec("plot", "song 04", "-o", "a.png")
    assert code == 2
    assert "--head" in err
    assert not (tmp_path / "a.png").exists()


def test_two_songs_are_as_similar_as_similar_says(drawn, in_library):
    _, out, _ = in_library("similar", FIRST, "--k", "40", "--by", "vector", "--json")
    near = {s["song_id"]: s["similarity"] for s in json.loads(out)["songs"]}
    found = next(iter(near))
    document, svg = drawn(FIRST, found, "--by", "vector")
    assert document["similarity"] == pytest.approx(near[found], abs=1e-5)
    assert (document["by"], document["songs"]) == ("vector", [FIRST, found])
    assert f"similarity {near[found]:.2f}" in text_of(svg)


def test_the_similarity_is_printed(in_library, tmp_path):
    code, out, err = in_library("plot", FIRST, SECOND, "-o", tmp_path / "a.png")
    assert code == 0
    assert err.endswith(f"written: {tmp_path / 'a.png'}\n")
    assert "compared by vector: this store has no sound" in err
    assert re.fullmatch(r"similarity by \w+: -?[01]\.\d{4}\n", out)


def test_a_library_is_counted(drawn):
    document, svg = drawn()
    assert document["songs"] == 31
    assert sum(document["colours"].values()) + document["no_music"] == 31
    assert document["projection"] == "pca"
    assert len(document["hubs"]) == sum(n > 0 for n in document["colours"].values())
    assert "vecs.parquet  (31 songs)" in text_of(svg)
    assert document["by"] == "vector"
    other, _ = drawn("--by", "vector")
    assert other["by"] == "vector"


def test_the_same_call_writes_the_same_bytes(drawn):
    for form in ("png", "svg"):
        pictures = [drawn(name=f"{n}.{form}")[1] for n in range(2)]
        assert pictures[0] == pictures[1]


def test_size_and_resolution(in_library, tmp_path):
    from matplotlib.image import imread

    size = ("--size", "8x5@50")
    for command in ((FIRST,), (FIRST, SECOND), ()):
        path = tmp_path / f"{len(command)}.png"
        assert in_library("plot", *command, "-o", path, *size)[0] == 0
        assert imread(path).shape[:2] == (250, 400)


@pytest.mark.parametrize("command", [(FIRST,), (FIRST, SECOND), ()])
@pytest.mark.parametrize(
    ("out", "more", "told"),
    [
        ("a.jpg", (), "use .png, .svg or .html"),
        ("gone/a.png", (), "its folder does not exist"),
        ("a.png", ("--size", "1x5"), "2 to 100 inches"),
        ("a.png", ("--size", "5x-3"), "as in 16x9@200"),
        ("a.png", ("--size", "nanx5"), "as in 16x9@200"),
        ("a.png", ("--size", "5.5.5x5"), "as in 16x9@200"),
        ("a.png", ("-v", "empty/vecs.parquet"), "no songs"),
    ],
)
def test_a_mistake_writes_nothing(in_library, music, command, out, more, told):
    before = files_in(music)
    code, printed, err = in_library("plot", *command, "-o", out, *more)
    assert (code, printed) == (4 if "-v" in more else 2, "")
    assert re.fullmatch(r"(note: .*\n)*error: .*\n", err), err
    assert told in err
    assert files_in(music) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((FIRST, SECOND, FIRST), "3 songs: give one, or two to compare"),
        (("--user", "u1"), "--user and --interactions go together"),
        (("-i", "plays.csv"), "--user and --interactions go together"),
        (("--user", "u1", "-i", "plays.csv", FIRST), "--user draws the whole store, not"),
    ],
)
def test_what_cannot_be_drawn_is_refused(in_library, tmp_path, words, said):
    (tmp_path / "plays.csv").touch()
    words = [tmp_path / word if word == "plays.csv" else word for word in words]
    code, out, err = in_library("plot", *words, "-o", tmp_path / "a.png")
    assert (code, out, said in err) == (2, "", True), err
    assert not (tmp_path / "a.png").exists()


def test_a_correlation_is_drawn_from_its_report(audiorec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_store(tmp_path / "vecs.parquet", 120)
    store = ("-v", "vecs.parquet")
    world = ("--users", "60", "--days", "40", "--out", "world")
    assert audiorec("listening", "simulate", *store, *world)[0] == 0
    log = ("-i", "world/interactions.parquet")
    _, report, _ = audiorec("listening", "correlate", *log, *store, "--json")
    (tmp_path / "r.json").write_text(report)
    code, out, err = audiorec("plot", "r.json", "--size", "5x4@50", "-o", "r.png", "--json")
    assert (code, err) == (0, "written: r.png\n")
    assert json.loads(out) == {
        "schema": "audiorec/plot-correlation/1",
        "picture": "r.png",
        "users": json.loads(report)["users"],
    }
    assert (tmp_path / "r.png").read_bytes().startswith(PNG)

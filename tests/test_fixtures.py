"""The clips of ``fixtures/audio`` and ``fixtures/demo`` are what is said of them."""

import csv
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import fixture_music as music
import head_packages
import numpy as np
import pytest
import soundfile
from tinytag import TinyTag

from audiorec.audio.decode import waveform
from audiorec.audio.tags import read_tags
from audiorec.types import Status

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "fixtures" / "audio"
MAX_BYTES = 5_000_000
VERSIONS = {"vocal", "instrumental", "vocal_accompaniment", "other"}
GENRES = set("blues classical country electronic folk hiphop jazz metal pop rock".split())
NOT_CLAIMED = {"none claimed"}


class Row(NamedTuple):
    """One line of the README's table."""

    file: str
    what: str
    source: str
    version: str
    genre: str
    status: str
    seconds: str
    format: str


def readme_rows() -> list[Row]:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [
        Row(*(cell.strip().strip("`") for cell in line.strip("|").split("|"))) for line in lines
    ]


ROWS = readme_rows()
SIGNALS = [row for row in ROWS if row.source == "signal"]
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)


def test_readme_lists_the_folder():
    in_folder = {path.name for path in FOLDER.iterdir()} - {"README.md"}
    assert sorted(row.file for row in ROWS) == sorted(in_folder)


def test_folder_is_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MAX_BYTES


def test_every_version_and_format_is_there():
    assert {row.version for row in ROWS} == VERSIONS | NOT_CLAIMED
    formats = " | ".join(row.format for row in ROWS)
    for wanted in (
        *("constant", "variable", "FLAC", "Ogg Vorbis", "Opus", "AAC", "ALAC", "WAV", "AIFF"),
        *("mono", "stereo", " 8 kHz", "22.05 kHz", "44.1 kHz", "48 kHz", "24 bits"),
    ):
        assert wanted in formats


def test_licence_table_names_every_package():
    licences = (FOLDER / "README.md").read_text(encoding="utf-8").partition("## Licences")[2]
    packages = {row.source.split()[0] for row in ROWS if not row.source.startswith("rendered")}
    for package in packages - {"signal"}:
        assert f"| {package}" in licences


@each_row
def test_expected_answers_are_of_the_taxonomy(row):
    assert row.version in VERSIONS | NOT_CLAIMED
    assert row.genre in GENRES | NOT_CLAIMED


@each_row
def test_clip_is_as_described(row):
    samples, info = waveform(FOLDER / row.file)
    rate_khz = float(re.search(r"([\d.]+) kHz", row.format)[1])
    # A lossy encoder may pad to a whole frame of its own, which is under 50 ms.
    assert info.duration_s == pytest.approx(float(row.seconds), abs=0.05)
    assert info.status is Status(row.status)
    assert info.sample_rate == 1000 * rate_khz
    assert info.channels == {"mono": 1, "stereo": 2}[row.format.rpartition(" ")[2]]
    assert np.isfinite(samples).all()


@each_row
def test_clip_has_title_and_artist(row):
    tags = read_tags(FOLDER / row.file)
    assert tags.title
    assert tags.artist


def test_tags_keep_their_accents():
    tags = read_tags(FOLDER / "rock-song-with-woman-singing.m4a")
    assert (tags.title, tags.artist) == ("Farkaskönny", "Obsidian Shell")


@pytest.fixture(scope="module")
def remade(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("signals")
    script = ROOT / "scripts/samples/make_fixtures.py"
    subprocess.run([sys.executable, script, "signals", "--out", folder], check=True)
    return folder


def test_script_makes_all_signals(remade):
    assert sorted(path.name for path in remade.iterdir()) == sorted(row.file for row in SIGNALS)


@pytest.mark.parametrize("row", SIGNALS, ids=lambda row: row.file)
def test_signal_is_what_the_script_makes(row, remade):
    kept, rate = soundfile.read(FOLDER / row.file, dtype="int32")
    made, made_rate = soundfile.read(remade / row.file, dtype="int32")
    assert rate == made_rate
    assert kept.shape == made.shape
    # One step of 16 bits: sines differ in the last digit from one processor to another.
    assert np.abs(kept.astype(np.int64) - made).max() <= 1 << 16


@pytest.mark.parametrize(
    ("note", "key"), [("C4", 60), ("A4", 69), ("F#3", 54), ("Bb2", 46), ("C-1", 0), ("G9", 127)]
)
def test_key_counts_from_the_lowest_c(note, key):
    assert music.key(note) == key


def test_midi_file_of_two_notes():
    piece = music.Piece(120, (music.Voice(24, 90, "C4:1 -:.5 E4+G4:2"),))
    assert music.midi_file(piece) == bytes.fromhex(
        "4d546864 00000006 0001 0002 01e0"  # format 1, two tracks, 480 ticks a beat
        "4d54726b 0000000b 00ff5103 07a120 00ff2f00"  # 500,000 microseconds a beat
        "4d54726b 00000022 00c018"
        "00903c5a 8360803c00"  # C4 on; off after 480 ticks
        "8170 90405a 0090435a 8740 804000 00804300"  # after a rest of 240: E4, G4; 960 ticks
        "00ff2f00"
    )


def test_rest_in_a_song_is_written_before_the_next_word():
    markup = music.singing_markup("C4:1 -:2 D4:.5 E4:1", "one two-fold", tempo=120, octave=-1)
    assert '<PITCH NOTE="C3"><DURATION SECONDS="0.500">one</DURATION></PITCH>' in markup
    assert (
        '<REST SECONDS="1.000"></REST>\n'
        '<PITCH NOTE="D3,E3"><DURATION SECONDS="0.250,0.500">twofold</DURATION></PITCH>'
    ) in markup


def test_song_has_a_note_for_each_syllable():
    syllables = [s for word in music.SONG_WORDS.split() for s in word.split("-")]
    assert len(syllables) == sum(bool(names) for names, _ in music.beats(music.SONG))
    with pytest.raises(ValueError, match="more syllables than notes"):
        music.singing_markup(music.SONG, music.SONG_WORDS + " again", tempo=100)


@pytest.mark.parametrize("name", ["BLUES", "CHOIR", "SONG_GUITAR", "FOLK", "COUNTRY"])
def test_voices_of_a_piece_end_together(name):
    lengths = [
        sum(length for _, length in music.beats(voice.notes))
        for voice in getattr(music, name).voices
    ]
    assert lengths == pytest.approx([lengths[0]] * len(lengths), abs=0.01)


def test_a_genre_that_is_clear_is_the_one_that_was_claimed():
    import audiorec

    claimed = {row.file.strip("`"): row.genre for row in readme_rows()}
    found = audiorec.classify(FOLDER)
    clear = {name: reading.genre_words for name, reading in found.items() if reading.genre_clear}
    assert clear  # and be it one without a claim
    wrong = {n: words for n, words in clear.items() if claimed[n] not in (words, "none claimed")}
    assert wrong == {}
    assert not any(reading.styles for reading in found.values())


DEMO = ROOT / "fixtures" / "demo"
SONGS = list(csv.DictReader((DEMO / "songs.csv").read_text(encoding="utf-8").splitlines()))
FREE = re.compile(r"public domain|CC0 1.0|CC BY(-SA)?( [34].0)?|MIT|EFF Open Audio License 1")


def test_the_songs_of_the_demonstration_are_those_of_their_list():
    in_folder = {path.name for path in DEMO.iterdir()} - {"README.md", "songs.csv"}
    assert sorted(song["file"] for song in SONGS) == sorted(in_folder)
    assert 24 <= len(SONGS) <= 50
    assert sum(path.stat().st_size for path in DEMO.iterdir()) < 6_500_000  # the wheel has them


@pytest.mark.parametrize("song", SONGS, ids=lambda song: song["file"])
def test_a_song_of_the_demonstration_says_whose_it_is(song):
    assert FREE.fullmatch(song["licence"])
    assert song["source"]
    tags = read_tags(DEMO / song["file"])
    assert (tags.title, tags.artist) == (song["title"], song["artist"])
    assert (TinyTag.get(DEMO / song["file"]).genre or "") == song["genre"]
    assert song["genre"] in GENRES | {""}
    assert bool(song["genre"]) <= bool(song["said_by"])
    assert waveform(DEMO / song["file"])[1].status is Status.OK


def test_what_the_heads_know_of_the_demonstration_is_told():
    """By the lists of the packages that they learnt from."""
    learnt = {corpus.folder for corpus in head_packages.MUSIC} | set(head_packages.SOUNDTRACKS)
    told = {song["source"] for song in SONGS if "learnt: " in song["heads"]}
    elsewhere = {"audiotsm-0.1.2", "libsoni-1.1.0"}  # of which genre learns
    speech_and_holds = {"asterisk-core-sounds-en-g722", "asterisk-moh-opsound-g722"}  # as -wav
    of_demo = {song["source"] for song in SONGS}
    assert told == of_demo & learnt | elsewhere | speech_and_holds
    readme = (DEMO / "README.md").read_text(encoding="utf-8")
    assert f"{len(SONGS)} pieces" in readme
    assert sum(not song["heads"] for song in SONGS) == 19
    assert "the 19 pieces" in readme


# Each says how many pieces the demonstration has, and how many are of packages learnt from.
TELLS = ("README.md", "NOTICE", "docs/index.md", "docs/page.md", "fixtures/demo/README.md")


@pytest.mark.parametrize("page", TELLS)
def test_a_page_says_how_many_songs_of_the_demonstration_were_learnt_from(page):
    words = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    learnt = sum("learnt: " in song["heads"] for song in SONGS)
    told = re.findall(
        r"(\d+) (?:pieces|songs)\b[^.]{0,60}?\b(\d+) are from packages that "
        r"(?:some of the )?\[?shipped weights learnt",
        words,
    )
    assert told == [(str(len(SONGS)), str(learnt))]


def test_no_page_counts_the_songs_of_the_demonstration_otherwise():
    pages = [ROOT / "README.md", ROOT / "NOTICE", DEMO / "README.md", *(ROOT / "docs").glob("*.md")]
    for path in [*pages, *(ROOT / "docs" / "tutorials").glob("*.md")]:
        words = " ".join(path.read_text(encoding="utf-8").split())
        counts = re.findall(r"(\d+) pieces of free music|these are all (\d+) pieces", words, re.I)
        assert {one or other for one, other in counts} <= {str(len(SONGS))}, path


def test_the_pictures_leave_out_no_song():
    script = (ROOT / "scripts" / "pictures.py").read_text(encoding="utf-8")
    stems = {Path(song["file"]).stem for song in SONGS}
    assert not {stem for stem in stems if f'"{stem}"' in script}


def test_no_figure_counts_the_demonstration():
    # check_packages.py looks for the songs in a wheel; prose.py reads the README there; the scaling
    # is a constant that is judged on other songs; the example shows what one sees, and measures
    # nothing.
    drawn = {
        "check_packages.py",
        "make_fixtures.py",
        "pictures.py",
        "prose.py",
        "fit_scaling.py",
        "kills.py",
        "my_library.py",
    }
    for folder in ("scripts", "benchmarks", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert path.name in drawn or "fixtures/demo" not in text, path

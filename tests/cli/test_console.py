"""How commands speak: tables for people and pipes, errors as exit codes."""

import re
import subprocess
import sys

import pytest
from rich.cells import cell_len

from audiorec import errors
from audiorec.listening.events import RowsError
from audiorec_cli.shared.console import (
    Column,
    Exit,
    counted,
    exit_code,
    print_document,
    print_table,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InputError("x"), Exit.USAGE),
        (errors.UnknownSongError("x"), Exit.USAGE),
        (errors.SpecMismatchError("x"), Exit.USAGE),
        (errors.MissingExtraError("x", "train", "y"), Exit.USAGE),
        (errors.MissingFileError("x"), Exit.USAGE),
        (errors.MissingStoreError("x"), Exit.USAGE),
        (errors.MissingWeightsError("x"), Exit.USAGE),
        (errors.MissingSongError("x", "unreadable", "gone"), Exit.USAGE),
        (errors.DamagedFileError("x"), Exit.NOTHING_USABLE),
        (RowsError("x", 1, 2, ()), Exit.NOTHING_USABLE),
        (errors.StoreError("x"), Exit.NOTHING_USABLE),
        (errors.WeightsError("x"), Exit.NOTHING_USABLE),
        (errors.SongError("x", "not_audio", "y"), Exit.NOTHING_USABLE),
    ],
)
def test_an_error_has_one_exit_code(error, code):
    assert exit_code(error) is code


def test_a_drawn_table_fits_80_columns_and_cuts_nothing(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    ids = [f"folder/{'long name ' * 12}{n}.mp3" for n in range(3)]
    print_table(("rank", "song_id", "artist"), [(n, s, "A" * 90) for n, s in enumerate(ids)],
                title="similar to " + "x" * 100)  # fmt: skip
    out = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    assert out.count("A") == 3 * 90


def test_a_table_of_no_rows_is_its_head_in_a_pipe_and_nothing_on_a_terminal(monkeypatch, capsys):
    print_table(("rank", "song_id"), [], title="copies")
    assert capsys.readouterr().out == "rank\tsong_id\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    print_table(("rank", "song_id"), [], title="copies")
    assert capsys.readouterr().out == ""


def test_a_document_is_a_table_or_json(capsys):
    document = {"schema": "audiorec/x/1", "songs": 3, "share": 0.25, "out": None}
    print_document(document, json=False, title="x")
    assert capsys.readouterr().out == "what\tvalue\nsongs\t3\nshare\t0.250\nout\t\n"
    print_document(document, json=True, title="x")
    assert '"schema": "audiorec/x/1"' in capsys.readouterr().out


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Draw a table as a terminal of some width shows it; returns its lines."""
    monkeypatch.setenv("NO_COLOR", "1")

    def draw(columns, rows, width=80, **options):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", str(width))
        print_table(columns, rows, title="t", **options)
        return capsys.readouterr().out.splitlines()[1:]

    return draw


def test_numbers_stand_at_the_right_with_two_digits(terminal):
    rows = [(1, "a", 0.5, "1:00"), (20, "bc", 0.125, "10:00")]
    assert terminal(("rank", "song", "score", "length"), rows) == [
        "rank  song  score  length",
        "   1  a      0.50    1:00",
        "  20  bc     0.12   10:00",
    ]
    assert terminal(("auc",), [(0.98765,)], digits=3)[1] == "0.988"


def test_what_is_empty_in_all_rows_is_left_out_for_a_person_only(terminal, monkeypatch, capsys):
    rows = [("a", None, "", 0), ("b", None, "x", 0)]
    assert terminal(("song", "artist", "title", "n"), rows)[0] == "song  title  n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    print_table(("song", "artist", "title", "n"), rows, title="t")
    assert capsys.readouterr().out == "song\tartist\ttitle\tn\na\t\t\t0\nb\t\tx\t0\n"


def test_no_word_of_a_header_is_broken(terminal):
    columns = ("start", "similarity", "song_id", "artist", "title", "length", "vocal_accompaniment")
    row = (
        "12:03",
        0.5,
        "coulton/jonathan-coulton-better.ogg",
        "Jonathan Coulton",
        "A" * 40,
        "3:03",
        0.76,
    )
    lines = terminal(columns, [row])  # fmt: skip
    assert max(map(len, lines)) <= 80
    head = " ".join(lines[:2]).split()
    assert {*head} == {*columns[:-1], "vocal_", "accompaniment"}
    assert lines[2].startswith("12:03        0.50  coulton/")


def test_texts_are_folded_before_ids(terminal):
    song = "soundtracks of games/the sixth track.ogg"
    row = (song, "not music: speech, noise or other sound")
    assert terminal(("song_id", "remark"), [row], width=60) == [
        "song_id                                   remark",
        f"{song}  not music: speech,",
        " " * 42 + "noise or other",
        " " * 42 + "sound",
    ]


def test_a_narrow_terminal_folds_everything_and_loses_nothing(terminal):
    lines = terminal(("song_id", "similarity", "length"), [("aé日本bc" * 3, 0.5, "1:00")], width=12)
    assert {c: "".join(lines).count(c) for c in "é日本"} == dict.fromkeys("é日本", 3)
    assert max(cell_len(line) for line in lines) <= 12


def test_rows_are_drawn_as_they_come_where_columns_say_their_width(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    seen = []

    def rows():
        yield "a", 0.5
        seen.append(capsys.readouterr().out)
        yield "b", 0.25

    columns = (Column("song", width=6), Column("version_score", "score", width=5, right=True))
    print_table(columns, rows(), title="t")
    assert seen == ["t\nsong    score\na        0.50\n"]
    assert capsys.readouterr().out == "b        0.25\n"


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_colours_mark_ids_and_shares_unless_refused(variable, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    print_table(("song_id", "similarity"), [("a\x1b[31m", 0.9), ("b", 0.5)], title="t")
    out = capsys.readouterr().out
    assert ("\x1b[32m0.90\x1b[0m" in out) is (not variable)
    assert ("\x1b" in out) is (not variable)
    assert "a\\x1b[31m" in out


def test_counted():
    found = [counted(n, "song") for n in (0, 1, 2, 1_200)]
    assert found == ["0 songs", "1 song", "2 songs", "1,200 songs"]
    assert [counted(n, "copy", "copies") for n in (1, 2)] == ["1 copy", "2 copies"]


def test_remarks_are_never_inside_a_table_of_one_pipe(tmp_path):
    """Both streams are one file: rows stay together, though they fill the buffer many times."""
    program = """
from audiorec_cli.shared.console import guard_streams, print_table, say
guard_streams()

def rows():
    for n in range(3000):
        if n % 1000 == 7:
            say(f"note: {n}")
        yield n, "x" * 20

say("note: before")
print_table(("number", "text"), rows(), title="t")
say("note: after")
"""
    both = tmp_path / "both.txt"
    with both.open("w") as file:
        subprocess.run([sys.executable, "-c", program], stdout=file, stderr=file, check=True)
    lines = both.read_text().splitlines()
    noted = [place for place, line in enumerate(lines) if line.startswith("note: ")]
    assert noted == [0, *range(3002, 3006)]
    assert lines[1] == "number\ttext"
    assert lines[-1] == "note: after"

"""How commands speak: tables for people and pipes, errors as exit codes."""

import re

import pytest

from audiorec import errors
from audiorec.listening.events import RowsError
from audiorec_cli.shared.console import Exit, exit_code, print_document, print_table


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


def test_a_document_is_a_table_or_json(capsys):
    document = {"schema": "audiorec/x/1", "songs": 3, "share": 0.25, "out": None}
    print_document(document, json=False, title="x")
    assert capsys.readouterr().out == "what\tvalue\nsongs\t3\nshare\t0.2500\nout\t\n"
    print_document(document, json=True, title="x")
    assert '"schema": "audiorec/x/1"' in capsys.readouterr().out

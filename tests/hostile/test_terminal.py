"""No command prints a raw control, bidirectional or invisible character, whatever it is given."""

import json
import re
import subprocess
import sys
import unicodedata
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import run_command
from good_store import METADATA, write_good_store
from made_runs import made_run
from made_songs import write_song
from needs import needs

from audiorec.files.visible import visible, visible_json
from audiorec.runs.record import write_run
from audiorec.store.aliases import add_own_aliases
from audiorec.store.embeddings import write_embeddings
from audiorec_cli.shared import console

ODD = (
    "\x1b]0;PWN\x07\x9b2J\x7f\x85\u202e\u2066\u200e\u061c\u2028\ufeff\u200b\u2060\u3164\ufe00"
    "\U000e0041[red][link=http://x]y[/link]"
)
LINES = f"{ODD}\tCELL\r\nLINE"  # and what would make a cell or a line of its own
FOLDER = f"music {ODD.replace('/', '')}"
IDS = tuple(f"{name}/{LINES}.flac" for name in "abcd")
CLASSES = tuple(f"{head}/{name}{LINES}" for head, name in zip("vvggg", "abcde", strict=True))
STORE = "vecs.parquet"


def is_raw(c):
    """Whether a terminal could do something else with a character than draw it."""
    if c in "\n\t\u200c\u200d":  # joiners belong to Persian and to emoji
        return False
    hidden = unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return hidden or c in "\u3164\ufe00\u034f\u115f"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a bad name; in it a store, songs, logs and tables whose texts are bad."""
    folder = tmp_path_factory.mktemp("home") / FOLDER
    folder.mkdir()
    about = replace(
        METADATA,
        classes=CLASSES,
        created_by=LINES,
        weights=({"name": LINES, "sha256": "ab" * 32, "licence": LINES},),
        packages={LINES: LINES},
    )
    odd = dict.fromkeys(("artist", "title", "album", "codec", "decoder", "isrc"), LINES)
    store = write_good_store(folder, IDS, about, **odd)
    table = pq.read_table(store).append_column(LINES, pa.array([LINES] * 4))
    pq.write_table(table, store)
    pq.write_table(table, folder / "two.parquet")
    add_own_aliases(folder / "aliases.parquet", [(f"alias {LINES}", IDS[0])])
    songs = folder / "songs"
    for seed, label in enumerate("xy"):
        for name in ("1", "2"):
            path = (
                songs / f"{label}{LINES}".replace("/", "") / f"{name}{LINES}.wav".replace("/", "")
            )
            write_song(path, seed=seed, seconds=1.6)
    (songs / f"broken{LINES}.mp3".replace("/", "")).write_bytes(b"no audio at all")
    write_tables(folder, store)
    for run_id in ("a" * 12, "b" * 12):
        run = made_run(
            run_id=run_id,
            job=LINES,
            output=LINES,
            arguments=(LINES, run_id),
            versions={LINES: f"{LINES} {run_id}"},
            counts={LINES: 1},
            warnings=(LINES,),
            extractor_id=LINES,
        )
        write_run(str(folder / "odd.parquet.run.json"), run)
    return folder


def write_tables(folder, store):
    users = [f"u{n}{LINES}" for n in range(12)]
    rows = [(user, song, "2024-05-01T10:00:00Z", "like") for user in users for song in IDS[:3]]
    rows += [(users[0], f"stranger{LINES}", "2024-05-01T10:00:00Z", "play"), (ODD, ODD, ODD, ODD)]
    write_csv(folder / "plays.csv", ("user_id", "song_id", "timestamp", "event"), rows)
    write_csv(folder / "good.csv", ("user_id", "song_id", "timestamp", "event"), rows[:-1])
    scrobbles = [(LINES, LINES, LINES, "1709294400"), (LINES, LINES, LINES, LINES)]
    write_csv(folder / "scrobbles.csv", ("artist", "album", "track", "uts"), scrobbles)
    write_csv(folder / "ids.csv", ("song_id", "alias"), [(f"no such song{LINES}", LINES)])
    rng = np.random.default_rng(0)
    for name, kind, ids in (("new", "songs", IDS), ("users", "users", users)):
        about = {"kind": kind, "model_id": f"m{ODD}", "space": f"s{ODD}"}
        write_embeddings(
            folder / f"{name}.parquet", sorted(ids), rng.normal(size=(len(ids), 4)), **about
        )


def write_csv(path, names, rows):
    cells = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in (names, *rows)]
    path.write_text("\n".join(map(",".join, cells)) + "\n", newline="")


# Commands that print names, tags, columns, errors, JSON and lists: all print by one stream.
ABSENT = f"absent{LINES}"
CASES = {
    "extract": [
        ("songs", "--dry-run", "--json"),
        ("songs", "-j1", "--out", f"out {ODD}.parquet", "--log-json", "-"),
        (ABSENT,),
    ],
    "similar": [
        *((IDS[0], "--why"), (IDS[0], "--json", "--why"), (LINES,)),
        *(("-o", f"n{ODD}.parquet", "--json"), ("-o", "n.parquet", "-v", ABSENT)),
    ],
    "playlist": [
        (IDS[0], "--to", IDS[1], "--why"),
        (IDS[0], "-m", "1", "--why"),
        (IDS[0], "--m3u8", f"l{ODD}.m3u8"),
    ],
    "browse": [("--no-open", "--root", ABSENT), ("--no-open", "--host", ODD)],
    "sync": [(LINES,), (ODD, "--config", ABSENT)],
    "duplicates": [(), ("--json",), ("-v", ABSENT)],
    "classify": [("songs",), ("songs", "--json"), ("songs", "--format", "csv")],
    "info": [(), ("--json",), (IDS[0],), (IDS[0], "--json")],
    "store verify": [("--files", "--json"), (ABSENT,)],
    "store merge": [(STORE, "two.parquet", "-o", f"both{ODD}.parquet", "--json")],
    "store export": [
        ("-o", f"e{ODD}.csv", "--json"),
        ("-o", f"e{ODD}.csv", "--columns", LINES.split("\r")[0]),
    ],
    "store aliases": [(), ("--json",), ("--add", "ids.csv")],
    "config": [(ODD,), ("--json", "similar", LINES, "--only", ODD)],
    "runs": [("odd.parquet",), ("odd.parquet", "--json"), ("odd.parquet", "--diff")],
    "listening check": [("plays.csv",), ("plays.csv", "--json"), ("plays.csv", "-v", STORE)],
    "listening import": [("lastfm", "scrobbles.csv", "-v", STORE, "-o", f"i{FOLDER}.parquet")],
    "recall train": [
        ("popular", "-i", "good.csv", "--out", f"channel {ODD}", "--json"),
        (ODD, "-i", "good.csv", "--out", "channel"),
    ],
    "cold-start": [
        (
            *("audience", "--songs", "new.parquet", "--users", "users.parquet", "--k", "1"),
            *("-o", f"a{ODD}.parquet"),
        ),
    ],
}


@pytest.mark.parametrize("command", CASES)
def test_what_is_printed_is_visible(home, command, monkeypatch, capfd):
    if command == "browse":
        needs("starlette")
    monkeypatch.chdir(home)
    monkeypatch.setenv("AUDIOREC_DATA", str(home / "own"))
    audiorec = partial(run_command, monkeypatch, capfd)
    odd = 0
    for arguments in CASES[command]:
        code, out, err = audiorec(*command.split(), *arguments)
        assert code in (0, 2, 3, 4), err
        assert "Traceback" not in err
        raw = [c for c in out + err if is_raw(c)]
        assert not raw, (arguments, raw, out + err)
        assert "\tCELL" not in out + err
        assert not re.search("^LINE", out + err, re.MULTILINE)
        odd += "PWN" in out + err
        if "--json" in arguments and code in (0, 3) and out:
            json.loads(out)
    assert odd


def test_a_playlist_on_stdout_leaves_out_what_it_cannot_show(home, monkeypatch, capfd):
    monkeypatch.chdir(home)
    code, out, err = run_command(
        monkeypatch, capfd, "similar", IDS[0], "--minimum", "-1", "--m3u8", "-"
    )
    assert (code, out) == (0, "#EXTM3U\n")
    assert err.count("left out, its name cannot be written in a playlist") == 4


def test_json_parses_to_the_names_as_they_are(home, monkeypatch, capfd):
    monkeypatch.chdir(home)
    _, out, _ = run_command(monkeypatch, capfd, "info", IDS[0], "--json")
    song = json.loads(out)
    assert (song["song_id"], song["artist"], song[LINES]) == (IDS[0], LINES, LINES)


def test_usage_errors_and_tracebacks_are_visible(home):
    """What click and Python print, in a process of its own: the stream makes it visible."""
    script = "from audiorec_cli.main import main; main()"
    for arguments in ([f"--{ODD}"], ["info", f"--{ODD}"], ["extract", "--hop", ODD]):
        run = subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, cwd=home, check=False
        )
        told = run.stderr.decode()
        assert run.returncode == 2
        assert "PWN" in told
        assert not [c for c in told if is_raw(c)]
    failing = "from audiorec_cli.shared.console import guard_streams; guard_streams(); "
    failing += f"raise ValueError({LINES!r})"
    run = subprocess.run([sys.executable, "-c", failing], capture_output=True, check=False)
    assert "PWN" in run.stderr.decode()
    assert not [c for c in run.stderr.decode() if is_raw(c)]


def test_names_are_no_markup_in_a_table_for_a_person(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    console.print_table([f"column{LINES}"], [[f"cell{LINES}"]], title=f"title{LINES}")
    out = capsys.readouterr().out
    joined = "".join(out.split())
    assert joined.count("[red][link=http://x]y[/link]") == 3
    assert not [c for c in re.sub(r"\x1b\[[0-9;]*m", "", out) if is_raw(c)]


def test_one_function_covers_every_character():
    for c in map(chr, range(sys.maxunicode + 1)):
        shown = visible(c)
        assert shown == c or shown.isascii()
        if is_raw(c) or c in "\n\t":
            assert shown != c
        if unicodedata.category(c) in ("Lu", "Ll", "Lm", "Nd", "Po", "Sc", "Zs"):
            assert shown == c
    name = "Björk: Jóga　日本 ﷺ נֹ"
    assert visible(name) == name


def test_json_is_the_same_document():
    document = {LINES: [LINES, 1.5, None, "\udce9"]}
    for indent in (None, 2):
        text = visible_json(document, indent=indent)
        assert json.loads(text) == document
        assert not [c for c in text if is_raw(c)]

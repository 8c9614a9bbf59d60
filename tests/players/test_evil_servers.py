"""A server that wants our time or memory: `sync` ends in time with one line, and stays small."""

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack

import pytest
from evil_music import HTTP_KINDS, MPD_KINDS, evil_music
from peak import PEAK_MB
from web_server import SONGS, write_music

ANSWER_S = 1.0
MOST_MB = 350  # 160 before the first answer; with the limits of a user it stays below 420
SETTINGS = """
[players.home]
kind = "{kind}"
url = "{url}"
members = [{{ {account} }}]
"""
# Asks one server after the other, with low limits; a line of JSON for each.
SYNC = """
import contextlib, io, json, sys, time
from audiorec.players import bounds
from audiorec_cli.main import main
bounds.SILENCE_S = bounds.ANSWER_S = float(sys.argv[1])
bounds.HELD_BYTES = 40 << 20
for kind in sys.argv[2:]:
    words = ["sync", "home", "--vectors", "vecs.parquet", "--out", f"{kind}.parquet"]
    sys.argv = ["audiorec", *words, "--config", f"{kind}.toml", "--quiet"]
    began, told, code = time.monotonic(), io.StringIO(), 0
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    took = time.monotonic() - began
    print(json.dumps([kind, code, told.getvalue(), took, peak_mb()]), file=sys.__stdout__)
"""


def write_settings(folder, kind, url):
    account = 'user = "ana", secret = "env:ANA"' if url.startswith("http") else 'name = "ana"'
    of = "subsonic" if url.startswith("http") else "mpd"
    text = SETTINGS.format(kind=of, url=url, account=account)
    (folder / f"{kind}.toml").write_text(text)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Sync with a server of each kind, in one process."""
    folder = tmp_path_factory.mktemp("evil")
    write_music(folder, SONGS[:3], scores=False)
    kinds = [*HTTP_KINDS, *MPD_KINDS]
    with ExitStack() as stack:
        for kind in kinds:
            write_settings(folder, kind, stack.enter_context(evil_music(kind)))
        done = subprocess.run(
            [sys.executable, "-c", PEAK_MB + SYNC, str(ANSWER_S), *kinds],
            cwd=folder,
            env={**os.environ, "ANA": "pw", "AUDIOREC_DATA": str(folder / "data")},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    rows = map(json.loads, done.stdout.splitlines())
    return {kind: (code, told, took, mb) for kind, code, told, took, mb in rows}


SAYS = {
    **dict.fromkeys(["dripstatus", "dripheader", "dripbody", "dripchunk"], "an answer took over"),
    **dict.fromkeys(
        ["trailers", "continue100", "silence", "mpddrip", "mpdblank"], "an answer took over"
    ),
    **dict.fromkeys(["deep", "xml", "floatbomb"], "its answer is not JSON"),
    **dict.fromkeys(["huge", "objects", "longsongs"], "an answer has over 4194304 bytes"),
    **dict.fromkeys(["manysongs", "manyids", "manyvideos", "mpdendless"], "its songs take over 40"),
    "mpdlines": "an answer has over 67108864 bytes",
    "mpdsmall": "(an answer took|its songs take) over",
    "mpdlong": "a line has over 65536 bytes",
    "redirectfile": "sends us to file:///etc/passwd",
    "redirecthost": "sends us to http://127.0.0.1:1/",
    "busy": "it answers 429",
    "endlessalbums": "its albums go on without a new song",
}


@pytest.mark.parametrize("kind", SAYS)
def test_an_evil_server_costs_little_and_gets_one_line(answers, kind):
    code, told, took, mb = answers[kind]
    assert (code, told.count("\n")) == (4, 1), told
    assert told.startswith("error: ")
    assert re.search(SAYS[kind], told), told
    assert "\x1b" not in told
    assert mb < MOST_MB
    assert took < 60
    if "took over" in told:
        assert took < ANSWER_S + 5


def test_odd_values_of_songs_are_no_error(answers):
    code, told, _, _ = answers["odd"]
    assert (code, told.splitlines()[0]) == (0, "home: 0 of 175 songs matched"), told

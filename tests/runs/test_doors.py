"""`audiorec.runs.doors`: what other packages add, by name; what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest
from made_package import install

from audiorec.errors import InputError
from audiorec.runs.doors import Door

GROUP = "audiorec.imports"
DOOR = Door(GROUP, "kind of history")
OURS = ("lastfm", "listenbrainz", "lyrion", "navidrome", "spotify", "yambda")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return a folder of installed packages."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    return place


def test_ours_come_first_and_are_what_pyproject_says(site):
    install(site, "doors_a", "", GROUP, {"aaa": "doors_a:read"})
    assert tuple(DOOR.own()) == OURS
    assert tuple(DOOR) == (*OURS, "aaa")
    assert len(DOOR) == 7


def test_a_package_of_others_adds_a_name_and_takes_none_of_ours(site):
    code = "def read(files, user): return 'theirs'"
    install(site, "doors_b", code, GROUP, {"winamp": "doors_b:read", "spotify": "doors_b:read"})
    assert "winamp" in DOOR
    assert DOOR["winamp"]([], "") == "theirs"
    assert DOOR["spotify"].__module__ == "audiorec.listening.imports.spotify"
    assert DOOR.named("doors_b:read") is DOOR["winamp"]


def test_unknown_names_are_refused_with_those_that_there_are(site):
    install(site, "doors_c", "", GROUP, {"winamp": "doors_c:read"})
    with pytest.raises(KeyError):
        DOOR["foobar"]
    there = "unknown kind of history 'foobar'; there are: lastfm, .*yambda, winamp"
    with pytest.raises(InputError, match=there):
        DOOR.named("foobar")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise RuntimeError('no\\nlicence')", "RuntimeError: no licence"),
        ("import no_such_thing_here", "ModuleNotFoundError: No module named 'no_such_thing_here'"),
        ("reads = 1", "AttributeError: module 'doors_d.*' has no attribute 'read'"),
        ("def read(:", "SyntaxError: "),
    ],
)
def test_a_package_that_cannot_be_imported_is_named(site, monkeypatch, code, why):
    monkeypatch.delitem(sys.modules, "doors_d", raising=False)
    install(site, "doors_d", code, GROUP, {"winamp": "doors_d:read"})
    says = (
        f"the kind of history 'winamp' of doors_d 1.0 cannot be imported from 'doors_d:read': {why}"
    )
    with pytest.raises(InputError, match=says):
        DOOR["winamp"]
    with pytest.raises(InputError, match=says):
        DOOR.named("winamp")


def test_a_name_of_two_packages_is_refused_with_both(site):
    for name in ("doors_e", "doors_f"):
        install(site, name, "read = 1", GROUP, {"winamp": f"{name}:read"})
    with pytest.raises(InputError, match=r"is registered by doors_e 1\.0 and doors_f 1\.0; uninst"):
        DOOR["winamp"]
    assert DOOR["lastfm"].__module__ == "audiorec.listening.imports.lastfm"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no_such_package:read", "there is no module 'no_such_package'; install its package"),
        ("audiorec.no_such:read", "there is no module 'audiorec.no_such'"),
        ("json:no_such", "AttributeError: module 'json' has no attribute 'no_such'"),
        ("doors_g:read", "ModuleNotFoundError: No module named 'not_here'"),
    ],
)
def test_a_reference_that_leads_nowhere_says_where_it_ended(site, text, why):
    install(site, "doors_g", "import not_here", GROUP, {})
    with pytest.raises(InputError, match=f"'{text}' cannot be imported: {why}"):
        DOOR.named(text)


@pytest.mark.parametrize("text", ["", ":", "a:", ":b", "a b:c", "../a:b", "a:b:c", "os;x:y"])
def test_what_is_neither_a_name_nor_a_reference_imports_nothing(text):
    with pytest.raises(InputError, match="unknown kind of history"):
        DOOR.named(text)


def test_what_lies_in_the_current_folder_is_not_installed(tmp_path):
    """``python -c`` puts the current folder first; a folder of downloads must add nothing."""
    entries = {"winamp": "doors_h:read", "lastfm": "doors_h:read"}
    install(tmp_path, "doors_h", "raise SystemExit('planted')", GROUP, entries)
    code = (
        "from audiorec.runs.doors import Door\n"
        f"door = Door({GROUP!r}, 'kind'); print(*door, 'winamp' in door)\n"
        "try:\n    door.named('doors_h:read')\nexcept Exception as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert lines[0] == f"{' '.join(OURS)} False", done.stderr
    assert "there is no module 'doors_h'" in lines[1]


def test_no_command_that_needs_no_door_opens_one():
    code = (
        "import sys; sys.argv = ['audiorec', '--help']\n"
        "from audiorec_cli.main import main\n"
        "try:\n    main()\nfinally:\n"
        "    print('audiorec.runs.doors' in sys.modules, 'importlib.metadata' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False False", done.stderr

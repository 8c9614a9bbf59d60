"""`audiorec.runs.entry_points`: what other packages add, by name; what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest
from made_package import install

from audiorec.errors import InputError
from audiorec.runs.entry_points import Registry

GROUP = "audiorec.imports"
KINDS = Registry(GROUP, "kind of history")
OURS = ("lastfm", "listenbrainz", "lyrion", "navidrome", "spotify", "table", "yambda")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return a folder of installed packages."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    return place


def test_ours_come_first_and_are_what_pyproject_says(site):
    install(site, "others_a", "", GROUP, {"aaa": "others_a:read"})
    assert tuple(KINDS.own()) == OURS
    assert tuple(KINDS) == (*OURS, "aaa")
    assert len(KINDS) == len(OURS) + 1


def test_a_package_of_others_adds_a_name_and_takes_none_of_ours(site):
    code = "def read(files, user): return 'theirs'"
    install(site, "others_b", code, GROUP, {"winamp": "others_b:read", "spotify": "others_b:read"})
    assert "winamp" in KINDS
    assert KINDS["winamp"]([], "") == "theirs"
    assert KINDS["spotify"].__module__ == "audiorec.listening.imports.spotify"
    assert KINDS.named("others_b:read") is KINDS["winamp"]


def test_unknown_names_are_refused_with_those_that_there_are(site):
    install(site, "others_c", "", GROUP, {"winamp": "others_c:read"})
    with pytest.raises(KeyError):
        KINDS["foobar"]
    there = "unknown kind of history 'foobar'; there are: lastfm, .*yambda, winamp"
    with pytest.raises(InputError, match=there):
        KINDS.named("foobar")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise RuntimeError('no\\nlicence')", "RuntimeError: no licence"),
        ("import no_such_thing_here", "ModuleNotFoundError: No module named 'no_such_thing_here'"),
        ("reads = 1", "AttributeError: module 'others_d.*' has no attribute 'read'"),
        ("def read(:", "SyntaxError: "),
    ],
)
def test_a_package_that_cannot_be_imported_is_named(site, monkeypatch, code, why):
    monkeypatch.delitem(sys.modules, "others_d", raising=False)
    install(site, "others_d", code, GROUP, {"winamp": "others_d:read"})
    says = f"'winamp' of others_d 1.0 cannot be imported from 'others_d:read': {why}"
    with pytest.raises(InputError, match=says):
        KINDS["winamp"]
    with pytest.raises(InputError, match=says):
        KINDS.named("winamp")


def test_a_name_of_two_packages_is_refused_with_both(site):
    for name in ("others_e", "others_f"):
        install(site, name, "read = 1", GROUP, {"winamp": f"{name}:read"})
    with pytest.raises(
        InputError, match=r"is registered by others_e 1\.0 and others_f 1\.0; uninst"
    ):
        KINDS["winamp"]
    assert KINDS["lastfm"].__module__ == "audiorec.listening.imports.lastfm"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no_such_package:read", "there is no module 'no_such_package'; install its package"),
        ("audiorec.no_such:read", "there is no module 'audiorec.no_such'"),
        ("json:no_such", "AttributeError: module 'json' has no attribute 'no_such'"),
        ("others_g:read", "ModuleNotFoundError: No module named 'not_here'"),
    ],
)
def test_a_reference_that_leads_nowhere_says_where_it_ended(site, text, why):
    install(site, "others_g", "import not_here", GROUP, {})
    with pytest.raises(InputError, match=f"'{text}' cannot be imported: {why}"):
        KINDS.named(text)


@pytest.mark.parametrize("text", ["", ":", "a:", ":b", "a b:c", "../a:b", "a:b:c", "os;x:y"])
def test_what_is_neither_a_name_nor_a_reference_imports_nothing(text):
    with pytest.raises(InputError, match="unknown kind of history"):
        KINDS.named(text)


def test_what_lies_in_the_current_folder_is_not_installed(tmp_path):
    """``python -c`` puts the current folder first; a folder of downloads must add nothing."""
    entries = {"winamp": "others_h:read", "lastfm": "others_h:read"}
    install(tmp_path, "others_h", "raise SystemExit('planted')", GROUP, entries)
    code = (
        "from audiorec.runs.entry_points import Registry\n"
        f"found = Registry({GROUP!r}, 'kind'); print(*found, 'winamp' in found)\n"
        "try:\n    found.named('others_h:read')\nexcept Exception as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert lines[0] == f"{' '.join(OURS)} False", done.stderr
    assert "there is no module 'others_h'" in lines[1]


def test_no_command_that_needs_no_door_opens_one():
    code = (
        "import sys; sys.argv = ['audiorec', '--help']\n"
        "from audiorec_cli.main import main\n"
        "try:\n    main()\nfinally:\n"
        "    print(*[m in sys.modules for m in ('audiorec.runs.entry_points',"
        " 'importlib.metadata')])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False False", done.stderr

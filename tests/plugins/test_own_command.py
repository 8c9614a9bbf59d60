"""Commands of other packages: one in a wheel of its own, those of our plug-ins, and none."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from command import run_command
from made_library import series, song, write_library
from made_package import install
from made_wheel import build_wheel, environment
from needs import needs

from audiorec.errors import InputError, WeightsError
from audiorec.recall.registry import channel_class, load_channel
from audiorec.runs.entry_points import COMMANDS, PLUGINS, Registry
from audiorec_cli.main import Commands

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "plugins" / "audiorec-longest"
LOG = ROOT / "fixtures" / "formats" / "models-v1" / "plays.csv"
MODULE = (PLUGIN / "audiorec_longest.py").read_text()


@pytest.fixture(scope="module")
def audiorec(tmp_path_factory):
    """Run the command in an environment that has the wheel."""
    needs("pandas")
    home = tmp_path_factory.mktemp("home")
    wheel = build_wheel(PLUGIN, tmp_path_factory.mktemp("wheel"))
    python = environment(wheel, tmp_path_factory.mktemp("environment"))
    songs = [song(f"{n}.mp3", series(n), duration_s=60.0 * (n + 1)) for n in range(4)]
    write_library(home, songs)

    def run(*arguments, code=0, **variables):
        done = subprocess.run(
            [python, "-P", "-c", "from audiorec_cli.main import main; main()", *arguments],
            cwd=home, env={**os.environ, **variables}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + (done.stderr if code else "")

    return run


def test_it_is_a_command_with_options_help_and_settings(audiorec):
    assert audiorec("longest", "-n", "2") == "4.0\t3.mp3\n3.0\t2.mp3\n"
    assert len(audiorec("longest", AUDIOREC_LONGEST_COUNT="3").splitlines()) == 3
    assert "Songs to list." in audiorec("longest", "--help")
    assert "-n" in audiorec("longest", "-n", "0", code=2)
    assert re.search(r"Plug-ins:(?s:.*)longest +List the longest songs", audiorec("help", "all"))


def test_the_page_shows_this_very_command():
    page = (ROOT / "docs" / "own_command.md").read_text()
    shown = re.findall(r"^```(?:python|toml)\n(.+?)^```$", page, re.DOTALL | re.MULTILINE)
    assert MODULE.endswith(shown[0])
    assert shown[1] in (PLUGIN / "pyproject.toml").read_text()
    assert len(MODULE.splitlines()) <= 32


def test_what_our_plugins_bring_is_what_they_register():
    for folder, brings in PLUGINS.items():
        path = ROOT / "plugins" / folder / "pyproject.toml"
        found = tomllib.loads(path.read_text())["project"]["entry-points"]
        assert {group: tuple(entries) for group, entries in found.items()} == brings


def test_without_a_plugin_its_names_lead_to_it(monkeypatch, capsys):
    monkeypatch.setattr(Registry, "others", lambda _: [])
    monkeypatch.setattr("audiorec.recall.registry._imported", lambda _: None)  # by another test
    monkeypatch.setattr("audiorec_cli.main.app.commands", Commands())
    for folder, *words in (
        ("audiorec-federated", "federated", "align"),
        ("audiorec-federated", "help", "federated"),
        ("audiorec-federated", "recall", "train", "two-tower", "-i", LOG, "--out", "m"),
        ("audiorec-plots", "plot", "song.mp3", "--out", "song.png"),
        ("audiorec-retag", "retag", "music"),
    ):
        code, out, err = run_command(monkeypatch, capsys, *words)
        assert (code, out) == (2, "")
        assert err.endswith(f"in the source folder of audiorec: pip install ./plugins/{folder}\n")
    with pytest.raises(WeightsError, match=r"one-way comes with a plug-in.*audiorec-federated"):
        load_channel(ROOT / "fixtures" / "formats" / "models-v1" / "one-way")
    with pytest.raises(InputError, match="mmoe comes with a plug-in"):
        channel_class("mmoe")
    assert "frobnicate" in run_command(monkeypatch, capsys, "frobnicate")[2]


PLAIN = """
import click

@click.group()
def plain(): pass

@plain.command()
@click.option("--loud", is_flag=True)
def say(loud): click.echo("LOUD" if loud else "quiet")
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def test_a_broken_package_is_said_by_its_own_command_alone(site, monkeypatch, capsys):
    """No help page and no other command imports it, also where settings name options of all."""
    install(
        site, "broken_a", "1 / 0", COMMANDS.group, {"broken-a": "broken_a:x", "info": "broken_a:x"}
    )
    monkeypatch.setattr("audiorec_cli.main.app.commands", Commands())
    code, out, _ = run_command(monkeypatch, capsys, "help", "all")
    assert code == 0
    assert "broken-a" in out
    monkeypatch.setenv("AUDIOREC_INFO_JSON", "1")
    assert run_command(monkeypatch, capsys, "info", "gone.parquet")[0] == 2
    code, _, err = run_command(monkeypatch, capsys, "broken-a")
    assert code == 2
    assert "the command 'broken-a' of broken_a 1.0 cannot be imported" in err
    assert "broken_a" not in sys.modules
    install(site, "broken_b", "def x(): pass", COMMANDS.group, {"broken-a": "broken_b:x"})
    monkeypatch.setattr("audiorec_cli.main.app.commands", Commands())
    assert "uninstall all but one" in run_command(monkeypatch, capsys, "broken-a")[2]


def test_a_command_of_click_is_taken_as_it_is(site, monkeypatch, capsys):
    install(site, "plain_a", PLAIN, COMMANDS.group, {"plain-a": "plain_a:plain"})
    monkeypatch.setattr("audiorec_cli.main.app.commands", Commands())
    monkeypatch.setenv("AUDIOREC_INFO_JSON", "1")  # options of all commands are looked up
    assert run_command(monkeypatch, capsys, "plain-a", "say", "--loud") == (0, "LOUD\n", "")
    assert "no such option" in run_command(monkeypatch, capsys, "plain-a", "say", "-x")[2].lower()

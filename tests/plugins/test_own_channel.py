"""A channel of another package: built as a wheel, installed, and used like one of ours."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from made_wheel import build_wheel, environment

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "plugins" / "audiorec-hour"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(PLUGIN, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """Return the Python of an environment that has the wheel, and this one's packages."""
    return environment(wheel, tmp_path_factory.mktemp("environment"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Return a folder with a log: at eight everybody plays a and b twice, at nine c and d."""
    folder = tmp_path_factory.mktemp("home")
    lines = ["user_id,song_id,timestamp,event,played_ratio"]
    for user in range(12):
        for day in range(1, 6):
            for hour, songs in ((8, "abab"), (9, "cd")):
                for minute, song in enumerate(songs, start=user):
                    at = f"2026-11-{day:02}T{hour:02}:{minute:02}:00Z"
                    lines.append(f"u{user},{song},{at},finish,1.0")
    (folder / "plays.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def audiorec(python, home):
    """Run the command in the environment that has the wheel."""

    def run(*arguments, code=0, **variables):
        script = "from audiorec_cli.main import main; main()"
        done = subprocess.run(
            [python, "-P", "-c", script, *map(str, arguments)],
            cwd=home,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + (done.stderr if code else "")

    return run


def test_a_wheel_holds_the_module_and_its_entry_point(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    assert "audiorec_hour.py" in names
    assert entry.split("\n")[:2] == ["[audiorec.channels]", "hour = audiorec_hour:Hour"]


def test_it_keeps_the_contract(python):
    code = (
        "from audiorec.recall import channel_class, check_channel\n"
        "check_channel(channel_class('hour')); print('kept')"
    )
    done = subprocess.run([python, "-P", "-c", code], capture_output=True, text=True)
    assert done.stdout == "kept\n", done.stderr


def test_it_is_listed_with_its_package_and_its_settings(audiorec):
    found = json.loads(audiorec("recall", "train", "--json"))["channels"]
    sources = {one["channel"]: one["from"] for one in found if "from" in one}
    assert sources["hour"] == "audiorec-hour 0.1.0"
    settings = json.loads(audiorec("recall", "train", "hour", "--json"))["settings"]
    assert [one["name"] for one in settings] == ["hours"]
    assert settings[0]["meaning"].startswith("Length of the cycle")


def test_it_is_trained_reloaded_asked_evaluated_and_fused(audiorec, home):
    log = ("-i", "plays.csv")
    assert json.loads(audiorec("recall", "train", "hour", *log, "--out", "hour", "--json"))
    audiorec("recall", "train", "popular", *log, "--out", "popular")
    for name in ("hour", "popular"):
        asked = ("--k", 4, "--keep-heard", "--out", f"{name}.parquet")
        audiorec("recall", "candidates", name, *log, *asked)
    by = ("--split", "last", "--k", 2, "--keep-heard", "--json")
    trained, given = (
        json.loads(audiorec("recall", "evaluate", channel, *log, *by))
        for channel in ("hour", "audiorec_hour:Hour")
    )
    # The last play is of c or d, which are not the two that are played most.
    assert trained["measures"]["hit_rate"]["2"][0] == 1.0
    assert given["measures"] == trained["measures"]
    saved = json.loads(audiorec("recall", "evaluate", "hour/", *log, *by))
    assert saved["channel"] == "hour"
    compared = json.loads(audiorec("recall", "evaluate", "hour", "popular", *log, *by))
    assert [one["channel"] for one in compared["channels"]] == ["hour", "popular"]
    assert compared["channels"][1]["measures"]["hit_rate"]["2"][0] == 0.0
    fused = ("fuse", "popular.parquet", "hour.parquet", "--k", 4, "--weights", "1,9")
    told = json.loads(audiorec("recall", *fused, "--out", "fused.parquet", "--json"))
    assert set(told["channels"]) == {"hour", "popular"}


def test_a_night_takes_it_by_name_and_by_reference(audiorec, home):
    (home / "two").mkdir()
    for number, named in enumerate(("hour", "audiorec_hour:Hour")):
        text = (
            f'[recall]\ninteractions = "plays.csv"\nout = "two/{number}"\nkeep_heard = true\n'
            f'channels = ["popular", "{named}"]\nk = 4\ndepth = 4\n'
            "[recall.settings.hour]\nhours = 24\n"
        )
        (home / "recall.toml").write_text(text)
        audiorec("recall", "run", "--config", "recall.toml", "-q")
        model = home / "two" / str(number) / "models" / "hour" / "model.json"
        assert json.loads(model.read_text())["class"] == "audiorec_hour:Hour"
    one, other = ((home / "two" / n / "candidates" / "hour.parquet").read_bytes() for n in "01")
    assert one == other
    models = ("--models", "two/0/models", "-i", "plays.csv", "-k", 4, "--json")
    assert "u3" not in audiorec("recommend", "u3", *models)


def test_without_the_package_its_model_says_what_to_do(audiorec, home):
    audiorec("recall", "train", "hour", "-i", "plays.csv", "--out", "alone")
    code = "from audiorec.recall import load_channel; load_channel('alone')"
    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True)
    assert "channel 'hour' is unknown here: install the package that registers it" in done.stderr


def test_the_page_shows_this_very_channel():
    page = (ROOT / "docs" / "own_channel.md").read_text()
    shown = re.findall(r"^```(?:python|toml)\n(.+?)^```$", page, re.DOTALL | re.MULTILINE)
    module = (PLUGIN / "audiorec_hour.py").read_text()
    project = (PLUGIN / "pyproject.toml").read_text()
    assert any(module.endswith(one) for one in shown)
    assert any(one in project and "entry-points" in one for one in shown)


def test_the_class_of_the_page_works_from_a_folder_of_its_own(home):
    page = (ROOT / "docs" / "own_channel.md").read_text()
    (home / "mine").mkdir()
    shown = re.search(r"^```python\n(from dataclasses.+?)^```$", page, re.DOTALL | re.MULTILINE)[1]
    (home / "mine" / "hour_of_day.py").write_text(shown)
    script = "from audiorec_cli.main import main; main()"
    asked = ("-i", "plays.csv", "--split", "last", "--k", "2", "--keep-heard", "--json")
    done = subprocess.run(
        [sys.executable, "-c", script, "recall", "evaluate", "hour_of_day:Hour", *asked],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(home / "mine")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["measures"]["hit_rate"]["2"][0] == 1.0


def test_it_has_about_forty_lines():
    assert len((PLUGIN / "audiorec_hour.py").read_text().splitlines()) <= 45

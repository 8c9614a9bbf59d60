"""`audiorec.recall.registry`: channels of other packages; what a model folder can make run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_package import install

from audiorec.errors import InputError, WeightsError
from audiorec.files.own_files import sealed
from audiorec.recall.contract.checks import check_channel, synthetic_listening
from audiorec.recall.contract.data import Queries
from audiorec.recall.registry import (
    CHANNELS,
    VARIABLE,
    channel_class,
    known_channel,
    load_channel,
)

GROUP = "audiorec.channels"
CODE = """
from audiorec.recall.simple.counts import Popular

class {kind}(Popular):
    '''Songs as popular has them.'''

    name = {name!r}
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    return place


def code(name, kind="Loved"):
    return CODE.format(name=name, kind=kind)


def run(script, site, **variables):
    """Run a script in another process that finds the packages of a folder."""
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep), **variables}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, env=environment
    )
    return done.stdout.strip() or done.stderr


def saved(kind, folder):
    kind().fit(synthetic_listening()).save(folder)
    return folder


@pytest.mark.parametrize("name", CHANNELS.own())
def test_our_channels_come_through_the_door(name):
    assert channel_class(name) is CHANNELS[name] is known_channel(name)


def test_a_registered_channel_of_another_package_is_like_ours(site, tmp_path):
    install(site, "loved_a", code("loved-a"), GROUP, {"loved-a": "loved_a:Loved"})
    kind = channel_class("loved-a")
    assert kind.__module__ == "loved_a"
    assert "loved-a" in CHANNELS
    check_channel(kind)
    folder = saved(kind, tmp_path / "model")
    says = (
        f"from audiorec.recall.registry import load_channel as l; print(type(l({str(folder)!r})))"
    )
    assert run(says, site) == "<class 'loved_a.Loved'>"  # by its registered name alone
    assert json.loads((folder / "model.json").read_text())["class"] == "loved_a:Loved"


def test_a_class_that_the_user_names_needs_no_entry_point(site, tmp_path):
    install(site, "loved_b", code("loved-b"), GROUP, {})
    kind = channel_class("loved_b:Loved")
    data = synthetic_listening()
    folder = saved(kind, tmp_path / "model")
    assert channel_class("loved-b") is kind  # once it is named, its name is enough
    found = load_channel(folder).recall(Queries(data.sequences), 3)
    assert found.of(0) == channel_class("popular")().fit(data).recall(
        Queries(data.sequences), 3
    ).of(0)


def test_a_model_makes_nothing_run_that_the_user_did_not_name(site, tmp_path):
    """The module lies on the path and the bundle names it, and still it is not imported."""
    mark = tmp_path / "ran"
    planted = code("loved-c") + f"\nopen({str(mark)!r}, 'w').close()\n"
    install(site, "loved_c", planted, GROUP, {})
    folder = saved(channel_class("popular"), tmp_path / "popular")
    for kind in ("recall/loved-c", "recall/loved_c:Loved", "recall/../loved_c", "loved_c:Loved"):
        forged(folder, kind=kind, **{"class": "loved_c:Loved"})
        says = (
            "from audiorec.recall.registry import load_channel\n"
            f"try: load_channel({str(folder)!r})\nexcept Exception as error: print(repr(error))"
        )
        assert run(says, site).startswith("WeightsError("), kind
        assert not mark.exists()
    forged(folder, kind="recall/loved-c")
    assert "loved-c" in run(says + "\nelse: print('loved-c')", site, **{VARIABLE: "loved_c:Loved"})
    assert mark.exists()  # the user named it


def forged(folder, **changes):
    """Change entries of a bundle's description, and its checksum with them."""
    path = folder / "model.json"
    content = json.loads(path.read_text())
    del content["content_sha256"]
    path.write_text(json.dumps(sealed({**content, **changes})))


def test_names_of_a_table_import_nothing_by_reference(site, tmp_path):
    mark = tmp_path / "ran"
    install(site, "loved_d", f"open({str(mark)!r}, 'w').close()", GROUP, {})
    for name in ("loved_d:Loved", "loved_d", "external:loved_d:Loved", "os:system", ""):
        assert known_channel(name) is None
    assert not mark.exists()


def test_an_unknown_channel_of_a_model_says_what_to_do(tmp_path):
    folder = saved(channel_class("popular"), tmp_path / "model")
    forged(folder, kind="recall/nowhere\x1b[2J")
    says = r"'nowhere\\x1b\[2J' is unknown here: install the package .* AUDIOREC_CHANNELS=my_pack"
    with pytest.raises(WeightsError, match=says):
        load_channel(folder)


@pytest.mark.parametrize(
    ("name", "entry", "reference", "why"),
    [
        ("other", "loved-e", "loved-e", "registered under this name, but its class says 'other'"),
        ("Not A Name", "", "loved_e:Loved", "name must be lower-case letters, digits and -"),
        ("../up", "", "loved_e:Loved", "name must be lower-case letters, digits and -"),
        (3, "", "loved_e:Loved", "name must be lower-case letters, digits and -, got 3"),
        ("vs-knn", "", "loved_e:Loved", "its name 'vs-knn' is that of another channel"),
        ("loved-e", "", "loved_e:Popular.__init__", "is not a channel class"),
        ("loved-e", "", "loved_e:__name__", "is not a channel class, but 'loved_e'"),
    ],
)
def test_what_is_no_channel_is_refused(site, monkeypatch, name, entry, reference, why):
    monkeypatch.delitem(sys.modules, "loved_e", raising=False)
    install(site, "loved_e", code(name), GROUP, {entry: "loved_e:Loved"} if entry else {})
    with pytest.raises(InputError, match=why):
        channel_class(reference)


def test_a_broken_package_hides_no_other_channel(site, tmp_path):
    install(site, "loved_f", "1 / 0", GROUP, {"loved-f": "loved_f:Loved", "popular": "loved_f:X"})
    install(site, "loved_g", code("loved-g"), GROUP, {"loved-g": "loved_g:Loved"})
    install(site, "loved_h", code("loved-h"), GROUP, {})
    script = (
        "import sys; sys.argv = ['audiorec', 'recall', 'train', '--json']; "
        "from audiorec_cli.main import main; main()"
    )
    listed = json.loads(run(script, site, **{VARIABLE: "loved_h:Loved"}))["channels"]
    found = [one for one in listed if not one.get("from", "").startswith("audiorec-federated ")]
    names = [one["channel"] for one in found]
    assert names == [*CHANNELS.own(), "loved-g", "loved-h"]
    assert [one.get("from") for one in found[-2:]] == ["loved_g 1.0", "loved_h"]
    assert not any("from" in one for one in found[:-2])
    with pytest.raises(InputError, match=r"'loved-f' of loved_f 1\.0 cannot be imported"):
        known_channel("loved-f")
    assert channel_class("popular").__module__ == "audiorec.recall.simple.counts"


def test_a_model_loads_where_its_package_is_and_nowhere_else(site, tmp_path):
    install(site, "loved_i", code("loved-i"), GROUP, {"loved-i": "loved_i:Loved"})
    says = (
        "from audiorec.recall.registry import *\n"
        "from audiorec.recall.contract.checks import synthetic_listening\n"
        f"channel_class('loved-i')().fit(synthetic_listening()).save({str(tmp_path / 'm')!r})"
    )
    assert run(says, site) == ""
    shutil.rmtree(site)
    with pytest.raises(WeightsError, match="channel 'loved-i' is unknown here"):
        load_channel(Path(tmp_path / "m"))

"""Options of the form NAME=VALUE: what they become, and what is refused."""

from dataclasses import MISSING, dataclass, fields
from importlib import import_module
from pathlib import Path

import pytest

from audiorec.errors import InputError
from audiorec_cli.main import app
from audiorec_cli.shared.options import values_for
from audiorec_cli.shared.training import variants


@dataclass(frozen=True)
class Caps:
    artist: int = 3
    names: tuple[str, ...] = ()
    hidden: tuple[int, ...] = (8,)
    wide: bool = False
    label: str = ""
    file: Path | None = None


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["names=a,b"], {"names": ("a", "b")}),
        (["names=a", "names=b"], {"names": ("a", "b")}),
        (['names=["a,b"]'], {"names": ("a,b",)}),
        (["hidden=16,4"], {"hidden": (16, 4)}),
        (["hidden=16"], {"hidden": (16,)}),
        (["label=7"], {"label": "7"}),  # a text stays one
        (["wide=false"], {"wide": False}),
        (["artist=1", "artist=2"], {"artist": 2}),
        (["wide", "file=a=b.toml"], {"wide": True, "file": Path("a=b.toml")}),
        (None, {}),
    ],
)
def test_values_have_the_type_of_the_field(texts, found):
    assert values_for(texts, Caps) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "artists=2",
            "--set artists=2: unknown setting 'artists'; there are: artist, file, hidden, ",
        ),
        ("artist", "--set artist: expected artist=VALUE"),
        ("artist=two", "--set artist=two: artist must be a whole number, got 'two'"),
        ("hidden=a", "--set hidden=a: hidden must be"),
        ("", "--set : unknown setting ''"),
    ],
)
def test_what_is_refused(text, said):
    with pytest.raises(InputError) as error:
        values_for([text], Caps)
    assert said in str(error.value)


def test_a_setting_given_several_times_is_compared():
    from audiorec.recall.simple.knn import VSKNN

    texts = ["neighbours=5", "neighbours=9", "neighbours=5", "history=20"]
    found = variants(VSKNN, texts)
    assert [(one.name, one.recipe.neighbours, one.recipe.history) for one in found] == [
        ("vs-knn, neighbours = 5", 5, 20),
        ("vs-knn, neighbours = 9", 9, 20),
    ]
    assert [one.name for one in variants(VSKNN, ["history=20"])] == ["vs-knn"]


def defaults(command):
    return {field.name: field.default for field in app_command(command).fields}


def app_command(words):
    found = app
    for word in words.split():
        found = found.commands[word]
    return found


@pytest.mark.parametrize(
    ("command", "place", "but"),
    [
        ("heads", "audiorec.labelling.train:HeadRecipe", ()),
        ("listening simulate", "audiorec.simulation.world:WorldSpec", ()),
        ("listening correlate", "audiorec.analysis.correlation:CorrelationSpec", ("rule",)),
        ("recall export", "audiorec.recall.serving.export.exporting:ExportRecipe", ("days",)),
        ("recall users", "audiorec.store.embeddings:ForeignTable", ()),
        ("cold-start", "audiorec.recall.cold_start.assign:ColdStartPlan", ("k",)),
        ("cold-start", "audiorec.recall.cold_start.sides:ColdStartFiles", ("keep_heard",)),
    ],
)
def test_a_command_without_options_is_the_library_without_settings(command, place, but):
    module, _, name = place.partition(":")
    usual = {
        field.name: field.default
        for field in fields(getattr(import_module(module), name))
        if field.default is not MISSING
    }
    shared = (set(defaults(command)) & set(usual)) - set(but)
    assert shared or command == "heads"
    assert {n: defaults(command)[n] for n in shared} == {n: usual[n] for n in shared}

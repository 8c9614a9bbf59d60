"""The recipes of `docs/scale.md` do what they say, with a stand-in for the engine."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_songs import write_song

from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.manifest import write_manifest
from audiorec.extraction.shards import finished_parts
from audiorec.store.schema import Kind
from audiorec_cli.main import app

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


class Spark:
    """As much of a Spark session as the recipe asks for: each partition by itself."""

    def __init__(self):
        self.sparkContext = self

    def parallelize(self, items, partitions):
        assert len(items) == partitions
        self.items = list(items)
        return self

    def mapPartitions(self, function):
        rows = [row for item in self.items[::-1] for row in function(iter([item]))]
        return SimpleNamespace(collect=lambda: rows)


def test_the_spark_recipe_makes_every_part(tmp_path):
    for seed in (1, 2):
        write_song(tmp_path / "songs" / f"{seed}.wav", seed=seed, seconds=1.2)
    manifest, out = str(tmp_path / "m.parquet"), str(tmp_path / "parts")
    write_manifest(manifest, find_songs([tmp_path / "songs"]))
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    code, changed = re.subn(
        r'= "s3://bucket/manifest.parquet", "s3://bucket/parts", 1000',
        f"= {manifest!r}, {out!r}, 2",
        code,
    )
    assert changed == 1
    names = {"spark": Spark()}
    exec(code, names)  # noqa: S102 - the page is ours
    assert names["rows"] == [(1, False, 1, 0), (0, False, 1, 0)]
    assert len(finished_parts(out)[Kind.VECTORS]) == 2


@pytest.mark.parametrize("language", ["bash", "yaml", ""])
def test_every_option_in_the_recipes_exists(language):
    fences = re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    text = "\n".join(body for name, body in fences if name == language)
    commands = re.findall(
        r"audiorec ((?:(?:store|recall) )?[a-z]+)((?:.*\\\n)*.*(?:\n +--.*)*)", text
    )
    options = [(c, o) for c, rest in commands for o in re.findall(r"\s(--[a-z-]+)", rest)]
    assert options
    for command, option in options:
        assert option in known_options(command), f"audiorec {command} {option}"


def known_options(command):
    found = app
    for name in command.split():
        found = found.commands[name]
    return {o for parameter in (*found.params, *found.shared) for o in parameter.opts}

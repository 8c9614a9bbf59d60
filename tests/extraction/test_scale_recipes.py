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


class Engine:
    """As much of a Spark session and of a Dask client as the recipes ask for."""

    def __init__(self):
        self.sparkContext = self

    def parallelize(self, items, partitions):
        assert len(items) == partitions
        return SimpleNamespace(map=lambda f: SimpleNamespace(collect=lambda: [*map(f, items)]))

    def map(self, function, items, *, pure):
        assert not pure
        return [function(item) for item in reversed(items)]

    def gather(self, futures):
        return futures


@pytest.mark.parametrize("engine", ["spark", "client"])
def test_the_recipes_of_engines_make_every_part(tmp_path, engine):
    for seed in (1, 2):
        write_song(tmp_path / "songs" / f"{seed}.wav", seed=seed, seconds=1.2)
    manifest, out = str(tmp_path / "m.parquet"), str(tmp_path / "parts")
    write_manifest(manifest, find_songs([tmp_path / "songs"]))
    (code, *_) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    code, changed = re.subn(
        r'= "s3://bucket/manifest.parquet", "s3://bucket/parts", 1000',
        f"= {manifest!r}, {out!r}, 2",
        code,
    )
    assert changed == 1
    lines = [x for x in code.splitlines() if not x.startswith("rows =") or f"{engine}." in x]
    names = {engine: Engine()}
    exec("\n".join(lines), names)  # noqa: S102 - the page is ours
    assert sorted(names["rows"]) == [(0, False, 1, 0), (1, False, 1, 0)]
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

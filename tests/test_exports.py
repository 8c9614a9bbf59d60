"""The names that packages gather: the same for programs and type checkers, without source files."""

import ast
import compileall
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GATHERING = ("audiorec", "audiorec.recall", "audiorec.search")
ASK = """
import sys
sys.path.insert(0, sys.argv[1])
import audiorec, audiorec.recall, audiorec.search
assert audiorec.__file__.endswith(".pyc"), audiorec.__file__
print(len(audiorec.open_store(sys.argv[2])))
print(audiorec.search.Space.__name__, audiorec.recall.VSKNN.__name__)
from audiorec_cli.main import main
sys.argv = ["audiorec", "--help"]
main()
"""


def imports_for_type_checkers(package):
    """The names that a package imports under ``if TYPE_CHECKING``, by module."""
    tree = ast.parse(Path(import_module(package).__file__).read_text(encoding="utf-8"))
    names = {}
    for block in tree.body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for line in block.body:
                names.setdefault(line.module, []).extend(alias.name for alias in line.names)
    return {home: sorted(found) for home, found in names.items()}


@pytest.mark.parametrize("package", GATHERING)
def test_programs_and_type_checkers_see_the_same_names(package):
    table = {home: sorted(names) for home, names in import_module(package).HOMES.items()}
    assert table == imports_for_type_checkers(package)


@pytest.mark.parametrize("package", GATHERING)
def test_every_public_name_is_there(package):
    module = import_module(package)
    assert module.__all__ == dir(module)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing


def test_the_package_works_without_its_source(tmp_path):
    for source in (ROOT / "audiorec", ROOT / "cli" / "audiorec_cli"):
        frozen = tmp_path / source.name
        shutil.copytree(source, frozen, ignore=shutil.ignore_patterns("__pycache__"))
        assert compileall.compile_dir(frozen, legacy=True, quiet=1)
        for path in frozen.rglob("*.py"):
            path.unlink()
    store = ROOT / "fixtures" / "formats" / "vecs-v1.parquet"
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(tmp_path), str(store)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    songs, names, *helps = done.stdout.splitlines()
    assert int(songs) > 0
    assert names == "Space VSKNN"
    assert any("Usage" in line for line in helps)

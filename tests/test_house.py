"""The folder listing tells the story: what each package says of itself is what is there."""

import ast
import importlib
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from needs import needs

from audiorec.columns import ListColumns, LogColumns, StoreColumns

REPOSITORY = Path(__file__).parents[1]
ROOT, COMMANDS = REPOSITORY / "audiorec", REPOSITORY / "cli" / "audiorec_cli"
PACKAGES = sorted(path.parent for path in ROOT.rglob("__init__.py") if path.parent != ROOT)
LOOSE = {"columns", "distribution", "errors", "exports", "options", "spec", "types"}
# What programs import from; everything else is imported from the module that defines it.
GATHERED = [ROOT, ROOT / "recall", ROOT / "search"]


def dotted(package: Path) -> str:
    return ".".join(package.relative_to(REPOSITORY).parts)


def exported(package: Path) -> list[tuple[str, str]]:
    """Return module and name of each public name that a package gathers."""
    found = []
    for part in ast.parse((package / "__init__.py").read_text()).body:
        if isinstance(part, ast.If) and ast.unparse(part.test) == "TYPE_CHECKING":
            for node in part.body:
                if isinstance(node, ast.ImportFrom):
                    assert [a.asname == a.name for a in node.names] == [True], ast.unparse(node)
                    is_module = node.module == dotted(package)
                    name = node.names[0].name
                    found.append((f"{node.module}.{name}" if is_module else str(node.module), name))
    return found


def test_a_helper_of_the_tests_has_a_name_of_its_own():
    """Tests put benchmarks and scripts first on the path: those must hide no helper."""
    helpers = {path.stem for path in (REPOSITORY / "tests").rglob("[!_]*.py")}
    for folder in ("benchmarks", "scripts", "examples"):
        programs = {path.stem for path in (REPOSITORY / folder).rglob("[!_]*.py")}
        assert not helpers & programs, folder


def test_only_the_base_lies_loose_at_the_top():
    assert {path.stem for path in ROOT.glob("*.py")} - {"__init__"} == LOOSE


def test_a_package_imports_nothing_and_three_gather_public_names():
    for package in PACKAGES:
        of, names = dotted(package), exported(package)
        docstring, *rest = ast.parse((package / "__init__.py").read_text()).body
        assert isinstance(docstring, ast.Expr), of
        assert bool(rest) == (package in GATHERED), of
        assert not (package / "__init__.pyi").exists(), of
        modules = {path.stem for path in package.glob("*.py")}
        modules |= {path.parent.name for path in package.glob("*/__init__.py")}
        assert len({name for _, name in names}) == len(names), of
        for home, name in names:
            assert home.startswith(f"{of}."), f"{of}: {name} lies elsewhere"
            # Whether a module or its function would be found, would depend on earlier imports.
            assert (name in modules) == (home == f"{of}.{name}"), f"{of}: {name}"


def test_audiorec_itself_imports_a_name_from_the_module_that_defines_it():
    gathered = {dotted(package): {n for _, n in exported(package)} for package in GATHERED}
    roundabout = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}: {alias.name}"
        for path in [*ROOT.rglob("*.py"), *COMMANDS.rglob("*.py")]
        if path.name != "__init__.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module in gathered
        for alias in node.names
        if alias.name in gathered[node.module]
        and (node.module, alias.name) != ("audiorec", "errors")
    ]
    assert roundabout == []


def test_a_module_says_in_one_line_what_it_is():
    first = {
        path: (ast.get_docstring(ast.parse(path.read_text())) or "\n").splitlines()[0]
        for path in ROOT.rglob("*.py")
    }
    assert {path: line for path, line in first.items() if not line.endswith((".", ":"))} == {}


def test_public_names_can_be_imported_from_their_package_and_have_docstrings():
    absent = set()
    for package in GATHERED:
        found, of = importlib.import_module(dotted(package)), dotted(package)
        homes = {name: home for home, name in exported(package)}
        assert set(found.__all__) == set(dir(found)) == set(homes), of
        for name, home in homes.items():
            try:
                value, module = getattr(found, name), importlib.import_module(home)
            except ModuleNotFoundError as error:  # a module that trains
                absent.add(error.name or "")
                continue
            assert value is (module if home == f"{of}.{name}" else getattr(module, name)), name
            if callable(value) and value.__module__ == home:
                assert value.__doc__, f"{home}.{name}"
        with pytest.raises(AttributeError, match="has no attribute 'nothing_here'"):
            found.nothing_here  # noqa: B018
    for package in absent:
        needs(package)


def test_a_public_name_loads_its_module_and_no_other():
    code = (
        "import sys, audiorec.recall, audiorec.search\n"
        "print([m for m in ('ast', 'numpy', 'audiorec.search.space') if m in sys.modules])\n"
        "from audiorec.recall import SASRec, VSKNN, evaluate, fuse\n"
        "from audiorec.search import Space\n"
        "print(SASRec.name, VSKNN.name, evaluate.__name__, fuse.__name__, Space.__name__,"
        " 'torch' in sys.modules, 'audiorec.recall.simple.external' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "[]",
        "sasrec vs-knn evaluate fuse Space False False",
    ]


def test_each_class_name_means_one_thing():
    places = defaultdict(list)
    for path in [*ROOT.rglob("*.py"), *COMMANDS.rglob("*.py")]:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(REPOSITORY)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_arrays_have_one_name_a_kind():
    """`audiorec.types` names arrays of float32, float64, int32, int64 and bool for all."""
    alias = re.compile(
        r"^\w+ = (?:npt\.)?NDArray\[np\.(?:float32|float64|int32|int64|bool_)\]", re.M
    )
    others = [
        p for p in ROOT.rglob("*.py") if p != ROOT / "types.py" and alias.search(p.read_text())
    ]
    assert others == []


def test_a_column_that_crosses_rooms_is_spelled_once():
    """Ids stand in ``audiorec/columns.py``; what other programs wrote has names of its own."""
    foreign = {"databases", "lastfm", "navidrome", "yambda"}
    shared = {StoreColumns.ID, LogColumns.USER, ListColumns.GROUP}
    strewn = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in ROOT.rglob("*.py")
        if path.name != "columns.py" and path.stem not in foreign
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in shared
    ]
    assert strewn == []

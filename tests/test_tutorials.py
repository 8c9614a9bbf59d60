"""The tutorials print what they show, as pages and as notebooks; guides are short."""

import sys
from pathlib import Path

import pytest
from needs import needs

ROOT = Path(__file__).parents[1]
import docs_words
import tutorials

PAGES = sorted(tutorials.PAGES.glob("*.md"))

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of Unix")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_prints_what_it_shows(page, tmp_path):
    assert tutorials.changed(page, tutorials.run_page(page, tmp_path)) == []


def test_a_page_is_put_together_again_as_it_was():
    page = "# A\n\nDo this:\n\n```sh\nls\n```\n\n```text\na  b\n```\n\n"
    page += "Then:\n\n<!-- not run: no -->\n```sh\nrm a\n```\n"
    parts = tutorials.cells(page)
    assert [part.shown for part in parts] == [None, "a  b\n", None]
    assert tutorials.written(parts) == page


def test_numbers_may_differ_and_words_may_not(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```text\n1  97 %  a.opus\n```\n")
    assert tutorials.changed(page, [tutorials.Cell("```text\n1  96.5 %  a.opus\n```")]) == []
    assert tutorials.changed(page, [tutorials.Cell("```text\n1  97 %  b.opus\n```")]) != []


def test_commands_run_in_their_folder_as_on_a_terminal(tmp_path):
    assert (
        tutorials.run("test -t 1 && echo here > a; cat a; echo said >&2", tmp_path)
        == "here\nsaid\n"
    )
    with pytest.raises(RuntimeError, match="ended with 3"):
        tutorials.run("exit 3", tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_notebook_has_the_cells_of_the_page(page):
    parts = [part for part in tutorials.cells(page.read_text()) if part.text]
    cells = tutorials.notebook(parts)["cells"]
    assert [cell["source"].removeprefix("%%bash\n") for cell in cells] == [p.text for p in parts]
    shown = [bool(cell.get("outputs")) for cell in cells]
    assert shown == [bool((part.shown or "").strip()) for part in parts]


def test_a_notebook_runs_in_jupyter(tmp_path, monkeypatch):
    """That of a small page: all have the cells of their pages, whose commands run above."""
    page = "# A\n\n```sh\nls fixtures\naudiorec --version\n```\n\n```text\naudiorec 0.1\n```\n"
    page += "\nThen:\n\n```sh\ntest -d fixtures\n```\n"
    nbclient = needs("nbclient")
    import nbformat

    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    tutorials.write_notebook(tutorials.cells(page), tmp_path / "page.ipynb")
    for name, value in tutorials.surroundings(tmp_path).items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(tmp_path / "page.ipynb", as_version=4)
    nbformat.validate(notebook)
    shown = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()  # stops at a cell that ends with an error
    printed = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert [bool(outputs) for outputs in printed] == [bool(outputs) for outputs in shown]


def test_guides_are_short():
    assert docs_words.long_pages() == []


def test_every_page_has_a_kind():
    known = docs_words.kinds()
    kinds = {path: docs_words.kind_of(path, known) for path, _ in docs_words.texts()}
    assert [
        path for path, kind in kinds.items() if path.startswith("docs/") and kind == "Other"
    ] == []


def test_reading_ease_knows_easy_from_hard():
    easy = "The cat sat on the mat. It was warm."
    hard = (
        "Institutional considerations notwithstanding, methodological heterogeneity predominates."
    )
    assert docs_words.reading_ease(easy) > 90 > 10 > docs_words.reading_ease(hard)
    assert docs_words.words("# Two words\n\n```sh\nnot this\n```\n[here](there.md)") == 3

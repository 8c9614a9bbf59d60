"""The words of the repository hold to the glossary; each check finds a fault that is planted."""

import re
from pathlib import Path

import pytest
from needs import needs

ROOT = Path(__file__).parents[1]
import check_prose
import prose_figures
import prose_links
import prose_names
from prose import Piece, docstring_prose, module_pieces, page_pieces, page_prose, pages

GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()


@pytest.fixture(scope="module")
def found():
    return check_prose.words_and_lines()


@pytest.mark.parametrize(
    "check",
    [
        *("forbidden words", "unknown letters", "unknown names"),
        *("long lines", "broken links", "dead pages", "figures of another page"),
    ],
)
def test_the_repository_has_no_fault(check, found):
    faults = found[check]
    if not (ROOT / "benchmarks").is_dir():  # a source archive has none
        faults = [line for line in faults if "benchmarks/" not in line]
    assert faults == [], "\n".join(faults)


def test_it_is_spelt_right_and_in_good_style():
    needs("codespell_lib")
    needs("proselint")
    assert check_prose.spelling_and_style() == {"misspellings": [], "faults of style": []}


def piece(text, path="docs/new.md", kind="page"):
    return Piece(path, 1, kind, page_prose(text) if kind == "page" else docstring_prose(text))


def forbidden(*pieces):
    return list(check_prose.forbidden(pieces, check_prose.rules(GLOSSARY)))


def test_a_forbidden_word_is_found_with_its_line_and_what_to_say():
    assert forbidden(piece("All good.\nThe similarity\nscore is 1.")) == []  # two lines, two words
    (fault,) = forbidden(piece("All good.\nThe similarity score is 1."))
    assert fault == "docs/new.md:2: say similarity, not 'similarity score' (page)"
    assert forbidden(piece("See `color` and\n```sh\naudiorec plot --color\n```")) == []
    assert len(forbidden(piece("A color map.", "audiorec/x.py", "message"))) == 1


def test_words_are_allowed_where_the_table_says_so():
    assert forbidden(piece("such datasets", "audiorec/library/dataset.py", "message")) == []
    assert len(forbidden(piece("such datasets", "audiorec/store/new.py", "message"))) == 1
    assert forbidden(piece("The Million Song Dataset has a million.")) == []
    assert forbidden(piece("A color.", "CHANGELOG.md")) == []


def test_docstrings_comments_messages_and_help_are_read(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        '"""A color."""\n\n\ndef f():\n    # The color of it.\n'
        '    raise ValueError("no color here")\n'
        '    option(help="A color of yours.")\n    colour = "color"\n'
    )
    found = forbidden(*module_pieces(path, tmp_path))
    assert [re.search(r":(\d+):.*\((\w+)\)$", line).groups() for line in found] == [
        ("1", "docstring"),
        ("6", "message"),
        ("7", "message"),
        ("5", "comment"),
    ]


def test_the_table_of_words_is_whole():
    rules = check_prose.rules(GLOSSARY)
    assert len(rules) >= 20
    words = [word for rule in rules for word in rule.words]
    assert len(words) == len(set(words))
    assert all(rule.say and all(rule.words) for rule in rules)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("scores : ndarray, shape (T, X)", "X"),
        ("Return similarities, (Q, Z) float32.", "Z"),
        ("Shape (B, T, K, y).", "y"),
    ],
)
def test_a_letter_that_the_glossary_lacks_is_found(text, letter):
    known = check_prose.letters(GLOSSARY)
    assert {"N", "T", "H", "V", "q", "d"} <= known
    (fault,) = check_prose.unknown_letters([("a.py", 1, text)], known)
    assert fault.endswith(f"no letter {letter}")
    assert list(check_prose.unknown_letters([("a.py", 1, text.replace(letter, "S"))], known)) == []


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("a.py", "Call `no_such_thing`.", "no_such_thing"),
        ("a.py", "See `VectorStore.shelf_of_old`.", "VectorStore.shelf_of_old"),
        ("a.py", "As ``audiorec.learning.no_such`` does.", "audiorec.learning.no_such"),
        ("docs/a.md", "One\ntwo `audiorec.store.shelf`.", "audiorec.store.shelf"),
    ],
)
def test_a_name_that_no_code_has_is_found(path, text, name):
    (fault,) = prose_names.unknown([(path, 1, text)])
    line = 1 + text.count("\n")
    assert fault == f"{path}:{line}: no code has the name {name}"


@pytest.mark.parametrize(
    "text",
    [
        "`VectorStore.open`, `numpy.ndarray`, `similar` and `vecs.parquet`",
        "``audiorec.learning.fit.fit_refit``, audiorec.store, audiorec.toml",
        "``no_such_thing`` in double backticks is a value, not a name",
    ],
)
def test_names_of_code_are_left_alone(text):
    assert list(prose_names.unknown([("a.py", 1, text)])) == []


def test_what_is_no_shape_is_left_alone():
    known = check_prose.letters(GLOSSARY)
    for text in ("(see below)", "an interval (0, 1)", "path(a, b)", "(iTunes, Navidrome)"):
        assert list(check_prose.unknown_letters([("a.py", 1, text)], known)) == []


def test_a_long_line_is_found_and_can_be_broken():
    line = "word " * 30
    text = f"# Page\n\n- {line}\n\n| {line} |\n\n```\n{line}\n```\n"
    assert [number for number, _ in check_prose.too_long(text)] == [3]
    again = check_prose.wrapped(text)
    assert list(check_prose.too_long(again)) == []
    assert again.split() == text.split()
    assert again.splitlines()[3].startswith("  word")


def test_broken_links_and_pages_that_nothing_leads_to_are_found(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("[a](a.md), [b](a.md#two-words), [web](https://example.org)\n")
    (docs / "a.md").write_text("# Two `words`\n\n`[code](nowhere.md)` [up](index.md)\n")
    assert prose_links.broken(tmp_path) == prose_links.dead(tmp_path) == []
    assert prose_links.external(tmp_path) == ["https://example.org"]
    (docs / "b.md").write_text("[gone](gone.md)\n\n[anchor](a.md#three-words)\n")
    assert prose_links.broken(tmp_path) == [
        "docs/b.md:1: gone.md: no such file",
        "docs/b.md:3: a.md#three-words: no heading with this anchor",
    ]
    assert prose_links.dead(tmp_path) == ["docs/b.md: no way leads here from docs/index.md"]


@pytest.fixture
def two_pages(tmp_path):
    """Return what writes a page that measured a figure and one that copies it."""

    def write(source, copy):
        (tmp_path / "docs").mkdir(exist_ok=True)
        (tmp_path / "docs" / "source.md").write_text(f"# Measured\n\n| row | {source} |\n")
        (tmp_path / "README.md").write_text(f"# Claims\n\nIt is {copy}.\n")
        return prose_figures.stale(tmp_path), prose_figures.unlinked(tmp_path)

    return write


@pytest.mark.parametrize(
    ("source", "figure"),
    [
        ("**0.825** [0.776, 0.874]", "0.825 [0.776, 0.874]"),
        ("0.2308 ± 0.0011 [0.225, 0.237]", "0.2308 [0.225, 0.237]"),
        ("\N{MINUS SIGN}0.3 [\N{MINUS SIGN}0.9, 0.4]", "-0.3 [-0.9, 0.4]"),
        ("71 % [57, 89]", "71 % [57, 89]"),
        ("474.5 [469.1\u2013477.8]", "474.5 [469.1\u2013477.8]"),
        ("12.11 [11.94\u201312.29]", "12.11"),
        ("118.2", "118.2"),
    ],
)
def test_a_figure_that_its_page_has_is_good(two_pages, source, figure):
    assert two_pages(source, f"[{figure}](docs/source.md)") == ([], [])


@pytest.mark.parametrize(
    "figure",
    ["0.825 [0.816, 0.834]", "0.83 [0.776, 0.874]", "0.825 [0.776, 0.874] / 0.5", "825", "0.82"],
)
def test_a_figure_that_its_page_has_no_longer_is_found(two_pages, figure):
    (fault,), _ = two_pages("0.825 [0.776, 0.874]", f"[{figure}](docs/source.md)")
    assert fault == f"README.md:3: source.md has no figure {figure}"


def test_an_estimate_of_two_pages_without_a_link_is_found(two_pages):
    _, (fault,) = two_pages("0.825 [0.776, 0.874]", "0.825 [0.776, 0.874]")
    assert fault == (
        "docs/source.md:3: 0.825 [0.776, 0.874] stands in README.md too: make one of the two a link"
    )
    assert two_pages("0.825 [0.776, 0.874]", "0.825 [0.776, 0.875]") == ([], [])


def test_a_figure_that_flatters_alone_is_found(tmp_path, monkeypatch):
    beside = {("source.md", "95 %"): {("source.md", "4 %")}}
    monkeypatch.setattr(prose_figures, "FLATTERS", beside)
    page = tmp_path / "README.md"
    page.write_text("Right in [95 % [87, 99]](docs/source.md).\n")
    (fault,) = prose_figures.flattering(tmp_path)
    assert fault == (
        "README.md: links to 95 % of source.md without 4 % of source.md, which belongs there"
    )
    page.write_text("Right in [95 %](docs/source.md), of hip hop in [4 %](docs/source.md).\n")
    assert prose_figures.flattering(tmp_path) == []


def test_every_figure_that_flatters_stands_somewhere():
    linked = {
        (copy.target.name, re.match(r"[\d.]+(?: %)?", copy.text)[0])
        for page in pages()
        for copy in prose_figures.copies(page)
        if copy.text[0].isdigit()
    }
    assert set(prose_figures.FLATTERS) <= linked


@pytest.mark.parametrize(("page", "least"), [("README.md", 10), ("docs/benchmarks/figures.md", 20)])
def test_every_figure_of_the_first_pages_is_linked_to_its_page(page, least):
    table = (ROOT / page).read_text().partition("# Figures")[2].partition("\n## ")[0]
    bare = prose_figures.LINK.sub("", table)
    assert re.findall(r"\d\.\d|\d %|\[\d", bare.replace("95 %", "")) == []
    assert len(list(prose_figures.copies(ROOT / page))) >= least


def test_a_misspelling_is_found(tmp_path):
    needs("codespell_lib")
    (tmp_path / "page.md").write_text("Colour, licence and normalise are right; teh is not.\n")
    (fault,) = check_prose.spelling([tmp_path / "page.md"], ROOT)
    assert "teh ==> the" in fault


def test_a_fault_of_style_is_found():
    needs("proselint")
    good = "A store holds one row a song.\n\nIt is read by row groups.\n"
    assert list(check_prose.style([piece(good)])) == []
    (fault,) = check_prose.style([piece(good + "\nThe the store is verified.\n")])
    assert fault.startswith("docs/new.md:5: ")
    assert "repeated" in fault


def test_every_page_is_read():
    names = {path.relative_to(ROOT).as_posix() for path in pages()}
    assert {"README.md", "docs/index.md", "docs/decisions/README.md"} <= names
    assert len(list(page_pieces(pages()))) == len(names)

"""Settings of the documentation site: the pages as they lie here, and the API from docstrings.

    uv run --group full sphinx-build -W --keep-going -q -c docs . build/site

The root of the repository is the source folder, so a relative link leads to the same page on a code
host and in the site. Four things are made at build time: the navigation, from the lists of links
in ``docs/contents.md``; a page for each group of commands; the tables of the reference that code
declares (``scripts/reference_tables.py``); and a page for every package: its docstring, the public
names that it gathers, and the first line of each module. The pages lie in ``docs/api/`` and are not
committed.

The navigation holds what is to be read and the first pages of the reference; the page that lists
all pages leads to the others.
"""

import ast
import re
import sys
from functools import cache
from pathlib import Path
from posixpath import normpath
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
API = ROOT / "docs" / "api"
sys.path.insert(0, str(ROOT / "scripts"))

project = "audiorec"
author = "audiorec maintainers"
html_title = "audiorec"
html_theme = "furo"
smartquotes = False  # ``--watch`` stays as it is typed
html_extra_path = ["site"]  # index.html, which leads to the first page
html_static_path = ["site/tables.css"]
html_css_files = ["tables.css"]
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {"top_of_page_buttons": ["view"]}
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/peers/README.md",
    "examples/README.md",
    "examples/*/README.md",
    "fixtures/audio/README.md",
    "fixtures/codecs/README.md",
    "fixtures/demo/README.md",
    "plugins/*/*.md",
]
exclude_patterns = [".*", "build", "dist", "docs/site", "**/node_modules"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

myst_heading_anchors = 4  # the anchors of a code host: #the-record-of-a-run
myst_enable_extensions = ["strikethrough"]

autodoc_default_options = {"members": False, "show-inheritance": False}
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False  # autodoc shows them
add_module_names = False
python_use_unqualified_type_names = True
toc_object_entries = False
suppress_warnings = ["misc.highlighting_failure"]  # a placeholder of ClickHouse: {name:Type}

LOOKED_UP = 3  # pages of the reference that the navigation has, and beside them
ALWAYS = ("API </docs/api>", "Contributing </CONTRIBUTING>", "All pages </docs/contents>")
TESTED = {
    "<!-- the tests of hostile input -->": (
        "tests/hostile/test_*.py",
        "tests/web/test_access.py",
        "tests/web/test_siege.py",
        "plugins/audiorec-retag/tests/test_undo.py",
    ),
    "<!-- the tests of two businesses -->": tuple(
        f"plugins/audiorec-federated/tests/test_{name}.py"
        for name in ("alignment", "flight", "link", "one_way", "party", "protocol", "told")
    ),
}
LINK = re.compile(r"^- \[([^]]+)\]\(([^)#]+\.md)\)", re.MULTILINE)


def sections() -> dict[str, list[str]]:
    """Return the entries of the tables of contents by heading of the page that lists all pages."""
    text = (ROOT / "docs" / "contents.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    return {
        title: [f"{name} <{normpath(f'/docs/{page}')}>" for name, page in LINK.findall(body)]
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    }


def toctree(entries: list[str], caption: str = "") -> str:
    """Return a table of contents that shows in the navigation alone."""
    options = [":hidden:", ":glob:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["", "```{toctree}", *options, "", *entries, "```", ""])


@cache
def navigation() -> dict[str, list[str]]:
    """Return the entries of the navigation by heading."""
    shown = sections()
    *read, (reference, looked_up) = list(shown.items())[: list(shown).index("Reference") + 1]
    kept = {title: [page for page in pages if "/docs/" in page] for title, pages in read}
    return kept | {reference: [*looked_up[:LOOKED_UP], *ALWAYS]}


def add_contents(app: Any, name: str, source: list[str]) -> None:
    """Add the navigation to the first page, and what is generated to the pages that lead to it."""
    from reference_tables import TABLES

    for mark in filter(source[0].__contains__, [*TESTED, *TABLES]):
        made = tests_of(TESTED[mark]) if mark in TESTED else TABLES[mark]()
        source[0] = source[0].replace(mark, made)
    if name == "docs/index":
        app.env.note_dependency("docs/contents.md")
        source[0] += "".join(toctree(pages, title) for title, pages in navigation().items())
    elif name == "docs/commands":
        source[0] += "\n" + "\n".join(f"- [{title}](api/{page}.md)" for page, title in groups())
        source[0] += toctree([f"api/{page}" for page, _ in groups()])
    elif name == "docs/api":
        source[0] = re.sub(
            r"\(\.\./audiorec/([\w/]*?)/?__init__\.py\)",
            lambda match: f"(api/{'.'.join(['audiorec', *filter(None, match[1].split('/'))])}.rst)",
            source[0],
        )
    elif not any(f"/{name}>" in page for pages in navigation().values() for page in pages):
        is_rst = name.startswith("docs/api/audiorec")
        if not name.startswith("docs/api/commands"):
            source[0] = (":orphan:" if is_rst else "---\norphan: true\n---") + f"\n\n{source[0]}"


def tests_of(patterns: tuple[str, ...]) -> str:
    """Return a heading for each file of tests, and a line for each test: its name as a sentence."""
    lines = []
    for path in sorted(path for pattern in patterns for path in ROOT.glob(pattern)):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        about = str(ast.get_docstring(tree)).partition("\n")[0]
        lines.append(f"\n**{about}** (`{path.relative_to(ROOT).as_posix()}`)\n")
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        tested = [name.removeprefix("test_") for name in names if name.startswith("test_")]
        lines += [f"- {name.replace('_', ' ')}" for name in tested]
    return "\n".join(lines)


def groups() -> list[tuple[str, str]]:
    """Return file name and title of the page of each group of commands."""
    from commands_page import pages

    return [(f"commands_{title.lower().replace(' ', '_')}", title) for title in pages()]


def public_names(package: Path) -> dict[str, list[str]]:
    """Return the public names that a package gathers, by module."""
    dotted = ".".join(package.relative_to(ROOT).parts)
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    names: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(dotted):
            found = [alias.name for alias in node.names]
            home = f"{dotted}.{found[0]}" if node.module == dotted else str(node.module)
            if not (package / found[0]).is_dir():  # a package has a page of its own
                names.setdefault(home, []).extend(found)  # a public module has such a function
    return names


def directive(tree: ast.Module, module: str, name: str) -> list[str]:
    """Return what documents a public name: by autodoc, or the module that it is imported from."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return [f".. autoclass:: {module}.{name}", "   :members:", ""]
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return [f".. autofunction:: {module}.{name}", ""]
        if isinstance(node, ast.ImportFrom) and name in {a.asname or a.name for a in node.names}:
            return [f"``{name}`` is documented in ``{node.module}``.", ""]
    return [f".. py:data:: {module}.{name}", "", ""]


def module_part(module: str, names: list[str], mark: str = "-") -> list[str]:
    """Return the part of a page that documents the public names of a module."""
    path = ROOT.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lines = [module, mark * len(module), "", f".. automodule:: {module}", ""]
    for name in names:
        lines += directive(tree, module, name)
    return lines


def package_page(package: Path) -> str:
    """Return the page of a package: its docstring, the names that it gathers, its modules."""
    dotted = ".".join(package.relative_to(ROOT).parts)
    lines = module_part(dotted, [], "=")
    for module, names in public_names(package).items():
        lines += module_part(module, names)
    lines += ["Modules", "-------", ""]
    for path in sorted(package.glob("[!_]*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        lines += [f"``{dotted}.{path.stem}``", f"    {text.partition(chr(10))[0]}", ""]
    return "\n".join(lines)


def top_page() -> str:
    """Return the page of ``import audiorec``, and of the modules that all others stand on."""
    lines = module_part("audiorec", [], "=")
    for module in ("errors", "exports", "spec", "types", "distribution"):
        tree = ast.parse((ROOT / "audiorec" / f"{module}.py").read_text(encoding="utf-8"))
        named = [
            node.name
            for node in tree.body
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
        ]
        lines += module_part(f"audiorec.{module}", named)
    return "\n".join(lines)


def write_api(_app: object) -> None:
    """Write the generated pages; one that would not change is left alone, and not read again."""
    from commands_page import pages as commands

    pages = {"audiorec.rst": top_page()}
    for (name, title), text in zip(groups(), commands().values(), strict=True):
        pages[f"{name}.md"] = f"# Commands: {title}\n\n{text}"
    for init in sorted((ROOT / "audiorec").rglob("__init__.py")):
        if init.parent != ROOT / "audiorec":
            name = ".".join(init.parent.relative_to(ROOT).parts)
            pages[f"{name}.rst"] = package_page(init.parent)
    API.mkdir(exist_ok=True)
    for old in API.iterdir():
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        path = API / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def draw(_app: object, what: str, _name: str, _obj: object, _options: object, lines: Any) -> None:
    """Show the drawing of a module's flow as typed: an indented block without ``::`` before it."""
    if what != "module":
        return
    for i in range(len(lines) - 2, 0, -1):
        begins = not lines[i].strip() and lines[i + 1].startswith("    ")
        before = next((line for line in reversed(lines[:i]) if line.strip()), "")
        if begins and not before.startswith(" ") and not before.endswith("::"):
            lines[i : i + 1] = ["", "::", ""]


def setup(app: Any) -> dict[str, bool]:
    """Connect the three steps to Sphinx."""
    app.connect("builder-inited", write_api)
    app.connect("autodoc-process-docstring", draw, priority=400)  # before numpydoc
    app.connect("source-read", add_contents)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

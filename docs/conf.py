"""Settings of the documentation site: the pages as they lie here, and the API from docstrings.

    uv run --group full sphinx-build -W --keep-going -q -c docs . build/site

The root of the repository is the source folder, so a relative link leads to the same page on a code
host and in the site. Three things are made at build time: the table of contents, from the lists of
links in ``docs/contents.md``; every command with its options, below ``docs/commands.md``; and a
page for every package: its docstring, the public names that it gathers, and the first line of each
module (``docs/api/``, not committed).
"""

import ast
import re
import sys
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
html_static_path: list[str] = []
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


def add_commands(_app: object, name: str, source: list[str]) -> None:
    """Add all commands to the page that says what they have in common."""
    if name == "docs/commands":
        from commands_page import page

        source[0] += f"\n{page()}"


def add_contents(app: Any, name: str, source: list[str]) -> None:
    """Add tables of contents to the pages that lead to others, and lead to API pages by source."""
    if name in ("docs/index", "CONTRIBUTING"):
        app.env.note_dependency("docs/contents.md")
    if name == "docs/index":
        *for_users, (inside, (contributing, *_)) = sections().items()
        source[0] += "".join(toctree(pages, title) for title, pages in for_users)
        source[0] += toctree([contributing, "All pages </docs/contents>"], inside)
    elif name == "CONTRIBUTING":  # architecture and decisions stand below it in the navigation
        source[0] += toctree(list(sections().values())[-1][1:])
    elif name == "docs/decisions/README":
        source[0] += toctree(["[0-9]*"])
    elif name == "docs/api":
        source[0] += toctree(["api/*"])
        source[0] = re.sub(
            r"\(\.\./audiorec/([\w/]*?)/?__init__\.py\)",
            lambda match: f"(api/{'.'.join(['audiorec', *filter(None, match[1].split('/'))])}.rst)",
            source[0],
        )


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
    """Write the API pages; one that would not change is left alone, and not read again."""
    pages = {"audiorec": top_page()}
    for init in sorted((ROOT / "audiorec").rglob("__init__.py")):
        if init.parent != ROOT / "audiorec":
            pages[".".join(init.parent.relative_to(ROOT).parts)] = package_page(init.parent)
    API.mkdir(exist_ok=True)
    for old in API.glob("*.rst"):
        if old.stem not in pages:
            old.unlink()
    for name, text in pages.items():
        path = API / f"{name}.rst"
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
    app.connect("source-read", add_commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

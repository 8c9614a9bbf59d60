"""Print every command with its options, as ``audiorec --help`` has them.

    uv run python scripts/commands_page.py

The documentation site has a page for each group (docs/conf.py); none is committed.
"""

import inspect
from collections.abc import Iterator
from typing import Any

from audiorec_cli.main import PANELS, app
from audiorec_cli.shared.pages import examples


def page() -> str:
    """Return all groups of commands below each other."""
    return "\n".join(f"# {panel}\n\n{text}" for panel, text in pages().items())


def pages() -> dict[str, str]:
    """Return the text of each group of commands."""
    commands: Any = app.commands  # type: ignore[attr-defined]
    groups = PANELS | {"Plug-ins": tuple(sorted(commands.plugins))}
    return {
        panel: "\n".join(
            part for name in members for part in _sections(f"audiorec {name}", commands[name])
        )
        for panel, members in groups.items()
    }


def _sections(name: str, command: Any) -> Iterator[str]:
    members = getattr(command, "commands", None)
    about = inspect.cleandoc(command.help).partition("\n\nExamples\n")[0]
    text = "\n\n".join(" ".join(part.split()) for part in about.split("\n\n"))
    if members is not None:
        yield f"## `{name}`\n\n{text}\n"
        for word, member in members.items():
            yield from _sections(f"{name} {word}", member)
        return
    lines = "\n".join(examples(command.help))
    described = [p for p in command.params if getattr(p, "help", None)]
    described.sort(key=lambda p: bool(p.panel))
    options = "\n".join(map(_line, described))
    if command.shared:
        options += f"\n- common options: {', '.join(map(_names, command.shared))}"
    yield f"## `{name}`\n\n{text}\n\n```sh\n{lines}\n```\n\n{options}\n"


def _line(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        names = f"`{parameter.metavar or parameter.name.upper()}`"
    else:
        names = _names(parameter)
    advanced = " *(advanced)*" if parameter.panel else ""
    return f"- {names}{advanced}: {parameter.help}"


def _names(parameter: Any) -> str:
    return ", ".join(f"`{o}`" for o in [*parameter.opts, *parameter.secondary_opts])


if __name__ == "__main__":
    print(page(), end="")

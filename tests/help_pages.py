"""Every page of ``audiorec --help``, as the tests see it."""

import click

from audiorec_cli.main import app


def pages(command=None, path=("audiorec",)):
    """Yield (words, command) of the root, of every group and of every command."""
    command = command or app
    yield path, command
    for name in command.list_commands(None) if hasattr(command, "commands") else ():
        yield from pages(command.commands[name], (*path, name))


def page_text(path, command, obj=("help", "all")):
    """Return a page as it is printed; that of the root by ``audiorec help all``."""
    obj = list(obj)
    settings = {"help_option_names": ["-h", "--help"]}
    with click.Context(command, info_name=" ".join(path), obj=obj, **settings) as context:
        return command.get_help(context)

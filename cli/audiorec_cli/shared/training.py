"""How a channel of recall is trained: its settings, and its lines."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.console import say
from audiorec_cli.shared.progress import graceful_stop, stopped

if TYPE_CHECKING:
    from audiorec.recall.contract.channel import Channel
    from audiorec.recall.contract.data import RecallData


FIELDS = {"epochs": "max_epochs"}  # of a recipe, where it is called otherwise than the option
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A setting of the channel; recall list CHANNEL has all."
    ),
]


def with_recipe(
    kind: "type[Channel]", given: Mapping[str, Any], settings: Sequence[str] = ()
) -> "Channel":
    """Make a channel with options, and settings as ``name=value``; unknown ones are refused."""
    known = fields_of(kind)
    chosen = {FIELDS.get(n, n): value for n, value in given.items() if value is not None}
    for name, value in given.items():
        if value is not None and FIELDS.get(name, name) not in known:
            raise InputError(f"{kind.name} takes no --{name}")
    chosen |= dict(_setting(kind, text) for text in settings)
    if not chosen:
        return kind()
    recipe: Any = getattr(kind, "Recipe", None)
    make: Any = kind
    channel: Channel = make(recipe(**chosen))
    return channel


def _setting(kind: "type[Channel]", text: str) -> tuple[str, Any]:
    """Read ``name=value``."""
    from audiorec.files.settings import parsed, typed

    name, there, value = text.partition("=")
    recipe: Any = getattr(kind, "Recipe", None)
    try:
        if not there or recipe is None:
            raise InputError(f"NAME=VALUE expected; settings of {kind.name}: {_names(kind)}")
        return name, typed(recipe, name, parsed(value))
    except InputError as error:
        raise InputError(f"--set {text}: {error}") from error


def _names(kind: "type[Channel]") -> str:
    return ", ".join(sorted(fields_of(kind))) or "none"


def fields_of(kind: "type[Channel]") -> set[str]:
    """Return the names of a channel's settings."""
    recipe: Any = getattr(kind, "Recipe", None)
    return {field.name for field in fields(recipe)} if recipe is not None else set()


def fit_and_save(channel: "Channel", data: "RecallData", out: Path, *, quiet: bool) -> str:
    """Train a channel and write its folder; return its model id. A stop ends with code 130."""
    from audiorec.recall.contract.job import train_channel

    with graceful_stop("this step is", quiet=quiet) as stop:
        tell = None if quiet else epoch_line
        model_id = train_channel(channel, data, out, progress=tell, stop=stop)
    if model_id is None:
        raise stopped()
    return model_id


def epoch_line(line: Mapping[str, Any]) -> None:
    """Say how an epoch of a training went."""
    """Say how an epoch of a training went."""
    figures = (
        f"{name.replace('_', ' ')} {value:.4f}"
        for name, value in line.items()
        if isinstance(value, float) and name != "seconds"
    )
    say(f"epoch {line['epoch']}: {', '.join(figures)}")

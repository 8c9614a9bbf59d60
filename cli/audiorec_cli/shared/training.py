"""How a channel of recall is trained: its settings, and its lines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

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
    """Read ``name=value``: the value as its type says, in JSON where that is no text."""
    name, there, value = text.partition("=")
    known = fields_of(kind)
    if not there or name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise InputError(f"--set {text}: NAME=VALUE expected; settings of {kind.name}: {names}")
    wanted = get_type_hints(kind.Recipe)[name]  # type: ignore[attr-defined]
    try:
        read = json.loads(value)
    except json.JSONDecodeError:
        read = value
    read = tuple(read) if isinstance(read, list) else read
    if isinstance(read, int) and not isinstance(read, bool) and not _takes(wanted, read):
        read = float(read)
    if not _takes(wanted, read):
        shown = getattr(wanted, "__name__", None) or str(wanted).replace("typing.", "")
        raise InputError(f"--set {text}: {name} is {shown}")
    return name, read


def _takes(wanted: Any, value: Any) -> bool:
    """Return whether a setting of the type `wanted` may have this value."""
    if get_origin(wanted) is Literal:
        return value in get_args(wanted)
    if get_origin(wanted) in (Union, UnionType):
        return any(_takes(one, value) for one in get_args(wanted))
    return type(value) is (get_origin(wanted) or wanted)


def fields_of(kind: "type[Channel]") -> set[str]:
    """Return the names of a channel's settings."""
    recipe: Any = getattr(kind, "Recipe", None)
    return {field.name for field in fields(recipe)} if recipe is not None else set()


def fit_and_save(channel: "Channel", data: "RecallData", out: Path, *, quiet: bool) -> str:
    """Train a channel and write its folder; return its model id. A stop ends with code 130."""
    from audiorec.recall.contract.job import train_channel

    with graceful_stop("this step is", quiet=quiet) as stop:
        tell = None if quiet else _epoch
        model_id = train_channel(channel, data, out, progress=tell, stop=stop)
    if model_id is None:
        raise stopped()
    return model_id


def _epoch(line: Mapping[str, Any]) -> None:
    figures = (
        f"{name.replace('_', ' ')} {value:.4f}"
        for name, value in line.items()
        if isinstance(value, float) and name != "seconds"
    )
    say(f"epoch {line['epoch']}: {', '.join(figures)}")

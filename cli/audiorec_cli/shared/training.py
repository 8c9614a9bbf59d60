"""Training of a recall channel: settings from options, and progress lines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from audiorec.errors import InputError
from audiorec.options import chooses
from audiorec_cli.shared.console import Exit, say
from audiorec_cli.shared.progress import graceful_stop, stopped
from audiorec_cli.shared.settings import values_for

if TYPE_CHECKING:
    from audiorec.recall.contract.channel import Channel
    from audiorec.recall.contract.data import RecallData


SetOption = Annotated[
    list[str] | None,
    chooses(
        "--set",
        metavar="NAME=VALUE",
        help="A setting of the channel (repeatable); recall train CHANNEL lists them.",
    ),
]


def with_recipe(
    kind: "type[Channel]",
    given: Mapping[str, Any],
    settings: Sequence[str] = (),
    start: "Channel | None" = None,
) -> "Channel":
    """Make a channel from options and ``name=value`` settings; unknown ones are refused.

    One that goes on from a trained channel has its settings, where no others are given.
    """
    known = fields_of(kind)
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in chosen.keys() - known:
        raise InputError(f"{kind.name} has no option --{name}")
    recipe: Any = getattr(kind, "Recipe", None)
    if settings:
        if recipe is None:
            raise InputError(f"--set {settings[0]}: {kind.name} has no settings")
        chosen |= values_for(settings, recipe)[0]
    make: Any = kind
    if start is not None:
        from audiorec.recall.contract.warm import check_start

        theirs: Any = getattr(start, "recipe", None)
        goes_on = start.name == kind.name and theirs is not None
        made: Channel = make(replace(theirs, **chosen)) if goes_on else kind()
        check_start(made, start)
        return made
    channel: Channel = make(recipe(**chosen)) if chosen else kind()
    return channel


def variants(kind: "type[Channel]", settings: Sequence[str]) -> "list[Channel]":
    """Return a channel for each value of a setting that is given several times, else one."""
    given: dict[str, dict[str, None]] = {}
    for text in settings:
        given.setdefault(_name(text), {})[text] = None
    found = []
    for chosen in product(*given.values()):
        differ = [text.replace("=", " = ") for text in chosen if len(given[_name(text)]) > 1]
        # A separate class, so that each has its own name in a comparison.
        named = {"name": ", ".join([kind.name, *differ])}
        own = type(kind.__name__, (kind,), named) if differ else kind
        found.append(with_recipe(own, {}, chosen))
    return found


def _name(text: str) -> str:
    return text.partition("=")[0]


def as_given(value: object) -> str:
    """Return a value in the form of ``--set``: a string unchanged, anything else in JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def fields_of(kind: "type[Channel]") -> set[str]:
    """Return the names of a channel's settings."""
    recipe: Any = getattr(kind, "Recipe", None)
    return {field.name for field in fields(recipe)} if recipe is not None else set()


def fit_and_save(
    channel: "Channel",
    data: "RecallData",
    out: Path,
    *,
    quiet: bool,
    start: "Channel | None" = None,
) -> str:
    """Train a channel, write its model folder and return its id; exit with 130 if stopped."""
    from audiorec.recall.contract.job import is_first_process, train_channel

    first = is_first_process()
    with graceful_stop("this step is", quiet=quiet or not first) as stop:
        tell = None if quiet else epoch_line
        model_id = train_channel(channel, data, out, start=start, progress=tell, stop=stop)
    if model_id is None:
        raise stopped() if first else click.exceptions.Exit(Exit.INTERRUPTED)
    if not first:
        raise click.exceptions.Exit  # the first process prints the result
    return model_id


def counts_of(channel: "Channel", data: "RecallData") -> dict[str, int]:
    """Return the size of a channel's training data: sequences, plays, songs, and what was added."""
    plays, parent = data.sequences, channel.parent
    since = {}
    if parent is not None:
        since = {"added_songs": parent.added_songs, "later_plays": parent.later_plays}
    return {
        "sequences": len(plays),
        "plays": len(plays.song),
        "songs": len(channel.song_ids),
        **{name: number for name, number in since.items() if number is not None},
    }


PHASES = {"choose": "", "refit": "refit, "}  # choosing the epochs; then on all data
WIDTH = 80  # columns of a progress line


def epoch_line(line: Mapping[str, Any]) -> None:
    """Print the figures of an epoch and the time left, in one line of a terminal."""
    text = f"{PHASES.get(line.get('phase', ''), '')}epoch {line['epoch']}:"
    left = line.get("seconds_left")
    behind = "" if left is None else f"; {_time_left(left, sure=line.get('phase') == 'refit')}"
    for name, value in line.items():
        if isinstance(value, float) and name not in ("seconds", "seconds_left"):
            more_of_it = f"{text}{'' if text.endswith(':') else ','} {name.replace('_', ' ')} "
            more_of_it += f"{value:.4f}"
            if len(more_of_it) + len(behind) > WIDTH:
                break
            text = more_of_it
    say(text + behind)


def _time_left(seconds: float, *, sure: bool) -> str:
    """Return the time left in words; not `sure` if training may stop early.

    Examples
    --------
    >>> _time_left(200, sure=True), _time_left(15, sure=False), _time_left(9000, sure=False)
    ('about 3 min left', 'at most 15 s left', 'at most 2.5 h left')
    """
    about = "about" if sure else "at most"
    if seconds < 60:
        return f"{about} {seconds:.0f} s left"
    return (
        f"{about} {seconds / 60:.0f} min left"
        if seconds < 5400
        else (f"{about} {seconds / 3600:.1f} h left")
    )

"""Training of a recall channel, in one process or several: settings, tasks, progress lines."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from audiorec.errors import InputError, MissingExtraError
from audiorec.options import chooses
from audiorec_cli.shared.console import Exit, cell, say
from audiorec_cli.shared.listening import TrainingOptions
from audiorec_cli.shared.options import ADVANCED, LOCAL, values_for
from audiorec_cli.shared.progress import graceful_stop, stopped

if TYPE_CHECKING:
    from threading import Event

    from audiorec.recall.contract.channel import Channel
    from audiorec.recall.contract.data import RecallData
    from audiorec.types import LineProgress

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
    from audiorec.recall.contract.channel import Channel
    from audiorec.recall.contract.warm import check_start

    known = fields_of(kind)
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in chosen.keys() - known:
        raise InputError(f"{kind.name} has no option --{name.removeprefix('max_')}")
    recipe: Any = getattr(kind, "Recipe", None)
    if settings:
        if recipe is None:
            raise InputError(f"--set {settings[0]}: {kind.name} has no settings")
        chosen |= values_for(settings, recipe)
    make: Any = kind
    if start is not None:
        theirs: Any = getattr(start, "recipe", None)
        goes_on = start.name == kind.name and theirs is not None
        made: Channel = make(replace(theirs, **chosen)) if goes_on else kind()
        check_start(made, start)
        return made
    return make(recipe(**chosen)) if chosen else kind()


def variants(kind: "type[Channel]", settings: Sequence[str]) -> "list[Channel]":
    """Return a channel for each value of a setting that is given several times, else one."""
    given: dict[str, dict[str, None]] = {}
    for text in settings:
        given.setdefault(_name(text), {})[text] = None
    result = []
    for chosen in product(*given.values()):
        differ = [text.replace("=", " = ") for text in chosen if len(given[_name(text)]) > 1]
        # A separate class, so that each has its own name in a comparison.
        named = {"name": ", ".join([kind.name, *differ])}
        own = type(kind.__name__, (kind,), named) if differ else kind
        result.append(with_recipe(own, {}, chosen))
    return result


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
    from audiorec.recall.contract.training import is_first_process, train_channel

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
    """Print the figures of an epoch, in one line of a terminal."""
    text = f"{PHASES.get(line.get('phase', ''), '')}epoch {line['epoch']}:"
    for name, value in line.items():
        if isinstance(value, float) and name != "seconds":
            more_of_it = f"{text}{'' if text.endswith(':') else ','} {name.replace('_', ' ')} "
            more_of_it += cell(value)
            if len(more_of_it) > WIDTH:
                break
            text = more_of_it
    say(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """Options for training one model in several processes."""

    processes: Annotated[
        int,
        chooses(
            "--processes", min=1, help="Processes that train the model together.", panel=ADVANCED
        ),
    ] = 1
    runner: Annotated[
        str,
        chooses(
            "--runner",
            metavar="ray:ADDRESS",
            help="Where they run: a Ray cluster; this machine if none is named.",
            panel=ADVANCED,
        ),
    ] = LOCAL

    @property
    def launches(self) -> bool:
        """Whether other processes train the model."""
        return self.processes > 1 or self.runner != LOCAL

    def check(self, kind: "type[Channel]") -> None:
        """Refuse options that do not fit, before anything starts."""
        if not self.launches:
            return

        from audiorec.runs.tasks import parse_runner

        parse_runner(self.runner)
        from audiorec.recall.registry import CHANNELS, channel_class

        if not kind.together:
            able = ", ".join(n for n in CHANNELS.own() if channel_class(n).together)
            raise InputError(f"{kind.name} trains in one process only; these use several: {able}")
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise InputError(
                "already running under torchrun with several processes: leave --processes out"
            )
        if find_spec("torch") is None:
            raise MissingExtraError(f"training {kind.name}", "train", "No module named 'torch'")

    def train(
        self,
        channel: str,
        recipe: Mapping[str, Any],
        settings: Sequence[str],
        learnt: TrainingOptions,
        log: Path,
        out: Path,
        *,
        quiet: bool,
        start: Path | None = None,
    ) -> dict[str, Any]:
        """Train in several processes; return what `train_part` does, exit with 130 if stopped."""
        from audiorec.learning.bundle import check_target
        from audiorec.learning.launch import LaunchedCall
        from audiorec.listening.log_files import opened_log
        from audiorec.listening.reading import is_prepared

        check_target(out)
        if not is_prepared(log):
            opened_log(log)  # one that is missing is refused before processes start
        task = LaunchedCall(
            "audiorec_cli.shared.training:train_part",
            {
                "channel": channel,
                "recipe": dict(recipe),
                "settings": list(settings),
                "learnt": {f.name: _sent(getattr(learnt, f.name)) for f in fields(learnt)},
                "log": _sent(log),
                "out": _sent(out),
                "start": _sent(start),
            },
        )
        if not quiet:
            say(f"{self.processes} processes with {self._where}")
        with graceful_stop("this step is", quiet=quiet) as stop:
            result = self._run(task, out, stop, quiet=quiet)
        if result is None:
            raise stopped()
        return dict(result)

    @property
    def _where(self) -> str:
        from audiorec.runs.tasks import parse_runner

        _, address = parse_runner(self.runner)
        return f"Ray at {address}" if address else "Ray on this machine"

    def _run(self, task: Any, out: Path, stop: "Event", *, quiet: bool) -> Any:
        from audiorec.learning.launch import by_ray
        from audiorec.runs.tasks import parse_runner

        _, address = parse_runner(self.runner)
        hooks: dict[str, Any] = {
            "stop": stop,
            "tell": None if quiet else epoch_line,
            "remark": say,
        }
        storage = out.absolute().parent
        with redirect_stdout(sys.stderr):  # where Ray reports a dead worker
            return by_ray(task, self.processes, address=address, storage=storage, **hooks)


def train_part(
    channel: str,
    recipe: Mapping[str, Any],
    settings: Sequence[str],
    learnt: Mapping[str, Any],
    log: Any,
    out: Any,
    start: Any = None,
    *,
    tell: "LineProgress",
    stop: "Event",
) -> dict[str, Any] | None:
    """Train a channel as one of several processes; return its counts, None if it was stopped.

    The arguments are those of ``recall train``; paths are encoded by `_sent`.
    """
    from audiorec.recall.contract.training import train_channel
    from audiorec.recall.registry import channel_class, load_channel

    older = None if start is None else load_channel(_came(start))
    made = with_recipe(channel_class(channel), recipe, settings, older)
    data = TrainingOptions(**{name: _came(value) for name, value in learnt.items()}).data(
        _came(log)
    )
    model_id = train_channel(made, data, _came(out), start=older, progress=tell, stop=stop)
    if model_id is None:
        return None
    return {**counts_of(made, data), "model_id": model_id}


def _sent(value: Any) -> Any:
    """Encode a value for JSON; a path is made absolute, since workers have another folder."""
    return {"path": str(value.absolute())} if isinstance(value, Path) else value


def _came(value: Any) -> Any:
    """Undo `_sent`."""
    return Path(value["path"]) if isinstance(value, dict) else value


def judged(channel: "Channel", data: "RecallData") -> dict[str, float]:
    """Judge a channel by the split that `recall evaluate` takes by default; print and return it."""
    from audiorec.recall.judging.compare import evaluate

    result = evaluate(channel, data.sequences, context=data.context)
    for line in repr(result).splitlines():
        say(line)
    return {f"{measure}@{k}": one.value for (measure, k), one in result[0].means.items()}

"""Training in several processes: what starts them, and the task of each."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from audiorec.errors import InputError, MissingExtraError
from audiorec.options import chooses, connects
from audiorec_cli.shared.console import say
from audiorec_cli.shared.engines import LOCAL
from audiorec_cli.shared.inputs import InputKind, check
from audiorec_cli.shared.listening import TrainingOptions
from audiorec_cli.shared.options import ADVANCED
from audiorec_cli.shared.progress import graceful_stop, stopped
from audiorec_cli.shared.training import counts_of, epoch_line, with_recipe

if TYPE_CHECKING:
    from threading import Event

    from audiorec.recall.contract.channel import Channel
    from audiorec.types import LineProgress


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
        connects(
            "--runner", help="Where they run: local (by torchrun) or ray[:ADDRESS].", panel=ADVANCED
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
        from audiorec.engines.tasks import parse_runner

        if parse_runner(self.runner)[0] == "dask":
            raise InputError(
                "--runner is local or ray[:ADDRESS] for training; without Ray, start torchrun on "
                "each machine (docs/processes.md)"
            )
        if not kind.together:
            from audiorec.recall.registry import CHANNELS, channel_class

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

        check(log, InputKind.LOG)
        check_target(out)
        task = LaunchedCall(
            "audiorec_cli.shared.process_options:train_part",
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
            found = self._run(task, out, stop, quiet=quiet)
        if found is None:
            raise stopped()
        return dict(found)

    @property
    def _where(self) -> str:
        runner, _, address = self.runner.partition(":")
        name = "torchrun" if runner == LOCAL else "Ray"
        return f"{name} at {address}" if address else f"{name} on this machine"

    def _run(self, task: Any, out: Path, stop: "Event", *, quiet: bool) -> Any:
        from audiorec.engines.tasks import parse_runner

        runner, address = parse_runner(self.runner)
        told: dict[str, Any] = {"stop": stop, "tell": None if quiet else epoch_line, "remark": say}
        if runner == "ray":
            from audiorec.learning.by_ray import by_ray

            storage = out.absolute().parent
            with redirect_stdout(sys.stderr):  # where Ray reports a dead worker
                return by_ray(task, self.processes, address=address, storage=storage, **told)
        from audiorec.learning.by_torchrun import by_torchrun

        return by_torchrun(task, self.processes, **told)


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
    from audiorec.recall.contract.job import train_channel
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

"""Training in several processes: the engine that starts them, and the task of each."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from audiorec.errors import InputError, MissingExtraError
from audiorec_cli.shared.console import say
from audiorec_cli.shared.inputs import InputKind, check
from audiorec_cli.shared.listening import TrainingOptions
from audiorec_cli.shared.options import more
from audiorec_cli.shared.progress import graceful_stop, stopped
from audiorec_cli.shared.training import counts_of, epoch_line, with_recipe

if TYPE_CHECKING:
    from threading import Event

    from audiorec.recall.contract.channel import Channel
    from audiorec.types import LineProgress

Engine = Literal["torchrun", "ray"]
PROCESSES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """Options for training one model in several processes."""

    engine: Annotated[
        Engine | None, more("--engine", help="Train in several processes: torchrun or Ray.")
    ] = None
    processes: Annotated[
        int | None, more("--processes", min=1, help=f"Number of processes [default: {PROCESSES}].")
    ] = None
    address: Annotated[
        str | None,
        more("--address", help="ray: address of a cluster, such as auto [default: local]."),
    ] = None

    def check(self, kind: "type[Channel]") -> None:
        """Refuse options that do not fit, before anything starts."""
        if self.engine is None:
            if self.processes is not None or self.address is not None:
                raise InputError("--processes and --address need --engine torchrun or ray")
            return
        if self.address is not None and self.engine != "ray":
            raise InputError(
                "--address is for --engine ray; on several machines start torchrun on each "
                "(docs/training.md)"
            )
        if not kind.together:
            from audiorec.recall.registry import CHANNELS, channel_class

            able = ", ".join(n for n in CHANNELS.own() if channel_class(n).together)
            raise InputError(f"{kind.name} trains in one process only; these use several: {able}")
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise InputError(
                "already running under torchrun with several processes: leave --engine out"
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
            },
        )
        if not quiet:
            say(f"{self.processes or PROCESSES} processes with {self._where}")
        with graceful_stop("this step is", quiet=quiet) as stop:
            found = self._run(task, out, stop, quiet=quiet)
        if found is None:
            raise stopped()
        return dict(found)

    @property
    def _where(self) -> str:
        if self.engine == "ray":
            return f"Ray at {self.address}" if self.address else "Ray on this machine"
        return "torchrun on this machine"

    def _run(self, task: Any, out: Path, stop: "Event", *, quiet: bool) -> Any:
        n = self.processes or PROCESSES
        told: dict[str, Any] = {"stop": stop, "tell": None if quiet else epoch_line, "remark": say}
        if self.engine == "ray":
            from audiorec.learning.by_ray import by_ray

            storage = out.absolute().parent
            with redirect_stdout(sys.stderr):  # where Ray reports a dead worker
                return by_ray(task, n, address=self.address, storage=storage, **told)
        from audiorec.learning.by_torchrun import by_torchrun

        return by_torchrun(task, n, **told)


def train_part(
    channel: str,
    recipe: Mapping[str, Any],
    settings: Sequence[str],
    learnt: Mapping[str, Any],
    log: Any,
    out: Any,
    *,
    tell: "LineProgress",
    stop: "Event",
) -> dict[str, Any] | None:
    """Train a channel as one of several processes; return its counts, None if it was stopped.

    The arguments are those of ``recall train``; paths are encoded by `_sent`.
    """
    from audiorec.recall.contract.job import train_channel
    from audiorec.recall.registry import channel_class

    made = with_recipe(channel_class(channel), recipe, settings)
    data = TrainingOptions(**{name: _came(value) for name, value in learnt.items()}).data(
        _came(log)
    )
    model_id = train_channel(made, data, _came(out), progress=tell, stop=stop)
    if model_id is None:
        return None
    return {**counts_of(made, data), "model_id": model_id}


def _sent(value: Any) -> Any:
    """Encode a value for JSON; a path is made absolute, since workers have another folder."""
    return {"path": str(value.absolute())} if isinstance(value, Path) else value


def _came(value: Any) -> Any:
    """Undo `_sent`."""
    return Path(value["path"]) if isinstance(value, dict) else value

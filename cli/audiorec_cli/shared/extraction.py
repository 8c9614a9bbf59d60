"""How songs are extracted, and who is told of it: options of extract and of shards."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.console import Exit
from audiorec_cli.shared.heads import BackboneOption, HeadOption, chosen_heads
from audiorec_cli.shared.jobs import MetricsOption
from audiorec_cli.shared.observers import Observers, observers
from audiorec_cli.shared.options import (
    AllowFailuresOption,
    DeviceOption,
    JobsOption,
    JsonOption,
    QuietOption,
    more,
)

if TYPE_CHECKING:
    from audiorec.extraction.pipeline import ExtractorConfig
    from audiorec.extraction.run import RunOptions
    from audiorec.runs.workers import Limits

MIB = 1 << 20
TimeoutOption = Annotated[float, more(min=1, help="Seconds of time a song may take.")]
MemoryLimitOption = Annotated[int, more(min=1024, help="MiB of address space a process may use.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What is extracted, within which limits, and what is said about it."""

    jobs: JobsOption = 0
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew: keep nothing of what is there.")
    ] = False
    attributes: Annotated[
        bool,
        typer.Option("--attributes", help="Also tell tempo, key and moods: a third more CPU time."),
    ] = False
    quiet: QuietOption = False
    json: JsonOption = False
    backbone: BackboneOption = None
    head: HeadOption = None
    hop: Annotated[
        float | None,
        more(
            help="Seconds between two segments; 6 is a quarter faster than the usual 3 "
            "(docs/decisions/0017)."
        ),
    ] = None
    engine: Annotated[Literal["onnx", "torch"], more(help="torch needs the extra train.")] = "onnx"
    device: DeviceOption = "cpu"
    timeout: TimeoutOption = 900
    memory_limit: MemoryLimitOption = 4096
    max_duration: Annotated[float, more(min=1, help="Longer songs are refused, in seconds.")] = (
        14_400
    )
    max_failures: Annotated[
        str | None, more(metavar="N|N%", help="Stop after so many failures: 20, or 5%.")
    ] = None
    allow_failures: AllowFailuresOption = False
    log_json: Annotated[
        str | None,
        more(metavar="FILE", help="A line of JSON for every song, to a file or - (stdout)."),
    ] = None
    metrics_textfile: MetricsOption = None

    def config(self) -> "ExtractorConfig":
        """Return what decides the numbers."""
        from audiorec.extraction.backbones import extractor_config

        return extractor_config(
            chosen_heads(self.head),
            self.backbone,
            hop_s=self.hop,
            engine=self.engine,
            device=self.device,
            max_duration_s=self.max_duration,
            attributes=self.attributes,
        )

    def run_options(self, **own: Any) -> "RunOptions":
        """Return how the run goes about it; `own` are options of the command's own."""
        from audiorec.extraction.run import Policy, RunOptions

        return RunOptions(
            jobs=self.jobs,
            policy=Policy.OVERWRITE if self.overwrite else Policy.EXTEND,
            limits=self.limits,
            max_failures=_max_failures(self.max_failures),
            **own,
        )

    @property
    def limits(self) -> "Limits":
        """Return what one song may use."""
        return limits_of(self.timeout, self.memory_limit)

    def observers(
        self, output: str, *, record: str | None, job: str = "extract"
    ) -> AbstractContextManager[Observers]:
        """Open the log and the metrics of a run that makes `output`."""
        return observers(
            output,
            job=job,
            log_json=self.log_json,
            metrics=self.metrics_textfile,
            record=record,
            json=self.json,
        )

    def forgive(self, code: Exit) -> Exit:
        """Return 0 for 3 where --allow-failures is given."""
        return Exit.OK if self.allow_failures and code == Exit.SOME_FAILED else code


def limits_of(timeout: float, memory_limit: int) -> "Limits":
    """Return what one song may use: seconds and MiB."""
    from audiorec.runs.workers import Limits

    return Limits(timeout_s=timeout, memory_bytes=memory_limit * MIB)


def _max_failures(text: str | None) -> int | float | None:
    """Read ``20`` as a count and ``5%`` as a part."""
    if text is None:
        return None
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise InputError(f"--max-failures takes a number like 20 or a part like 5%, got {text!r}")
    return value

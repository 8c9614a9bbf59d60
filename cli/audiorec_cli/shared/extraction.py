"""Options of extract and shards: what to extract, limits, log and metrics."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from audiorec.errors import InputError
from audiorec.options import chooses, deletes, unguards, writes
from audiorec_cli.shared.console import Exit
from audiorec_cli.shared.jobs import MetricsOption, Observers, observers
from audiorec_cli.shared.options import (
    ADVANCED,
    AllowFailuresOption,
    BackboneOption,
    HeadOption,
    JobsOption,
    JsonOption,
    QuietOption,
    chosen_heads,
    made,
)

if TYPE_CHECKING:
    from audiorec.extraction.pipeline import ExtractorConfig
    from audiorec.extraction.run import RunOptions
    from audiorec.runs.workers import Limits

MIB = 1 << 20
SETTINGS = ("audiorec_cli.shared.extraction:Tuning",)
LEAST = {"timeout": 1, "memory": 1024, "max_duration": 1, "settle": 0.1, "every": 0.5}
ENGINES: tuple[Any, ...] = ("onnx", "torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What few change; limits protect against hostile files.

    Attributes
    ----------
    timeout : float
        Seconds per song.
    memory : int
        MiB of address space per process.
    max_duration : float
        Seconds; longer songs are refused.
    hop : float, optional
        Seconds between segments; 6 is a quarter faster than the network's own (3).
    settle : float
        With --watch: a file is complete after so many seconds without a change.
    every : float
        With --watch: scan all folders at least every so many seconds.

    Raises
    ------
    InputError
        If a value is not positive.
    """

    timeout: float = 900.0
    memory: int = 4096
    max_duration: float = 14_400.0
    hop: float | None = None
    settle: float = 10.0
    every: float = 60.0

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise InputError(
                    f"--set {name} must be {least:g} or more, got {getattr(self, name):g}"
                )

    @property
    def limits(self) -> "Limits":
        """The limits on time and memory per song."""
        return limits_of(self.timeout, self.memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """Options of an extraction: outputs, spec, limits, log and metrics."""

    jobs: JobsOption = 0
    overwrite: Annotated[
        bool, deletes("--overwrite", help="Start afresh: discard the existing output.")
    ] = False
    vector_only: Annotated[
        bool,
        chooses(
            "--vector-only",
            help="The vector alone: no sound to compare by, no tempo, key and moods.",
        ),
    ] = False
    quiet: QuietOption = False
    json: JsonOption = False
    backbone: BackboneOption = None
    head: HeadOption = None
    engine: Annotated[
        str,
        chooses(
            metavar="ENGINE",
            help="onnx, torch or torch:cuda; torch needs the extra train.",
            panel=ADVANCED,
        ),
    ] = "onnx"
    settings: Annotated[
        list[str] | None,
        unguards("--set", metavar="NAME=VALUE", help="Change a setting (repeatable)."),
    ] = None
    max_failures: Annotated[
        str | None,
        unguards(metavar="N|N%", help="Stop after this many failures: 20, or 5%.", panel=ADVANCED),
    ] = None
    allow_failures: AllowFailuresOption = False
    log_json: Annotated[
        str | None,
        writes(
            metavar="FILE",
            help="Log each song as a line of JSON to a file or - (stdout).",
            panel=ADVANCED,
        ),
    ] = None
    metrics_textfile: MetricsOption = None

    def config(self) -> "ExtractorConfig":
        """Return the configuration that determines the numbers."""
        from audiorec.extraction.pipeline import extractor_config

        engine, _, device = self.engine.partition(":")
        if engine not in ENGINES:
            raise InputError(f"--engine {self.engine}: give onnx, torch or torch:DEVICE")
        tuning = self.tuning
        return extractor_config(
            chosen_heads(self.head),
            self.backbone,
            hop_s=tuning.hop,
            engine=engine,
            device=device or "cpu",
            max_duration_s=tuning.max_duration,
            attributes=not self.vector_only,
            sound=not self.vector_only,
        )

    def run_options(self, **own: Any) -> "RunOptions":
        """Return the options of the run; `own` are those of one command."""
        from audiorec.extraction.run import Policy, RunOptions

        policy = Policy.OVERWRITE if self.overwrite else Policy.EXTEND
        return RunOptions(
            jobs=self.jobs,
            policy=own.pop("policy", policy),
            limits=self.tuning.limits,
            max_failures=_max_failures(self.max_failures),
            **own,
        )

    @property
    def tuning(self) -> Tuning:
        """The settings that few change."""
        return made(Tuning, self.settings)

    def observers(
        self, output: str, *, record: str | None, job: str = "extract"
    ) -> AbstractContextManager[Observers]:
        """Open the log and metrics of a run that writes `output`."""
        return observers(
            output,
            job=job,
            log_json=self.log_json,
            metrics=self.metrics_textfile,
            record=record,
            json=self.json,
        )

    def forgive(self, code: Exit) -> Exit:
        """Return 0 instead of 3 if --allow-failures is given."""
        return Exit.OK if self.allow_failures and code == Exit.SOME_FAILED else code


def limits_of(timeout: float = 900, memory_limit: int = 4096) -> "Limits":
    """Return the limits per song: `timeout` in seconds, `memory_limit` in MiB."""
    from audiorec.runs.workers import Limits

    return Limits(timeout_s=timeout, memory_bytes=memory_limit * MIB)


def _max_failures(text: str | None) -> int | float | None:
    """Parse ``20`` as a count and ``5%`` as a share."""
    if text is None:
        return None
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise InputError(f"--max-failures needs a number like 20 or a share like 5%, got {text!r}")
    return value

"""How a model is fitted: options of metric, and the training of a channel of recall."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
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
from audiorec_cli.shared.console import Exit, say
from audiorec_cli.shared.options import more
from audiorec_cli.shared.progress import graceful_stop, stopped

if TYPE_CHECKING:
    from audiorec.recall.audio.held_out import Split
    from audiorec.recall.audio.recipe import MetricRecipe
    from audiorec.recall.contract.channel import Channel
    from audiorec.recall.contract.data import RecallData


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Which artists and songs a model never hears, to stop by and to be judged on."""

    valid_share: Annotated[
        float, more(min=0, max=0.9, help="Share of artists held out for early stopping.")
    ] = 0.1
    test_share: Annotated[
        float, more(min=0, max=0.9, help="Share of artists kept for evaluate.")
    ] = 0.0
    new_song_share: Annotated[
        float, more(min=0, max=0.9, help="Share of songs kept for evaluate.")
    ] = 0.0
    split_seed: Annotated[int, more(help="Which artists those are.")] = 0

    def split(self) -> "Split":
        """Return how large the parts are."""
        from audiorec.recall.audio.held_out import Split

        return Split(
            valid=self.valid_share,
            test=self.test_share,
            new_songs=self.new_song_share,
            seed=self.split_seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutForTest(HeldOut):
    """As in training, but a fifth of the artists unless another share is asked for."""

    test_share: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of artists kept for evaluate.")
    ] = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """How a model is fitted, and what it is made of."""

    loss: Annotated[Literal["softmax", "hinge"], more(help="What training makes small.")] = (
        "softmax"
    )
    margin: Annotated[float, more(min=0, max=2, help="Of the hinge.")] = 0.2
    temperature: Annotated[float, more(min=0.001, help="Of the softmax.")] = 0.2
    negatives: Annotated[int, more(min=1, help="Songs against one liked song.")] = 20
    popularity: Annotated[
        float, more("--alpha", min=0, max=2, help="Unheard songs by likes to this power.")
    ] = 0.5
    semi_hard: Annotated[
        bool, more("--semi-hard", help="Of four drawn, those just below the liked song.")
    ] = False
    pooling: Annotated[Literal["attention", "mean"], more(help="Of a song's segments.")] = (
        "attention"
    )
    hidden: Annotated[int, more(min=0, help="Units beside the linear map; 0: none.")] = 64
    inputs: Annotated[
        list[str] | None,
        more("--input", metavar="COLUMN", help="Columns of the features [default: all]."),
    ] = None
    start: Annotated[Literal["ridge", "random"], more(help="The closed-form map, or chance.")] = (
        "ridge"
    )
    patience: Annotated[int, more(min=1, help="Epochs without gain.")] = 5
    batch_size: Annotated[int, more(min=1, help="Pairs at once.")] = 128
    learning_rate: Annotated[float, more(min=0, help="Step of the optimiser.")] = 5e-4
    max_segments: Annotated[int, more(min=1, help="Segments kept per song.")] = 30

    def recipe(self, *, max_epochs: int, seed: int) -> "MetricRecipe":
        """Return what the trainer is told."""
        from audiorec.learning.negatives import NegativeRule
        from audiorec.recall.audio.recipe import MetricRecipe

        return MetricRecipe(
            loss=self.loss,
            margin=self.margin,
            temperature=self.temperature,
            negatives=NegativeRule(
                count=self.negatives, popularity_exponent=self.popularity, semi_hard=self.semi_hard
            ),
            start=self.start,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            max_epochs=max_epochs,
            patience=self.patience,
            seed=seed,
        )


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


def as_given(value: object) -> str:
    """Return a setting as ``--set`` takes it: a text as it is, all else in JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def fields_of(kind: "type[Channel]") -> set[str]:
    """Return the names of a channel's settings."""
    recipe: Any = getattr(kind, "Recipe", None)
    return {field.name for field in fields(recipe)} if recipe is not None else set()


def fit_and_save(channel: "Channel", data: "RecallData", out: Path, *, quiet: bool) -> str:
    """Train a channel and write its folder; return its model id. A stop ends with code 130."""
    from audiorec.recall.contract.job import is_first_process, train_channel

    first = is_first_process()
    with graceful_stop("this step is", quiet=quiet or not first) as stop:
        tell = None if quiet else _say_epoch
        model_id = train_channel(channel, data, out, progress=tell, stop=stop)
    if model_id is None:
        raise stopped() if first else typer.Exit(Exit.INTERRUPTED)
    if not first:
        raise typer.Exit  # the first process says what came of it
    return model_id


PHASES = {"choose": "", "refit": "everything, "}  # how long to train; then on everything
WIDTH = 80  # columns of a line of progress


def _say_epoch(line: Mapping[str, Any]) -> None:
    """Say what an epoch came to, and how long it may still take, in one line of a terminal."""
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
    """Return words for seconds; not `sure` where training may end before.

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

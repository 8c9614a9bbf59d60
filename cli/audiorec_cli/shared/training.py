"""How a model is fitted: options of metric, and the training of a channel of recall."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.console import say
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

"""How a user-audio model is fitted, and what it never hears: options of metric."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audiorec_cli.shared.options import more

if TYPE_CHECKING:
    from audiorec.recall.audio.held_out import Split
    from audiorec.recall.audio.recipe import MetricRecipe


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

"""What knows users, as a bundle of its own: the partner's half of a trained model.

    profiles ──UserModel.embed──▶ (n, d) of length 1, one table a business with items

It loads and answers without torch. It holds values that several users share, and weights; no user.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from audiorec.errors import InputError, WeightsError
from audiorec.learning.bundle import (
    Bundle,
    read_bundle,
    texts_as_arrays,
    texts_of_arrays,
    write_bundle,
)
from audiorec.learning.card import Card
from audiorec.listening.profiles import Profiles
from audiorec.recall.federated.forward import check_weights, user_vectors
from audiorec.recall.federated.recipe import MmoeRecipe, TwoTowerRecipe, recipe_of
from audiorec.recall.federated.user_features import UserEncoder
from audiorec.types import FloatArray

KIND = "federated/users"
RECIPES: Mapping[str, type[TwoTowerRecipe]] = {"two-tower": TwoTowerRecipe, "mmoe": MmoeRecipe}
USER = "user."  # of names in a bundle
PEOPLE = (
    "Values of users' columns that several users share, and weights: no id and no row of a user."
)
THREATS = (
    "Two parties that keep to the protocol, look at all they get, and do not work together. The "
    "user side learns who is known to both, and gradients; the item side learns the vectors of "
    "users, and what those say of their features. Noise on the gradients makes known attacks "
    "weaker (`audiorec federated audit` measures them): it is no promise of privacy. A party that "
    "breaks the protocol can do more: see docs/federated.md."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UserModel:
    """The user tower, and how profiles become what it reads.

    Attributes
    ----------
    recipe : TwoTowerRecipe
    encoder : UserEncoder
    weights : mapping of str to ndarray
        As `audiorec.recall.federated.forward.user_vectors` takes them.
    space : str
        What tells the space of its vectors from others; the same on both sides.
    model_id : str
        Of the bundle that it was read from.
    """

    recipe: TwoTowerRecipe
    encoder: UserEncoder
    weights: Mapping[str, Any]
    space: str = ""
    model_id: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Which channel it is of."""
        return "mmoe" if isinstance(self.recipe, MmoeRecipe) else "two-tower"

    @property
    def businesses(self) -> int:
        """Businesses with items that it has vectors for."""
        return len(self.recipe.item_weights) if isinstance(self.recipe, MmoeRecipe) else 1

    def embed(self, people: Profiles, business: int = 0) -> FloatArray:
        """Return vectors of users for one business: (n, d) float32 of length 1; 0: unknown.

        Raises
        ------
        InputError
            If there is no such business.
        """
        if not 0 <= business < self.businesses:
            raise InputError(f"no business {business}: the model has {self.businesses}")
        return user_vectors(self.encoder.encode(people), self.weights, self.recipe)[:, business]

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return tensors and plain JSON values, for a bundle."""
        tensors = {f"{USER}{name}": array for name, array in self.weights.items()}
        numbers = {name: list(scale) for name, scale in self.encoder.numbers.items()}
        for place, values in enumerate(self.encoder.values.values()):
            tensors |= texts_as_arrays(f"{USER}texts_{place}", values)
        config = {
            "recipe": self.recipe.to_json(),
            "columns": list(self.encoder.values),
            "numbers": numbers,
        }
        return tensors, config

    @classmethod
    def of_state(cls, bundle: Bundle, recipe: TwoTowerRecipe) -> Self:
        """Undo `state`; what does not fit together is a `WeightsError`."""
        try:
            values = {
                str(name): texts_of_arrays(f"{USER}texts_{place}", bundle.tensors)
                for place, name in enumerate(bundle.config["columns"])
            }
            numbers = {
                str(n): (float(a), float(b)) for n, (a, b) in bundle.config["numbers"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WeightsError(f"not a user tower: {error!r}") from error
        encoder = UserEncoder(values, numbers)
        weights = {
            name.removeprefix(USER): array
            for name, array in bundle.tensors.items()
            if name.startswith(USER) and not name.startswith(f"{USER}texts_")
        }
        sizes = tuple(map(len, values.values()))
        check_weights(weights, sizes, encoder.dense_width, recipe)
        space = str(bundle.config.get("space", ""))
        return cls(
            recipe=recipe, encoder=encoder, weights=weights, space=space, model_id=bundle.model_id
        )

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write a bundle; return its `Bundle.model_id`."""
        tensors, config = self.state()
        about = {"kind": KIND, "channel": self.name, "space": self.space, **config}
        about |= {"figures": {"validation": dict(self.figures)}} if self.figures else {}
        card = Card(
            title=f"{self.name}: the user tower",
            about="Turns what is known of users into vectors; songs lie near them elsewhere.",
            people=PEOPLE,
            learnt_from={
                "columns": ", ".join([*self.encoder.values, *self.encoder.numbers]),
                "values": sum(map(len, self.encoder.values.values())),
            },
            sections={"Threats": THREATS},
        )
        return write_bundle(path, tensors=tensors, config=about, card=card.markdown())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        WeightsError
            If it is missing, damaged, or something else.
        """
        bundle = read_bundle(path, kind=KIND)
        return cls.of_state(bundle, recipe_in(bundle, str(bundle.config.get("channel"))))


def recipe_in(bundle: Bundle, channel: str) -> TwoTowerRecipe:
    """Return the recipe of a bundle; a `WeightsError` if it is none of this channel."""
    try:
        return recipe_of(bundle.config["recipe"], RECIPES[channel])
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        raise WeightsError(f"not a recipe of {channel}: {error!r}") from error


def weights_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user tower of a `UserHalf`'s model state as numpy, without secret and items."""
    return {
        name.removeprefix("tower."): np.asarray(tensor)
        for name, tensor in state.items()
        if name.startswith("tower.")
    }

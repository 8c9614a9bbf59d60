"""Differential-privacy accounting of a user's gradients: an epsilon, where a bound is valid.

    recipe, defence, steps of a user ──account──▶ `Account`: epsilon, or why there is none

The mechanism is Gaussian: it releases all gradients of one user, each of norm at most C, with
noise of n C / sqrt(d) per coordinate. Neighbouring data sets differ by replacing all plays of one
user, so each of the user's rows moves by at most 2 C. `dp_accounting` composes the user's steps;
there is no amplification by sampling, since batches are not Poisson samples.

This bounds the effect of one user's plays **only if they affect no other row**:

* Negatives must be drawn independently of the batch. In-batch, one user's song is a negative of
  all others, so it affects every row's gradient.
* Songs must have given vectors. If the song tower is trained, the user's plays change it without
  noise, and it affects every later gradient of all users. The counts by which negatives are drawn
  are plays as well: with given songs, only users who are not aligned are counted.

Otherwise no figure is returned, since none would be true. Never covered: users of the validation
part (their plays choose the epoch), the features of users, and the noise generator, an ordinary
floating-point one, which an attack on its last bits may defeat.
"""

import math
from dataclasses import dataclass

from audiorec.errors import InputError, MissingExtraError
from audiorec.recall.federated.noise import Defence
from audiorec.recall.federated.recipe import TwoTowerRecipe

DELTA = 1e-5
SENSITIVITY = 2.0  # clips that a row moves by at most, when plays are replaced
WEAK = 10.0  # above, epsilon says next to nothing: e^10 is 22,000


@dataclass(frozen=True, slots=True)
class Account:
    """Privacy bound for all gradients of one user together.

    Attributes
    ----------
    epsilon : float or None
        None where no bound is valid.
    delta : float
    steps : int
        Gradients of one user that left the item side.
    multiplier : float
        Noise per coordinate, divided by the sensitivity of a row.
    why : str
        Why there is no epsilon; empty if there is one.
    """

    epsilon: float | None
    delta: float
    steps: int
    multiplier: float
    why: str = ""

    def words(self) -> str:
        """Return the bound as one line; it never calls anything private.

        Examples
        --------
        >>> print(Account(None, 1e-5, 80, 0.2, "songs learn from the same plays").words())
        no epsilon: songs learn from the same plays
        """
        if self.epsilon is None:
            return f"no epsilon: {self.why}"
        hint = "; above 10 it says next to nothing" if self.epsilon > WEAK else ""
        bound = f"epsilon {self.epsilon:,.4g} at delta {self.delta:g}"
        return f"{bound}, over {self.steps:,} gradients of one user{hint}"


def gradients_of_a_user(recipe: TwoTowerRecipe, *, chosen: int, refitted: int) -> int:
    """Return the maximum number of gradients sent per user: one per pass, in both phases.

    Examples
    --------
    >>> gradients_of_a_user(TwoTowerRecipe(passes=8), chosen=10, refitted=6)
    128
    """
    return recipe.passes * (chosen + refitted)


def account(
    recipe: TwoTowerRecipe, defence: Defence, steps: int, *, delta: float = DELTA
) -> Account:
    """Compute the privacy bound of `steps` gradients of one user.

    Parameters
    ----------
    recipe : TwoTowerRecipe
    defence : Defence
    steps : int
        Gradients of one user that left the item side (`gradients_of_a_user`); each item side has
        its own account.
    delta : float
        Should be well below one over the number of users.

    Raises
    ------
    InputError
        If `delta` is not in (0, 1), or `steps` is below 1.
    MissingExtraError
        If dp-accounting is not installed.
    """
    if not 0 < delta < 1 or steps < 1:
        raise InputError(f"expected delta in (0, 1) and at least one step, got {delta} and {steps}")
    multiplier = defence.noise / (SENSITIVITY * math.sqrt(recipe.dimension))
    why = _why_not(recipe, defence)
    if why:
        return Account(None, delta, steps, multiplier, why)
    return Account(_epsilon(multiplier, steps, delta), delta, steps, multiplier)


def _why_not(recipe: TwoTowerRecipe, defence: Defence) -> str:
    if not defence.noise:
        return "there is no noise"
    if recipe.negative_source == "in-batch":
        return (
            "negatives are the songs of the batch, so one user's play affects the gradients of all "
            "others in it"
        )
    if recipe.songs == "learnt":
        return (
            "the song tower learns from the same plays without noise, so one user's plays affect "
            "the later gradients of all"
        )
    return ""


def _epsilon(multiplier: float, steps: int, delta: float) -> float:
    """Compose `steps` Gaussian mechanisms into one whose multiplier is divided by their root."""
    try:
        from dp_accounting import get_epsilon_gaussian
    except ImportError as error:
        raise MissingExtraError("an epsilon", "federated", str(error)) from error
    return float(get_epsilon_gaussian(multiplier / math.sqrt(steps), delta))

"""How much a user's gradients can say of what was played, as epsilon: only where a bound is valid.

    recipe, defence, steps a user stands in ──account──▶ `Account`: epsilon, or why there is none

The mechanism is the Gaussian one: all gradients of one user that crossed, each at most C long,
with noise of n C / sqrt(d) a coordinate. Neighbours are two worlds in which one user's plays are
replaced by any others, so that each of the user's rows moves by 2 C at most. The user's steps are
added up by `dp_accounting`; nothing is claimed for who happens to stand in a batch, since batches
are no Poisson samples.

That bounds what one user's plays can move **only if they move no other row**:

* Negatives are drawn independently of the batch. In-batch, one user's song stands against all
  others, and every row's gradient moves with it.
* Songs have given vectors. Where the songs' tower learns, the user's plays change it without
  noise, and it makes every later gradient of everybody. Counts, by which negatives are drawn, are
  plays as well: with given songs, only those of users who are not aligned count.

Where this does not hold, no figure is returned, since none would be true. What is never covered:
users that only judge (their plays choose the epoch), the features of users, and noise from an
ordinary generator in floating point, which is not proof against an attack on its last bits.
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
    """What is known of the gradients of one user, all together.

    Attributes
    ----------
    epsilon : float or None
        None where no bound is valid.
    delta : float
    steps : int
        Gradients of one user that crossed.
    multiplier : float
        Noise of a coordinate over how far a row can move.
    why : str
        Why there is no epsilon; empty where there is.
    """

    epsilon: float | None
    delta: float
    steps: int
    multiplier: float
    why: str = ""

    def words(self) -> str:
        """Return it as one line; it never calls anything private.

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
    """Return the most gradients of one user that crossed: one a pass, in the epochs of both phases.

    Examples
    --------
    >>> gradients_of_a_user(TwoTowerRecipe(passes=8), chosen=10, refitted=6)
    128
    """
    return recipe.passes * (chosen + refitted)


def account(
    recipe: TwoTowerRecipe, defence: Defence, steps: int, *, delta: float = DELTA
) -> Account:
    """Add up what `steps` gradients of one user say.

    Parameters
    ----------
    recipe : TwoTowerRecipe
    defence : Defence
    steps : int
        Gradients of one user that crossed (`gradients_of_a_user`); of several businesses, each
        has an account of its own.
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
        raise InputError(f"delta in (0, 1) and a step or more expected, got {delta} and {steps}")
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
            "negatives are the songs of the batch: one user's play moves the gradients of all "
            "others in it"
        )
    if recipe.songs == "learnt":
        return (
            "songs learn from the same plays without noise, so that one user's plays move the "
            "later gradients of all"
        )
    return ""


def _epsilon(multiplier: float, steps: int, delta: float) -> float:
    """Compose Gaussian mechanisms: `steps` of one multiplier are one of it over their root."""
    try:
        from dp_accounting import get_epsilon_gaussian
    except ImportError as error:
        raise MissingExtraError("an epsilon", "federated", str(error)) from error
    return float(get_epsilon_gaussian(multiplier / math.sqrt(steps), delta))

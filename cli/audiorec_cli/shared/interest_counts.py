"""Compare one channel at several numbers of interests."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from audiorec.errors import InputError
from audiorec_cli.shared.training import fields_of, with_recipe

if TYPE_CHECKING:
    from audiorec.recall.contract.channel import Channel


def by_interests(channels: Sequence[str], counts: Sequence[int] | None) -> "list[Channel]":
    """Return one channel per number of interests; none if no number is given.

    Raises
    ------
    InputError
        If there is nothing to compare, or the channel has no interests.
    """
    if not counts:
        if len(set(channels)) < 2:
            raise InputError("name two or more channels; for one, use: audiorec recall evaluate")
        return []
    from audiorec.recall.registry import channel_class

    if len(channels) != 1:
        raise InputError("--interests compares one channel with itself: name exactly one")
    if len(set(counts)) < 2:
        raise InputError("--interests needs two or more numbers, such as --interests 1 2 4 8")
    kind: Any = channel_class(channels[0])
    if "interests" not in fields_of(kind):
        raise InputError(f"{kind.name} has no interests; mind and comirec-sa have")
    found = []
    for count in dict.fromkeys(counts):
        # A separate class, so that each has its own name in the comparison.
        named = type(kind.__name__, (kind,), {"name": f"{kind.name}, K = {count}"})
        found.append(with_recipe(named, {"interests": count}))
    return found

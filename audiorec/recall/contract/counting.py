"""Base class of channels that learn by counting, without iterative training."""

from abc import abstractmethod
from dataclasses import asdict
from typing import Any, ClassVar, Generic, Self, TypeVar, Unpack

from audiorec.learning.bundle import Bundle
from audiorec.recall.contract.channel import Channel, FitRun, Tensors
from audiorec.recall.contract.data import RecallData

R = TypeVar("R")


class CountingChannel(Channel, Generic[R]):
    """A channel whose whole state is a recipe and a few arrays.

    Attributes
    ----------
    Recipe : type
        A dataclass with a default for every field.
    ARRAYS : tuple of str
        Attributes that `_count` sets and a bundle stores.
    """

    Recipe: ClassVar[type]
    ARRAYS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, recipe: R | None = None) -> None:
        self.recipe: R = self.Recipe() if recipe is None else recipe

    @abstractmethod
    def _count(self, data: RecallData) -> None:
        """Compute the attributes named in `ARRAYS`."""

    def _fit(self, data: RecallData, **run: Unpack[FitRun]) -> None:  # noqa: ARG002 - no checkpoints, progress or stop
        self._count(data)

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        recipe: Any = self.recipe
        return {name: getattr(self, name) for name in self.ARRAYS}, {"recipe": asdict(recipe)}

    @classmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        channel = cls(cls.Recipe(**bundle.config["recipe"]))
        for name in cls.ARRAYS:
            setattr(channel, name, bundle.tensors[name])
        return channel

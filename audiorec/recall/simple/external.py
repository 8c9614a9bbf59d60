"""Use a table of candidates, written by any program, as a channel.

    external:theirs.parquet ──channel_class──▶ its channel ──fit, recall(queries)──▶ `Candidates`

The table is looked up by user id: users that it lacks get no candidates, and histories are
ignored. Nothing is trained or saved: the table is the model.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np

from audiorec.errors import InputError
from audiorec.learning.bundle import Bundle
from audiorec.recall.contract.candidates import Lists, ReasonKind, read_candidates
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.types import FloatArray

NEED_A_BUNDLE = (  # rules of `audiorec.recall.contract.checks`
    "save and load change nothing",
    "a bundle holds no id of a user",
    "what says that it is light loads without torch",
)
NOT_SAVED = (
    "external: a table of candidates is its own model and cannot be saved; "
    "name it again as external:FILE"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalRecipe:
    """The table to read.

    Attributes
    ----------
    table : str
        A file with ``user_id``, ``song_id`` and, unless its rows are already ranked, ``rank``.
    """

    table: str = ""


class External(Channel):
    """Candidates from a table, external:FILE; users that it lacks get none."""

    name = "external"
    reason = ReasonKind.EXTERNAL
    waived = dict.fromkeys(NEED_A_BUNDLE, "the table is the model: nothing is saved")
    TABLE: ClassVar[str] = ""

    def __init__(self, recipe: ExternalRecipe | None = None) -> None:
        self.recipe = recipe or ExternalRecipe(table=self.TABLE)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by name and table: the generated class cannot be imported by its name."""
        return _again, (self.name, self.TABLE), self.__dict__

    def _fit(self, data: RecallData, **_: Any) -> None:
        if not self.recipe.table:
            raise InputError("external: name the table of candidates, as external:FILE")
        self._take(read_candidates(Path(self.recipe.table)), data)

    def _take(self, lists: Lists, data: RecallData) -> None:
        """Add the table's songs to the catalogue; songs without a play count as new."""
        self.song_ids = tuple(sorted({*data.song_ids, *lists.ranked.song_ids}))
        played = data.sequences.among(self.song_ids)
        self.is_cold = np.bincount(played.song, minlength=len(self.song_ids)) == 0
        self._ranked = lists.ranked.among(self.song_ids)
        self._row = {user: row for row, user in enumerate(self._ranked.owner_ids)}

    def _similarities(self, queries: Queries) -> FloatArray:
        similarities = np.full((len(queries), len(self.song_ids)), -np.inf, np.float32)
        for query, user in enumerate(queries.user_ids):
            if (row := self._row.get(user)) is not None:
                songs = self._ranked[row]
                similarities[query, songs] = 1 / np.arange(1, len(songs) + 1, dtype=np.float32)
        return similarities

    def _state(self) -> NoReturn:
        raise InputError(NOT_SAVED)

    @classmethod
    def _from_state(cls, bundle: Bundle) -> NoReturn:  # noqa: ARG003
        raise InputError(NOT_SAVED)


def _again(name: str, table: str) -> External:
    """Recreate the class that the registry generates for a table, and return an instance."""
    own = {"name": name, "TABLE": table, "__doc__": External.__doc__}
    return type(External.__name__, (External,), own)()

"""Songs of a list, each beside one other song: how close the two are, and why.

    rows, similarities, facts of the others ──`Beside`──▶ .percent, .reasons   for each song

The other song is the nearest seed, or in a path the song before. Commands, the page and the servers
render the same object.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from audiorec.search.explain import Reason, SureFacts, percent_words, reasons_for, sentence
from audiorec.search.searchable import SearchableStore
from audiorec.types import Float64Array, FloatArray, Int64Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wished:
    """What a sentence asks of the songs of a list.

    Attributes
    ----------
    text : str
        The sentence.
    names : tuple of str, length T
        What was understood: ``more calm``, ``no drums``.
    by : ndarray, shape (T, n), float32
        By how much each song of the store has it. Beside seeds in deviations over the library, from
        its mean, or, where more or less was asked for, from the seeds; without seeds what it adds
        to the song's similarity.
    pull : ndarray, shape (n,), float32
        What this adds to each song's similarity where songs are chosen.
    notes : tuple of str
        What to tell a person about the sentence, one line each.
    strengths : callable, optional
        Returns how likely each of some rows fits, None where nothing tells.
    """

    text: str
    names: tuple[str, ...]
    by: FloatArray
    pull: FloatArray
    notes: tuple[str, ...]
    strengths: Callable[[Sequence[int]], tuple[float | None, ...]] = field(
        default=lambda rows: (None,) * len(rows), repr=False
    )

    def fields(self, row: int) -> dict[str, Any]:
        """Return what a document says of one song."""
        values = [round(float(value), 4) for value in self.by[:, row]]
        return dict(zip(self.names, values, strict=True))

    def said(self, row: int) -> str:
        """Return the same in words.

        Examples
        --------
        >>> import numpy as np
        >>> by = np.float32([[0.84], [-0.3]])
        >>> names = ("more calm", "no drums")
        >>> Wished(text="", names=names, by=by, pull=by[0], notes=()).said(0)
        'more calm +0.84, no drums -0.30'
        """
        return ", ".join(
            f"{name} {round(value, 2) + 0.0:+.2f}" for name, value in self.fields(row).items()
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Beside:
    """Songs of a list, each beside one other song: how close the two are, and why.

    Attributes
    ----------
    store : SearchableStore
    rows : ndarray, shape (m,), int64
    closer_than : ndarray, shape (m,), float64
        Share of the library's pairs that are less similar than the two; NaN for none.
    others : callable
        Returns the facts of the m other songs, None where there is no other.
    wished : Wished, optional
        What a sentence asked of the songs.
    strengths : tuple of str, optional
        How well each song fits a sentence, in words, which tables show instead of `closer_than`.
    notes : tuple of str, optional
        What else to say of each song.
    """

    store: SearchableStore = field(kw_only=False)
    rows: Int64Array
    closer_than: Float64Array
    others: Callable[[], Sequence[SureFacts | None]] = field(repr=False)
    wished: Wished | None = None
    strengths: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def reasons(self) -> list[tuple[Reason, ...]]:
        """Why each song goes with the other: what both have in common, the rarest first."""
        pairs = zip(self.others(), self.store.facts.of_rows(self.rows), strict=True)
        usual = self.store.usual
        return [() if one is None else reasons_for(one, song, usual) for one, song in pairs]

    @cached_property
    def said(self) -> list[str]:
        """The reasons of each song as one sentence, and by how much it is what was asked for."""
        reasons = map(sentence, self.reasons)
        if self.wished is None:
            return list(reasons)
        notes = self.notes or [""] * len(self.rows)
        parts = zip(notes, map(self.wished.said, self.rows.tolist()), reasons, strict=True)
        return ["; ".join(filter(None, one)) for one in parts]

    def fields(self, place: int, *, why: bool) -> dict[str, Any]:
        """Return what a document says of one song."""
        said: dict[str, Any] = {"closer_than": self.shares[place]}
        if why:
            said["why"] = [reason.to_dict() for reason in self.reasons[place]]
        if self.wished is not None:
            said["words"] = self.wished.fields(int(self.rows[place]))
        return said

    @cached_property
    def shares(self) -> list[float | None]:
        """How close each two are, as JSON values: 0 to 1, None for none."""
        return [None if np.isnan(one) else round(float(one), 4) for one in self.closer_than]

    @property
    def percent(self) -> list[str]:
        """How close each two are, for a table."""
        return [percent_words(float(share)) for share in self.closer_than]

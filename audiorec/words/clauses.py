"""What a sentence says, clause by clause: sounds, facts, titles, and songs to search from.

`Sentence`.clauses = `Term` | `Fact` | `TitleWords` | `Like`, ...   each with its name, a chip
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from audiorec.search.filters import Condition

LIKE = "like"  # the kind of a term that songs of the library tell
Ways = tuple[tuple[Condition, ...], ...]


class Names(Protocol):
    """Names that a sentence may mention, as `audiorec.types.normalised_name` writes them."""

    @property
    def artists(self) -> Collection[str]:
        """Names of artists."""

    @property
    def titles(self) -> Collection[str]:
        """Titles of songs."""

    @property
    def albums(self) -> Collection[str]:
        """Titles of albums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoNames:
    """Names of songs, by default none."""

    artists: Collection[str] = ()
    titles: Collection[str] = ()
    albums: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One sound that a sentence asks for.

    Attributes
    ----------
    said : str
        The words of the sentence.
    ways : tuple of mapping of str to float
        What a song with it has; of several, one is enough.
    denied : bool
        Whether songs with it are to be avoided.
    sounds : bool
        Whether what is not music may be meant.
    weight : float
        How much it counts beside other terms.
    compared : bool
        Whether it asks for more of it, or less, than something else has.
    use : bool
        Whether it says what the songs are for.
    kind : str
        Of its concept.
    """

    said: str
    ways: tuple[Mapping[str, float], ...]
    denied: bool = False
    sounds: bool = False
    weight: float = 1.0
    compared: bool = False
    use: bool = False
    kind: str = ""

    @property
    def name(self) -> str:
        """For example ``drums``, ``no drums``, ``more calm``, ``less guitar``, ``for working``."""
        before = ("more ", "less ") if self.compared else ("", "no ")
        if self.use and not self.compared:
            before = ("for ", "not for ")
        if self.kind == LIKE:
            before = ("like ", "not like ")
        return f"{before[self.denied]}{self.said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that is written in a song's row, or not.

    Attributes
    ----------
    said : str
    ways : tuple of tuple of Condition
        Conditions of `audiorec.search.filters` that all must hold; of several ways, one is enough.
    denied : bool
        Whether no way may hold.
    term : Term, optional
        What tells it by sound where a song's row does not.
    """

    said: str
    ways: Ways
    denied: bool = False
    term: Term | None = None

    @property
    def name(self) -> str:
        """For example ``duration<=4:00`` or ``not (key=D, scale=minor)``."""
        ways = " or ".join(", ".join(map(str, way)) for way in self.ways)
        if self.denied and len(self.ways) == len(self.ways[0]) == 1:
            return ways.replace("=", "!=", 1)
        return f"not ({ways})" if self.denied else ways


@dataclass(frozen=True, slots=True, kw_only=True)
class TitleWords:
    """Words of a title, quoted, or denied."""

    words: str
    denied: bool = False

    @property
    def name(self) -> str:
        """For example ``"ave maria"`` or ``no "live"``."""
        return f'{"no " * self.denied}"{self.words}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Like:
    """Songs of an artist, or of a title, from which to search, or away from which."""

    said: str
    denied: bool = False

    @property
    def name(self) -> str:
        """For example ``like Miles Davis``."""
        return f"{'not ' * self.denied}like {self.said}"


Clause = Term | Fact | TitleWords | Like


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence that was read.

    Attributes
    ----------
    text : str
    clauses : tuple of Term, Fact, TitleWords or Like
        In the order of the sentence.
    unknown : tuple of str
        Words that were not understood; titles may have them.
    """

    text: str
    clauses: tuple[Clause, ...]
    unknown: tuple[str, ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        """The sounds."""
        return tuple(one for one in self.clauses if isinstance(one, Term))

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What must be written in a song's row."""
        return tuple(one for one in self.clauses if isinstance(one, Fact))

    @property
    def titles(self) -> tuple[TitleWords, ...]:
        """Words that titles must have, or not."""
        return tuple(one for one in self.clauses if isinstance(one, TitleWords))

    @property
    def likes(self) -> tuple[Like, ...]:
        """Songs of the library from which to search."""
        return tuple(one for one in self.clauses if isinstance(one, Like))

    @property
    def chips(self) -> tuple[str, ...]:
        """The clauses as they were understood: ``calm``, ``no drums``, ``for working``."""
        return tuple(one.name for one in self.clauses)

    @property
    def conditions(self) -> dict[str, str]:
        """For the words of each fact, what it demands."""
        return {one.said: one.name for one in self.facts}

    @property
    def sounds(self) -> bool:
        """Whether what is not music may be meant."""
        return any(term.sounds and not term.denied for term in self.terms)

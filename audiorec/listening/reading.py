"""How a log is read: rows that are skipped, plays that are left out, and what counts as liked."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from audiorec.errors import InputError
from audiorec.listening.events import Interactions
from audiorec.listening.interactions import read_interactions
from audiorec.listening.likes import Liked, to_liked
from audiorec.listening.rule import Rule, load_rule, to_preferences
from audiorec.listening.sequences import By, Sequences, to_sequences
from audiorec.types import Preferences


@dataclass(frozen=True, kw_only=True)
class LogReading:
    """How a log is read.

    Attributes
    ----------
    filter : tuple of str
        Plays to leave out: flood, looped, skip-chain, shared-device.
    skip_bad_rows : bool
        Leave out rows that cannot be used, instead of refusing the log.
    likes : bool
        Histories are liked songs instead of plays.
    rule : Path, optional
        Rule for liked songs, in TOML or JSON.
    by : {"user", "session", "list"}, optional
        One history per user, session or list; by default per user, or as the model was trained.
    """

    filter: tuple[str, ...] = ()
    skip_bad_rows: bool = False
    likes: bool = False
    rule: Path | None = None
    by: By | None = None

    @cached_property
    def liking(self) -> Rule:
        """The rule for liked songs."""
        return Rule() if self.rule is None else load_rule(self.rule)

    def log(self, path: str | os.PathLike[str]) -> Interactions:
        """Read a log."""
        return read_interactions(path, skip_bad_rows=self.skip_bad_rows)

    def plays(self, log: Interactions, by: By = "user") -> Sequences:
        """Return the finished plays of a log, in order of listening."""
        return to_sequences(log, by=by, filters=self.filter)

    def liked(self, log: Interactions) -> Liked:
        """Return the liked, disliked and heard songs of each user of a log."""
        return to_liked(log, self._rule_alone)

    def preferences(self, log: Interactions) -> Preferences:
        """Return what each user of a log likes, dislikes and has heard, with times and weights."""
        return to_preferences(log, self._rule_alone)

    @property
    def _rule_alone(self) -> Rule:
        if self.filter:
            raise InputError("filters leave out plays, likes go by a rule: leave filter out")
        return self.liking

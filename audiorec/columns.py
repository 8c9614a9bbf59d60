"""Names of columns that several rooms read and write: one class per table.

A column that one module alone knows keeps its name there; these cross rooms, so a spelling is
declared once. Formats and meanings: ``docs/formats.md``.
"""

from typing import Final


class StoreColumns:
    """Tables with one row per song: the store, side tables, atlases, answers of a library."""

    ID: Final = "song_id"


class PairColumns:
    """Tables with a user and a song in each row."""

    USER: Final = "user_id"
    SONG: Final = "song_id"


class LogColumns(PairColumns):
    """Listening logs: one row per event."""

    TIME: Final = "timestamp"
    EVENT: Final = "event"
    PLAYED_RATIO: Final = "played_ratio"
    WEIGHT: Final = "weight"
    VALUES: Final = (TIME, EVENT, PLAYED_RATIO, WEIGHT)  # what a row says beside its ids


class ListColumns(PairColumns):
    """Candidates, fused lists and targets: one row per user and song."""

    GROUP: Final = "group_id"


class ShownColumns(PairColumns):
    """Impressions: one row per user, song and time."""

    AT: Final = "shown_at"
    RUN: Final = "run_id"

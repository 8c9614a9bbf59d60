"""Who has no history gets what: one rule for the nightly run and for one user.

fused lists of a block, its users ──with_default──▶ a list for every user
fused.parquet, all users          ──fill_default──▶ the same file with a list for every user
the rule ──write_default──▶ default.parquet ──read_default──▶ the lists of whoever comes later

A user gets the default list if no channel proposes a song. A user without a finished play gets it
also if only ``popular`` does, which proposes the same songs to everybody, in every product.
Excluded songs, caps and dials hold in a default list as in any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.files.own_files import refuse_link
from audiorec.files.tables import TableFile, table_writer
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import SCHEMA, DefaultList
from audiorec.recall.serving.fuse import NO_FACTS, NOTHING, fuse
from audiorec.recall.serving.rules import Exclusions, FusionRecipe, SongTraits
from audiorec.recall.serving.tables import (
    BATCH_ROWS,
    USERS,
    UserStream,
    candidates_by_user,
    merge_streams,
)
from audiorec.types import string_array

POPULAR = "popular"
NEWCOMERS, NOBODY = "default.parquet", ""  # the list of whoever has none, and its user id
CHUNK_USERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DefaultRule:
    """The default list, with the settings and rules of the lists that it stands in for.

    Attributes
    ----------
    default : DefaultList
    recipe : FusionRecipe
        Weights and points of channels have no meaning here.
    depth : int
        Songs of the default list that are considered for each user.
    facts : SongTraits
    excluded : Exclusions
    """

    default: DefaultList
    recipe: FusionRecipe
    depth: int
    facts: SongTraits = NO_FACTS
    excluded: Exclusions = NOTHING

    def lists(self, user_ids: list[str]) -> Any:
        """Return the default list of each user, as a table of candidates."""
        alone = replace(self.recipe, method="reciprocal", weights=(1.0,), points=())
        rows = self.default.rows(user_ids, self.depth)
        return fuse([rows], alone, self.facts, self.excluded)

    def with_default(self, fused: Any, users: Sequences, proposed: Sequence[Any] = ()) -> Any:
        """Return the lists of a block of users, with the default list of those who need it.

        `fused` has the rows of these users, and `users` their finished plays. A short list may
        name ``popular`` in every row though others agree: `proposed` are the tables of channels
        with a weight.
        """
        names = string_array(users.owner_ids)
        every = pa.concat_tables([fused, *proposed])
        personal = every.filter(pc.not_equal(every.column("channel"), POPULAR))
        own, listed = (
            pc.is_in(names, value_set=pc.unique(one.column(ListColumns.USER).combine_chunks()))
            for one in (personal, fused)
        )
        kept = pc.and_(listed, pc.or_(own, pa.array(users.lengths > 0)))
        needing = names.filter(pc.invert(kept))
        if not len(needing):
            return fused
        others = fused.filter(
            pc.invert(pc.is_in(fused.column(ListColumns.USER), value_set=needing))
        )
        both = pa.concat_tables([others, self.lists(needing.to_pylist())])
        return both.sort_by([(ListColumns.USER, "ascending"), ("rank", "ascending")])


def fill_default(path: Path, users: Sequences, rule: DefaultRule) -> None:
    """Give every user a list in a file of fused lists; it is replaced atomically.

    `users` are the finished plays of all users who are to have a list.
    """
    order = np.array(sorted(range(len(users)), key=users.owner_ids.__getitem__), np.int64)
    chunks = [order[at : at + CHUNK_USERS] for at in range(0, len(order), CHUNK_USERS)]
    ids = (
        pa.table(
            {ListColumns.USER: string_array([users.owner_ids[n] for n in rows.tolist()])}, USERS
        )
        for rows in chunks
    )
    streams = [UserStream(ids, USERS), UserStream(candidates_by_user(path, BATCH_ROWS), SCHEMA)]
    first = 0
    with table_writer(path, SCHEMA) as writer:
        for known, fused in merge_streams(streams):
            block = users.take(order[first : first + len(known)])
            first += len(known)
            writer.write_table(rule.with_default(fused, block))


def write_default(path: Path, rule: DefaultRule) -> None:
    """Write the default list, and that of each country or language as of a user ``country=SE``."""
    places = {place: place for place in rule.default.of_place}
    every = replace(rule, default=replace(rule.default, place_of=places))
    with table_writer(path, SCHEMA) as writer:
        writer.write_table(every.lists([NOBODY, *places]))


def read_default(folder: Path) -> DefaultList | None:
    """Return the default lists of a folder that ``recall run`` wrote; None if it has none."""
    path = folder / NEWCOMERS
    refuse_link(path)
    if not path.exists():
        return None
    with TableFile.open(path) as file:
        table = file.read(SCHEMA.names).sort_by("rank")
    found = {}
    for name in table.column(ListColumns.USER).unique().to_pylist():
        own = table.filter(pc.equal(table.column(ListColumns.USER), name))
        songs = own.column(ListColumns.SONG).combine_chunks()
        found[name] = DefaultList(songs, np.asarray(own.column("similarity"), np.float32))
    nothing = DefaultList(string_array([]), np.zeros(0, np.float32))
    return replace(found.pop(NOBODY, nothing), of_place=found)

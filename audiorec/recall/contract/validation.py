"""Figures of a channel that learns in one pass, so that its lists can be weighed against others.

    plays ──hold_out──▶ the newest part, and the rest ──fit──▶ a second channel of the same recipe
    newest part, each play with those before it ──ranks──▶ `Trained`: new_ndcg@100, hit_rate@20

Networks are judged on the same part of the listening while they train, by
`audiorec.learning.next_song`. Only songs that the user had not played before are wanted, and songs
of the history are left out, as in the lists that a nightly run writes.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from audiorec.errors import InputError
from audiorec.evaluation.full_rank import mean_ranks
from audiorec.learning.next_plays import NEW, NextPlays, hold_out, ndcg_of_new
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.channel import Channel, CountingChannel, Trained
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.types import Float64Array, Int64Array, entries, offsets

NEWEST_PART = "the newest part of the listening, by full rank"
SHARE = 0.05  # held out, as by networks
MOST_JUDGED = 2_000  # plays
K = 20


def validated(channel: Channel, data: RecallData) -> Trained:
    """Return the validation figures of a channel that counts; empty if it cannot be judged.

    A second channel learns from the data without the newest part.
    """
    if not isinstance(channel, CountingChannel):
        return Trained()
    with suppress(InputError):  # too few plays, or none that the channel can learn from
        learnt, judged = _held_out(data.plays)
        if len(judged):
            made: Any = type(channel)
            again = made(channel.recipe).fit(replace(data, sequences=learnt))
            ranks = _ranks(again, data.plays, judged)
            hits = float(np.mean(ranks <= K))
            figures = {NEW: ndcg_of_new(ranks), f"hit_rate@{K}": hits}
            return Trained(figures=figures, judged_on=f"new songs in {NEWEST_PART}")
    return Trained()


def _held_out(plays: Sequences) -> tuple[Sequences, Int64Array]:
    """Return what is learnt from, and the places of the plays that are judged, ascending."""
    examples = NextPlays(
        starts=plays.starts,
        song=plays.song.astype(np.int64),
        time=plays.time,
        n_songs=len(plays.song_ids),
        profile=np.zeros((len(plays), 0), np.float32),
    )
    held = hold_out(examples, SHARE)
    pair = plays.owner * max(1, len(plays.song_ids)) + plays.song
    is_new = np.zeros(len(pair), np.bool_)
    is_new[np.unique(pair, return_index=True)[1]] = True
    place = np.flatnonzero(held.judged & is_new)
    drawn = np.random.default_rng(0).permutation(len(place))[:MOST_JUDGED]
    return plays.keep(held.learnt), np.sort(place[drawn])


def _ranks(channel: Channel, plays: Sequences, judged: Int64Array) -> Float64Array:
    """Return the rank of each judged play among the songs that its user had not played."""
    first = plays.starts[plays.owner[judged]]
    before = entries(first, judged - first)
    histories = Sequences(
        tuple(map(str, range(len(judged)))),
        plays.song_ids,
        offsets(judged - first),
        plays.song[before],
        plays.time[before],
        None if plays.weight is None else plays.weight[before],
    )
    wanted, found, done = plays.song[judged].astype(np.int64), [], 0
    for block in channel.blocks(Queries(histories), exclude=histories):
        rows = slice(done, done + len(block))
        found.append(mean_ranks(block, np.arange(len(block)), wanted[rows]))
        done += len(block)
    return np.concatenate(found)

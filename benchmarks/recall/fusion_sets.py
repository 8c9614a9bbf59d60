"""Candidates of several channels on public listening, for validation and for the test.

    set ──prepare──▶ WORK/NAME/valid/CHANNEL.parquet, WORK/NAME/test/CHANNEL.parquet

The channels of ``valid`` have not learnt from what is wanted there; weights are chosen on it. Those
of ``test`` have learnt from all but the test set. A file that is there is not made again.

==========  ==========================================================================
nowplaying  validation: all prefixes of the newest 5 % of the training sessions
lastfm      S3-Rec's split; validation: the play before the last, which is not learnt from
playlists   a fifth of each playlist is hidden; validation: a fifth of what is left
==========  ==========================================================================
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from recall_tables import nowplaying, playlists, s3_lists

from audiorec.learning.fit import fit
from audiorec.learning.machine import one_thread
from audiorec.learning.next_song import NextSongLearner, arrays_of
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.batch_recall import write_candidates
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.judging.splits import JudgingSplit, given_split, split
from audiorec.recall.registry import channel_class, load_channel
from audiorec.recall.sequence.sasrec.channel import SASRec
from audiorec.recall.sequence.sasrec.forward import SASRecRecipe

NEWEST = 0.05  # of the sessions
DEPTH = 100  # songs that each channel is asked for
EPOCHS = 12  # of SASRec on #nowplaying; chosen on the same validation part


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionSet:
    """A set of listening, cut twice, and the channels that are fused on it."""

    valid: JudgingSplit
    test: JudgingSplit
    channels: Mapping[str, Callable[[Sequences], Channel]]  # fitted on what they are given
    keep_heard: bool
    by: tuple[str, int]  # the measure that weights are chosen by
    shown: tuple[tuple[str, int], ...]
    by_hand: tuple[float, ...] = ()


def plain(name: str) -> Callable[[Sequences], Channel]:
    """Return what fits a channel with its default recipe."""
    return lambda learn: channel_class(name)().fit(RecallData(learn))


def sasrec_of_twelve(learn: Sequences) -> Channel:
    """Train SASRec for `EPOCHS` on everything it is given: half of what choosing them costs."""

    class Fixed(SASRec):
        def _fit(self, data: RecallData, **_: object) -> None:
            from audiorec.recall.contract.next_song import SideEncoder

            self.facts = SideEncoder.fit(data.context, data.song_ids, ~data.is_cold)
            features = self.facts.encode(data.context, data.song_ids)
            plays = self._plays_learnt(data)
            with one_thread("training SASRec"):
                learner = NextSongLearner(self._network(features, plays), plays, self.recipe)
                fit(
                    learner,
                    max_epochs=EPOCHS,
                    patience=EPOCHS,
                    keep_best=False,  # the number of epochs is known
                    clip=self.recipe.clip or None,
                    tell=lambda line: print(line, flush=True),
                )
            self._take(arrays_of(learner.model), features, ~data.is_cold)

    return Fixed(SASRecRecipe(max_epochs=EPOCHS)).fit(RecallData(learn))


def of_nowplaying(data: Path) -> FusionSet:
    """Read sessions; what is asked for is the next song of each prefix."""
    cut = nowplaying(data).cut
    able = np.flatnonzero(cut.learn.lengths > 1)
    newest = able[-round(NEWEST * len(able)) :]
    rest = np.ones(len(cut.learn), np.bool_)
    rest[newest] = False
    ids = tuple(f"p{row:06}" for row in range(len(cut)))  # as `recall_sets.py` writes them
    known, wanted = (replace(part, owner_ids=ids) for part in (cut.histories, cut.wanted))
    return FusionSet(
        valid=prefixes(cut.learn.take(rest), cut.learn.take(newest)),
        test=replace(cut, histories=known, wanted=wanted),
        channels={
            "sasrec": sasrec_of_twelve,
            "vs-knn": plain("vs-knn"),
            "rules": plain("rules"),
        },
        keep_heard=True,
        by=("ndcg", 100),
        shown=(("hit_rate", 20), ("mrr", 20), ("hit_rate", 100)),
        by_hand=(3.0, 2.0, 1.0),
    )


def prefixes(learn: Sequences, sessions: Sequences) -> JudgingSplit:
    """Ask for every song of sessions but the first, from those before it."""
    known, wanted, ids, group = [], [], [], []
    for row, name in enumerate(sessions.owner_ids):
        songs = [sessions.song_ids[s] for s in sessions[row].tolist()]
        for end in range(1, len(songs)):
            known.append(songs[:end])
            wanted.append([songs[end]])
            ids.append(f"{name}-{end}")
            group.append(row)
    before, after = (Sequences.from_lists(lists, ids) for lists in (known, wanted))
    return given_split(learn, before, after, np.array(group))


def of_lastfm(data: Path) -> FusionSet:
    """Read artists in the order in which each user met them."""
    lists = s3_lists(data / "lastfm_seq")
    learn = Sequences.from_lists([songs[:-2] for songs in lists])

    def cut(known: slice, place: int) -> JudgingSplit:
        return given_split(
            learn,
            Sequences.from_lists([songs[known] for songs in lists]),
            Sequences.from_lists([[songs[place]] for songs in lists]),
        )

    names = ("ease", "vs-knn", "item-knn", "rules", "youtube-dnn", "sasrec")
    return FusionSet(
        valid=cut(slice(-2), -2),
        test=cut(slice(-1), -1),
        channels={name: plain(name) for name in names},
        keep_heard=False,
        by=("ndcg", 100),
        shown=(("hit_rate", 10), ("ndcg", 10), ("hit_rate", 100)),
    )


def of_playlists(data: Path) -> FusionSet:
    """Read playlists of one curator."""
    cut = playlists(data).cut
    names = ("ease", "item-knn", "vs-knn", "rules", "song2vec", "youtube-dnn")
    return FusionSet(
        valid=split(cut.learn, "lists", seed=1),
        test=cut,
        channels={name: plain(name) for name in names},
        keep_heard=False,
        by=("ndcg", 100),
        shown=(("capped_recall", 100), ("capped_recall", 10), ("ndcg", 10)),
    )


SETS: dict[str, Callable[[Path], FusionSet]] = {
    "nowplaying": of_nowplaying,
    "lastfm": of_lastfm,
    "playlists": of_playlists,
}


def prepare(found: FusionSet, work: Path) -> dict[str, dict[str, Path]]:
    """Write the candidates of every channel; return their files by part and channel."""
    files: dict[str, dict[str, Path]] = {}
    for part, cut in (("valid", found.valid), ("test", found.test)):
        (work / part).mkdir(parents=True, exist_ok=True)
        files[part] = {}
        for name, fitted in found.channels.items():
            path = files[part][name] = work / part / f"{name}.parquet"
            if path.is_file():
                continue
            model = path.with_suffix("")
            if part == "test" and found.test.learn is found.valid.learn:
                model = work / "valid" / name  # has learnt from the same
            if not model.is_dir():
                fitted(cut.learn).save(model)
            hidden = None if found.keep_heard else cut.histories
            channel = load_channel(model)
            write_candidates(path, channel, Queries(cut.histories), DEPTH, exclude=hidden)
            print(f"{part} {name}: {path}", flush=True)
    return files


if __name__ == "__main__":
    import sys

    name, data, work = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    prepare(SETS[name](data), work / name)

"""``audiorec recall evaluate``: measure channels on one split."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from audiorec.errors import InputError
from audiorec.options import argument, chooses, reads
from audiorec.recall.serving.answers import KEEP_HEARD
from audiorec_cli.recommend.recall_space import in_one_space
from audiorec_cli.shared.console import FIGURE_DIGITS, print_json, print_table, say
from audiorec_cli.shared.inputs import users_file
from audiorec_cli.shared.listening import PlaysOf, TrainingOptions, say_known, sound_files
from audiorec_cli.shared.options import JsonOption, LogOption, SeedOption
from audiorec_cli.shared.training import SetOption, variants

if TYPE_CHECKING:
    from audiorec.recall.contract.candidates import Lists
    from audiorec.recall.contract.channel import Channel
    from audiorec.recall.judging.compare import Judgements
    from audiorec.recall.judging.splits import JudgingSplit

SplitName = Literal[
    "last", "time", "sessions", "users", "lists", "random", "artists", "all-artists"
]
OF_ARTISTS = ("artists", "all-artists")
UNHEARD_K = 10  # length of the lists where artists are held out


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOptions(TrainingOptions):
    """Options of an evaluation: log, split, list lengths."""

    interactions: LogOption
    split: Annotated[
        SplitName | None,
        chooses(
            help="How to split the log [default: time if every play has one; random for a log of "
            "counts; else last]."
        ),
    ] = None
    folds: Annotated[
        int,
        chooses(
            min=1,
            help="Of a split by time: test on that many newest tenths, one after the other, each "
            "trained on all before it.",
        ),
    ] = 1
    k: Annotated[
        list[int] | None,
        chooses("--k", "-k", min=1, help="Lengths of the lists [default: 10 20 50 100 200]."),
    ] = None
    keep_heard: Annotated[bool, KEEP_HEARD] = False
    count_copies: Annotated[
        bool,
        chooses("--count-copies", help="Count copies of heard songs, which --vectors knows."),
    ] = False
    seed: SeedOption = 0
    json: JsonOption = False
    test_histories: Annotated[
        Path | None, reads(log=True, help="A separate test set: known histories.")
    ] = None
    targets: Annotated[Path | None, reads(help="Its targets: user_id, song_id (group_id).")] = None

    @property
    def ks(self) -> list[int]:
        """Return the list lengths to evaluate, ascending."""
        return sorted(set(self.k or (10, 20, 50, 100, 200)))

    @property
    def copies(self) -> dict[str, str]:
        """Return the recordings of songs that have copies in the store."""
        store = sound_files(self.vectors).get("vectors")
        if store is None or self.count_copies:
            return {}
        from audiorec.search.copies import recordings_of

        codes = recordings_of(store).codes.tolist()
        return {song: str(n) for song, n in zip(store.ids, codes, strict=True) if n >= 0}

    def cuts(self, *trained: "Channel") -> "list[JudgingSplit]":
        """Read the log and split it; trained channels are judged on sequences as they know them."""
        from audiorec.recall.contract.candidates import read_targets
        from audiorec.recall.judging.splits import cuts, given_split

        if self.likes:
            raise InputError("likes are for --split artists: other splits need plays")
        if (self.test_histories is None) != (self.targets is None):
            raise InputError("--test-histories and --targets must be given together")
        whose: dict[str, PlaysOf] = {"sessions": "session", "lists": "list"}
        by = whose.get(self.split or "") or self.asked_by(*trained)
        plays = self.of(self.interactions, by)
        if self.test_histories is not None and self.targets is not None:
            if self.split is not None or self.folds > 1:
                raise InputError("a separate test set needs neither --split nor --folds")
            wanted, cluster = read_targets(self.targets)
            known = self.of(self.test_histories, by if trained else "user")
            return [given_split(plays, known, wanted, cluster)]
        chosen: Any = self.split
        return cuts(plays, chosen, folds=self.folds, seed=self.seed)


def evaluate(
    channels: Annotated[
        list[str] | None,
        argument(
            metavar="CHANNEL...",
            help="Channels (recall train lists them, module:Class) or trained models.",
        ),
    ] = None,
    settings: SetOption = None,
    candidates: Annotated[
        Path | None, reads(help="Evaluate existing lists: user_id, song_id, rank.")
    ] = None,
    users: Annotated[
        Path | None,
        users_file(help="For --split artists: embeddings of the users."),
    ] = None,
    *,
    judging: JudgeOptions,
) -> None:
    """Evaluate channels: train on one part of a log, rank all songs for the other part.

    Several are compared: the table shows how far each is behind the best. --set given twice for
    one setting compares both values. The split artists judges one trained model on the artists
    that its training held out (--set test=0.2), beside simple baselines; all-artists judges it on
    half of the artists of a log of which it heard no song.

    Examples
    --------
    audiorec recall evaluate popular rules vs-knn --interactions plays.parquet
    audiorec recall evaluate rules vs-knn -i plays.parquet --k 10 50 --folds 3
    audiorec recall evaluate --candidates lists.parquet -i plays.parquet
    """
    if bool(channels) == (candidates is not None):
        raise InputError(
            "name channels or models, or give --candidates; recall train lists channels"
        )
    if judging.split in OF_ARTISTS:
        _evaluate_artists(channels or [], users, judging)
        return
    if users is not None:
        raise InputError("--users is for --split artists")
    judged = _judged(channels or [], candidates, settings or ())
    from audiorec.recall.contract.channel import Channel

    known = [one for one, is_trained in judged if is_trained and isinstance(one, Channel)]
    cuts = judging.cuts(*known)
    from audiorec.recall.judging.compare import evaluate as compared

    context = judging.context()
    if context.sound is not None:
        say_known(judging.vectors, context.sound.song_ids, cuts[-1].learn.song_ids)
    result = compared(
        [one for one, _ in judged],
        cuts,
        ks=judging.ks,
        keep_heard=judging.keep_heard,
        trained=known,
        context=context,
        copies=judging.copies,
        seed=judging.seed,
    )
    if judging.json:
        print_json(result.to_dict())
    elif len(result) == 1:
        _print_verdict(result)
    else:
        _print_comparison(result)
    for line in result.remarks:
        say(f"note: {line}")


def _judged(
    names: "Sequence[str]", made: Path | None, settings: "Sequence[str]"
) -> "list[tuple[Channel | Lists, bool]]":
    """Return the channels or lists to evaluate, and whether they need no training."""
    from audiorec.recall.contract.candidates import Lists, read_candidates
    from audiorec.recall.contract.channel import Channel
    from audiorec.recall.registry import channel_class, load_channel

    if settings and len(names) != 1:
        raise InputError("--set needs exactly one channel")
    result: list[tuple[Channel | Lists, bool]] = []
    for name in dict.fromkeys(names):
        if _is_model(name):
            result.append((load_channel(name), True))
        else:
            result += [(one, False) for one in variants(channel_class(name), settings)]
    return result if made is None else [*result, (read_candidates(made), True)]


def _is_model(name: str) -> bool:
    from audiorec.recall.registry import CHANNELS

    return Path(name).is_dir() and name not in CHANNELS


def _evaluate_artists(names: "Sequence[str]", users: Path | None, judging: JudgeOptions) -> None:
    """Evaluate a model on artists and songs that it never heard, beside simple baselines."""
    from audiorec.recall.audio.judge import judge_unheard
    from audiorec.recall.registry import CHANNELS
    from audiorec.store.embeddings import EmbeddingTable

    if len(names) != 1 or names[0] in CHANNELS:
        raise InputError(
            f"--split {judging.split} judges one trained model: name its folder, which recall "
            "train --set test=0.2 wrote"
        )
    if len(judging.k or ()) > 1:
        raise InputError(f"--split {judging.split} needs a single --k")
    channel = in_one_space(Path(names[0]))
    result = judge_unheard(
        channel,
        judging.data(judging.interactions),
        users=EmbeddingTable.open(users, kind="users") if users else None,
        k=judging.k[0] if judging.k else UNHEARD_K,
        all_songs=judging.split == "all-artists",
        seed=judging.seed,
    )
    if judging.json:
        about = {"model": names[0], "channel": channel.name, "model_id": channel.model_id}
        print_json({"schema": "audiorec/recall-unheard/1", **about, **result.to_dict()})
        return
    for name, panel in result.to_dict()["panels"].items():
        _print_panel(name.replace("_", " "), panel)
    if result.simulated:
        say("note: simulated listening; these figures say nothing about real people")


def _print_verdict(found: "Judgements") -> None:
    from audiorec.recall.judging.compare import ways

    (verdict,) = found
    ks = sorted({k for _, k in verdict.means})
    names = sorted({name for name, _ in verdict.means})
    rows = [
        (name, way, *(result[name, k] for k in ks))
        for name in names
        for way, result in ways(verdict, [(name, k) for k in ks])
    ]
    title = f"{verdict.channel}: {found.about}"
    _say_title(title)
    heads = ("measure", "repeats", *(f"@{k}" for k in ks))
    print_table(heads, rows, title=title, digits=FIGURE_DIGITS)
    widest = verdict.means["recall", ks[0]]
    say(f"recall@{ks[0]} {widest}: 95 % bootstrap interval over users or sessions")
    spread = ", ".join(
        f"{n} {v:,.0f}" if v >= 100 else f"{n} {v:.3g}" for n, v in verdict.spread.items()
    )
    say(f"lists of {ks[0]}: {spread}")
    for line in verdict.notes():
        say(line)
    say(f"{verdict.fit_cpu_s:.1f} CPU-s to fit, {verdict.recall_cpu_s:.1f} to rank all songs")


def _print_comparison(found: "Judgements") -> None:
    title = f"{found.about}, lists of {found.by[1]}"
    _say_title(title)
    print_table(found.columns, found.rows, title=title, digits=FIGURE_DIGITS)
    for verdict in found:
        say(f"{verdict.channel}: {verdict.notes()[0]}")


def _say_title(title: str) -> None:
    """Say what is judged where the table has no title: in a pipe."""
    if not sys.stdout.isatty():
        say(title)


def _print_panel(name: str, panel: dict[str, Any]) -> None:
    columns = ("method", "AUC", "low", "high", "behind", "low", "high")
    rows = []
    for method, row in panel["methods"].items():
        lists = [row[name][0] for name in ("precision", "recall", "ndcg")]
        behind = row["ahead"] or ("", "", "")
        rows.append((method, *row["auc"], *behind, *lists, row["coverage"], row["popularity_bias"]))
    title = f"{name}: {panel['users']:,} users, {panel['songs']:,} songs, k = {panel['k']}"
    measured = ("precision", "recall", "NDCG", "coverage", "popularity")
    print_table((*columns, *measured), rows, title=title, digits=FIGURE_DIGITS)

"""``audiorec recall``: train channels, ask them for songs, judge and compare them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec.errors import InputError
from audiorec_cli import recall_near, recall_space
from audiorec_cli.shared.console import print_json, print_table, say
from audiorec_cli.shared.inputs import Wanted, check
from audiorec_cli.shared.listened import (
    KnownToo,
    LearntFrom,
    ListenedTo,
    ModelArgument,
    PlaysOf,
)
from audiorec_cli.shared.options import (
    JsonOption,
    LogOption,
    OutFileOption,
    OutFolderOption,
    QuietOption,
    SeedOption,
    more,
)
from audiorec_cli.shared.pages import command, group
from audiorec_cli.shared.training import SetOption, fit_and_save, with_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiorec.evaluation.classification import Interval
    from audiorec.recall.contract.channel import Channel
    from audiorec.recall.contract.tables import Lists
    from audiorec.recall.judging.judge import Judgement
    from audiorec.recall.judging.splits import JudgingSplit

app = group(
    """Propose songs: train a channel, ask it for candidates, judge it against others.

    Examples
    --------
    audiorec recall list
    audiorec recall compare rules vs-knn item-knn --interactions plays.parquet
    audiorec recall train vs-knn --interactions plays.parquet --out model/
    """
)

SplitName = Literal["last", "time", "sessions", "users", "lists"]
SHOWN = ("hit_rate", "recall", "ndcg", "mrr")  # columns of a table
HeardOption = Annotated[
    bool, typer.Option("--keep-heard", help="Let songs of the history come again.")
]


@command(app, "list")
def list_channels(json: JsonOption = False) -> None:
    """List the channels: what each proposes, what it answers to, and for how long.

    Examples
    --------
    audiorec recall list
    audiorec recall list --json
    audiorec recall train rules --interactions plays.parquet --out model/
    """
    from audiorec.recall.registry import CHANNELS, channel_class

    found = {name: channel_class(name) for name in CHANNELS}
    if json:
        channels = [
            {
                "channel": name,
                "what": _first_line(kind),
                "serves": sorted(kind.serves),
                "horizon": kind.horizon,
            }
            for name, kind in found.items()
        ]
        print_json({"schema": "audiorec/channels/1", "channels": channels})
        return
    rows = [(name, kind.horizon, _first_line(kind)) for name, kind in found.items()]
    print_table(("channel", "horizon", "what"), rows, title="channels of recall")


@command(app)
def train(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="See recall list.")],
    interactions: LogOption,
    output: OutFolderOption,
    users: Annotated[
        Path | None,
        typer.Option("--users", "-u", metavar="FILE", help="user-audio: in whose space."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=0, help="At most, of a channel that is trained by steps.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of such a channel.")] = None,
    gamma: Annotated[
        float | None, typer.Option(min=0, help="song2vec: the share of the relations; 0: none.")
    ] = None,
    settings: SetOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
    *,
    learnt: LearntFrom,
) -> None:
    """Train one channel on a listening log, and write its model as a folder.

    A channel that is trained by steps can be stopped: the same command goes on where it was.

    Examples
    --------
    audiorec recall train vs-knn --interactions plays.parquet --out model/
    audiorec recall train youtube-dnn -i plays.csv -v vecs.parquet --out model/
    audiorec recall train user-audio -i plays.csv -f features.parquet --out m/
    """
    from audiorec.recall.registry import channel_class

    check(users, Wanted.USERS)
    given: dict[str, Any] = {"users": str(users) if users else None, "epochs": epochs}
    given |= {"seed": seed, "gamma": gamma}
    made = with_recipe(channel_class(channel), given, settings or ())
    data = learnt.data(interactions)
    plays = data.sequences
    model_id = fit_and_save(made, data, output, quiet=quiet)
    document = {
        "schema": "audiorec/recall-train/1",
        "channel": channel,
        "sequences": len(plays),
        "plays": len(plays.song),
        "songs": len(made.song_ids),
        "model_id": model_id,
        "out": str(output),
    }
    if json:
        print_json(document)
    say(f"{channel}: {len(plays.song):,} plays of {len(made.song_ids):,} songs: {output}")


@command(app)
def candidates(
    model: ModelArgument,
    interactions: LogOption,
    output: OutFileOption,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Songs for each user.")] = 100,
    keep_heard: HeardOption = False,
    allowed: Annotated[
        Path | None, typer.Option(help="The songs that may come: a list of ids, one a line.")
    ] = None,
    json: JsonOption = False,
    *,
    listened: ListenedTo,
) -> None:
    r"""Write the songs that a model proposes to each user of a log, with rank and reason.

    Examples
    --------
    audiorec recall candidates model/ -i plays.parquet --out cands.parquet
    audiorec recall candidates model/ -i plays.parquet --k 20 --keep-heard \
        --out cands.parquet
    audiorec recall candidates model/ -i plays.parquet --allowed released.txt \
        --out cands.parquet
    """
    from audiorec.files.user_files import read_lines
    from audiorec.recall.contract.data import Queries
    from audiorec.recall.contract.tables import write_candidates
    from audiorec.recall.registry import load_channel

    channel = load_channel(model)
    plays = listened.of(interactions)
    only = read_lines(str(allowed), "cannot read the songs") if allowed else None
    rows = write_candidates(
        output,
        channel,
        Queries(plays),
        k,
        exclude=None if keep_heard else plays,
        allowed=None if only is None else {line.strip() for line in only if line.strip()},
    )
    document = {
        "schema": "audiorec/candidates/1",
        "channel": channel.name,
        "model_id": channel.model_id,
        "users": len(plays),
        "rows": rows,
        "out": str(output),
    }
    if json:
        print_json(document)
    say(f"{rows:,} candidates of {len(plays):,} users: {output}")


command(app, "users")(recall_space.users)
command(app, "songs")(recall_space.songs)
command(app, "near")(recall_near.near)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging(KnownToo):
    """What channels are judged on."""

    interactions: LogOption
    split: Annotated[
        SplitName | None,
        typer.Option(
            help="How the log is cut [default: time where every play has one, else last]."
        ),
    ] = None
    k: Annotated[
        list[int] | None,
        typer.Option("--k", "-k", min=1, help="Lengths of the lists [default: 10 20 50 100 200]."),
    ] = None
    keep_heard: HeardOption = False
    seed: SeedOption = 0
    json: JsonOption = False
    test_histories: Annotated[
        Path | None, typer.Option(metavar="LOG", help="A test set of its own: what is known.")
    ] = None
    targets: Annotated[
        Path | None, typer.Option(help="And what is wanted: user_id, song_id (group_id).")
    ] = None

    @property
    def ks(self) -> list[int]:
        """Return the lengths of the lists that are judged."""
        return sorted(set(self.k or (10, 20, 50, 100, 200)))

    def cut(self) -> "JudgingSplit":
        """Read the log and cut it."""
        import numpy as np

        from audiorec.recall.contract.tables import read_targets
        from audiorec.recall.judging.splits import given, split

        if (self.test_histories is None) != (self.targets is None):
            raise InputError("--test-histories and --targets are given together")
        whose: dict[str, PlaysOf] = {"sessions": "session", "lists": "list"}
        plays = self.of(self.interactions, whose.get(self.split or ""))
        if self.test_histories is not None and self.targets is not None:
            if self.split is not None:
                raise InputError("--split cuts the log; a test set of its own needs none")
            wanted, cluster = read_targets(self.targets)
            known = self.of(self.test_histories, "user")
            return given(plays, known, wanted, cluster)
        timed = not np.isnan(plays.time).any()
        return split(plays, self.split or ("time" if timed else "last"), seed=self.seed)


@command(app)
def evaluate(
    channel: Annotated[
        str | None,
        typer.Argument(metavar="CHANNEL", help="A name of recall list, or a trained model."),
    ] = None,
    settings: SetOption = None,
    candidates: Annotated[
        Path | None, typer.Option(help="Judge lists that are made: user_id, song_id, rank.")
    ] = None,
    *,
    judging: Judging,
) -> None:
    """Judge a channel: trained on one part of a log, it ranks all songs for the other.

    Examples
    --------
    audiorec recall evaluate vs-knn --interactions plays.parquet
    audiorec recall evaluate rules -i plays.parquet --split last --k 10 50
    audiorec recall evaluate --candidates lists.parquet -i plays.parquet
    """
    from audiorec.recall.judging.judge import judge

    if (channel is None) == (candidates is None):
        raise InputError("name one channel or model, or --candidates; recall list has the names")
    judged, trained = _judged(channel, candidates, settings or ())
    cut = judging.cut()
    verdict = judge(
        judged,
        cut,
        ks=judging.ks,
        keep_heard=judging.keep_heard,
        trained=trained,
        context=judging.context(),
        seed=judging.seed,
    )
    if judging.json:
        print_json({"schema": "audiorec/recall-evaluate/1", "split": cut.name, **verdict.to_dict()})
        return
    _print_verdict(verdict, cut.name)


@command(app)
def compare(
    channels: Annotated[list[str], typer.Argument(metavar="CHANNEL", help="Two or more names.")],
    plot: Annotated[
        Path | None, more("--plot", metavar="PNG", help="Draw the comparison (extra plot).")
    ] = None,
    *,
    judging: Judging,
) -> None:
    """Judge several channels on one split; say how far each is behind the best.

    Examples
    --------
    audiorec recall compare popular rules vs-knn --interactions plays.parquet
    audiorec recall compare item-knn ease -i plays.parquet --split users
    audiorec recall compare rules vs-knn -i plays.parquet --plot compared.png
    """
    from audiorec.recall.judging.judge import compare as compare_channels

    if len(set(channels)) < 2:
        raise InputError("name two channels or more; recall evaluate judges one")
    _check_plot(plot)
    cut = judging.cut()
    by = ("recall", judging.ks[min(1, len(judging.ks) - 1)])
    found, behind = compare_channels(
        [_judged(name, None)[0] for name in channels],
        cut,
        by=by,
        ks=judging.ks,
        keep_heard=judging.keep_heard,
        context=judging.context(),
        seed=judging.seed,
    )
    _draw(plot, found, cut.name, by[1])
    if judging.json:
        print_json(_compared(found, behind, cut.name, by))
        return
    _print_comparison(found, behind, cut, by)


def _judged(
    channel: str | None, made: Path | None, settings: "Sequence[str]" = ()
) -> "tuple[Channel | Lists, bool]":
    """Return what is judged, and whether it is as it is to be."""
    from audiorec.recall.contract.tables import read_candidates
    from audiorec.recall.registry import CHANNELS, channel_class, load_channel

    if made is not None:
        return read_candidates(made), True
    if channel not in CHANNELS and channel is not None and Path(channel).is_dir():
        return load_channel(channel), True
    return with_recipe(channel_class(channel or ""), {}, settings), False


def _first_line(kind: "type[Channel]") -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def _print_verdict(verdict: "Judgement", split: str) -> None:
    ks = sorted({k for _, k in verdict.means})
    names = sorted({name for name, _ in verdict.means})
    rows = [(name, *(_short(verdict.means[name, k]) for k in ks)) for name in names]
    title = f"{verdict.channel}: split {split}, {verdict.n_queries:,} queries"
    print_table(("measure", *(f"@{k}" for k in ks)), rows, title=title)
    widest = verdict.means["recall", ks[0]]
    say(f"recall@{ks[0]} {widest}: the middle 95 % of a bootstrap over users or sessions")
    spread = ", ".join(
        f"{n} {v:,.0f}" if v >= 100 else f"{n} {v:.3g}" for n, v in verdict.spread.items()
    )
    say(f"lists of {ks[0]}: {spread}")
    for line in verdict.notes():
        say(line)
    say(f"{verdict.fit_cpu_s:.1f} CPU-s to fit, {verdict.recall_cpu_s:.1f} to rank all songs")


def _print_comparison(
    found: "list[Judgement]",
    behind: "dict[str, Interval]",
    cut: "JudgingSplit",
    by: tuple[str, int],
) -> None:
    k = by[1]
    rows = []
    for verdict in found:
        gap = behind.get(verdict.channel)
        lag = "" if gap is None else f"{-gap.value:+.3f} [{-gap.high:+.3f}, {-gap.low:+.3f}]"
        figures = (verdict.means[name, k].value for name in SHOWN)
        rows.append((verdict.channel, *figures, lag))
    title = f"split {cut.name}, {len(cut):,} queries, lists of {k}"
    print_table(("channel", *SHOWN, f"{by[0]} behind the best"), rows, title=title)


def _check_plot(path: Path | None) -> None:
    """Refuse a picture that could not be drawn before the long work begins."""
    if path is None:
        return
    from audiorec.evaluation.pictures import require_figure

    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: a picture's name ends in .png")
    require_figure()


def _draw(path: Path | None, found: "list[Judgement]", split: str, k: int) -> None:
    if path is None:
        return
    from audiorec.evaluation.rank_pictures import draw_channels
    from audiorec.files.atomic import replaced

    rows = {v.channel: v.figures(k) for v in found}
    drawn = draw_channels(rows, title=f"split {split}, {found[0].n_queries:,} queries")
    with replaced(path) as part:
        part.write_bytes(drawn)
    say(f"picture: {path}")


def _compared(
    found: "list[Judgement]", behind: "dict[str, Interval]", split: str, by: tuple[str, int]
) -> dict[str, Any]:
    from dataclasses import astuple

    return {
        "schema": "audiorec/recall-compare/1",
        "split": split,
        "by": f"{by[0]}@{by[1]}",
        "channels": [verdict.to_dict() for verdict in found],
        "ahead_of": {n: [round(v, 6) for v in astuple(gap)] for n, gap in behind.items()},
    }


def _short(interval: "Interval") -> str:
    return f"{interval.value:.4f}"

"""``audiorec recall``: train channels, write their candidates, evaluate, compare and export.

``audiorec recall run`` and ``promote``: the nightly job, and which of its days is served.
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from audiorec.errors import InputError
from audiorec.files.storage import join
from audiorec.files.user_files import read_lines
from audiorec.options import argument, chooses, reads, writes
from audiorec.recall.serving.answers import CandidatesQuestion
from audiorec_cli.recommend import recall_judge, recall_lists, recall_space
from audiorec_cli.shared.console import Exit, print_json, print_table, say
from audiorec_cli.shared.inputs import InputKind, check, open_vectors, users_file
from audiorec_cli.shared.jobs import JobSummary, MetricsOption, job, recorded
from audiorec_cli.shared.listening import ModelArgument, QueryOptions, TrainingOptions
from audiorec_cli.shared.options import (
    ADVANCED,
    KNOWN,
    Engines,
    ExposuresOption,
    JsonOption,
    LogOption,
    ModelsOption,
    OptionalLogOption,
    OutFileOption,
    ProfilesOption,
    QuietOption,
    SideOption,
    SongStoreOption,
    out_file,
    store_file,
)
from audiorec_cli.shared.pages import command, group
from audiorec_cli.shared.progress import graceful_stop, stopped
from audiorec_cli.shared.training import (
    ProcessOptions,
    SetOption,
    as_given,
    counts_of,
    epoch_line,
    fit_and_save,
    judged,
    with_recipe,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audiorec.recall.contract.channel import Channel
    from audiorec.recall.serving.export.exporting import ExportReport
    from audiorec.recall.serving.nightly.night import NightlyJob, Step
    from audiorec.recall.serving.nightly.places import Decision
    from audiorec.types import LineProgress


@recorded("recall export", "output", by_day="folder")
def export(
    interactions: LogOption,
    output: Annotated[Path, out_file(metavar="FOLDER", help="The folder to write.")],
    candidates: Annotated[
        list[Path] | None,
        argument(metavar="[CANDIDATES]", help="Tables of recall candidates, one per channel."),
    ] = None,
    recall: Annotated[
        Path | None,
        reads("--recall", "-r", metavar="FOLDER", help="A folder written by recall run."),
    ] = None,
    units: Annotated[
        bool,
        chooses(
            help="Export the unit of each song's vector, whose dot products are the similarities "
            "of similar."
        ),
    ] = False,
    entry: Annotated[
        str,
        chooses(
            help="Product of the ranking samples [default: that of the run, or the only one with "
            "exposures].",
            panel=ADVANCED,
        ),
    ] = "",
    positive_days: Annotated[
        float,
        chooses(
            help="A finished play so many days after an exposure makes it positive.",
            panel=ADVANCED,
        ),
    ] = 7.0,
    served_days: Annotated[
        float, chooses(help="Days for which served candidates are kept.", panel=ADVANCED)
    ] = 60.0,
    fused: Annotated[
        Path | None, reads(metavar="FILE", help="Fused lists, one per user.", panel=KNOWN)
    ] = None,
    exposures: ExposuresOption = None,
    models: ModelsOption = None,
    vectors: SongStoreOption = None,
    side: SideOption = None,
    profiles: ProfilesOption = None,
    json: JsonOption = False,
    *,
    done: JobSummary,
) -> None:
    r"""Export candidates with features, songs, users and training samples for a ranker.

    The tables are folders of Parquet, which databases load as they are. Nothing is rewritten if
    the inputs and settings have not changed.

    Examples
    --------
    audiorec recall export -i plays.parquet --recall serving/ --out export/
    audiorec recall export -i plays.parquet lists.parquet --vectors vecs.parquet \
        --units --out export/
    audiorec recall run --config recall.toml
    """
    from audiorec.listening.log_files import folder_before
    from audiorec.recall.serving.export.exporting import ExportRecipe, export_recall
    from audiorec.recall.serving.export.sources import ExportSources

    check(vectors, InputKind.VECTORS)
    if models is not None and not models.is_dir():
        raise InputError(f"{models}: no such folder; train a model: audiorec recall train")
    result = [path.parent for path in sorted(models.glob("*/model.json"))] if models else []
    if models is not None and not result:
        raise InputError(
            f"{models}: contains no model; it needs one folder per model: "
            f"audiorec recall train vs-knn -i LOG --out {models}/vs-knn"
        )
    sources = ExportSources(
        interactions=interactions,
        candidates=tuple(candidates or ()),
        fused=fused,
        exposures=exposures,
        models=tuple(result),
        vectors=vectors,
        side=side,
        profiles=profiles,
        earlier=folder_before(output),
    )
    if recall is not None:
        sources = sources.with_run(recall)
    recipe = ExportRecipe(units=units, entry=entry, days=positive_days, served_days=served_days)
    report = export_recall(sources, output, recipe)
    done.count(rows=sum(report.rows.values()))
    done.count(**{f"rows/{name}": n for name, n in report.rows.items()})
    if json:
        print_json(
            {
                "schema": "audiorec/recall-export/1",
                "out": str(output),
                "is_new": report.is_new,
                "rows": report.rows,
                "samples": report.manifest["samples"],
            }
        )
    _tell(report, interactions if recall is not None else None)


def _tell(report: "ExportReport", log_of_run: Path | None) -> None:
    """Print what was written; `log_of_run` is the log given with a run, to be compared with its."""
    parts = ", ".join(f"{name} {n:,}" for name, n in report.rows.items())
    say(f"{report.out}: {parts}{'' if report.is_new else '; nothing new'}")
    ranking = report.manifest["samples"]["ranking"]
    say(
        f"ranking samples by {ranking['by']}: {ranking.get('positive', 0):,} positive, "
        f"{ranking.get('negative', 0):,} negative, {ranking.get('pending', 0):,} still pending"
    )
    timeless = report.manifest["samples"]["recall"]["without_time"]
    if timeless:
        say(f"{timeless:,} rows of the log have no time and give no samples")
    if log_of_run is not None and not report.manifest["samples"]["served_kept"]:
        say(
            f"{log_of_run}: not the log of the run, so its lists are not kept as served; "
            "run again: audiorec recall run"
        )


app = group(
    """Propose songs: train a channel, write its candidates, compare it with others.

    Examples
    --------
    audiorec recall train
    audiorec recall evaluate rules vs-knn item-knn --interactions plays.parquet
    audiorec recall train vs-knn --interactions plays.parquet --out model/
    """
)


def _list(channel: str | None, *, json: bool) -> None:
    """List the channels, or the settings of one with default, type and meaning."""
    from audiorec.recall.registry import channel_class

    if channel is not None:
        _list_settings(channel_class(channel), json=json)
        return
    result = list(_listed())
    if json:
        channels = [
            {
                "channel": kind.name,
                "what": _first_line(kind),
                "serves": sorted(kind.serves),
                "horizon": kind.horizon,
            }
            | ({"from": source} if source else {})
            for kind, source in result
        ]
        print_json({"schema": "audiorec/channels/1", "channels": channels})
        return
    rows = [
        (kind.name, kind.horizon, _first_line(kind) + (f" ({source})" if source else ""))
        for kind, source in result
    ]
    print_table(("channel", "horizon", "what"), rows, title="recall channels")


def _listed() -> "Iterator[tuple[type[Channel], str]]":
    """Yield each channel and the package it comes from, empty for ours; say which cannot be used.

    One broken package must not hide the other channels.
    """
    from audiorec.recall.registry import CHANNELS, channel_class, named_by_user
    from audiorec.runs.entry_points import maker

    for name in CHANNELS.own():
        yield channel_class(name), ""
    for entry in CHANNELS.others():
        if entry.name in CHANNELS.own():
            say(
                f"warning: {maker(entry)} registers {entry.name!r}, which is audiorec's own channel"
            )
            continue
        try:
            yield channel_class(entry.name), maker(entry)
        except InputError as error:
            say(f"warning: {error}")
    for kind in named_by_user():
        yield kind, kind.__module__


def _list_settings(kind: "type[Channel]", *, json: bool) -> None:
    from audiorec.recall.contract.training import settings_of

    result = settings_of(getattr(kind, "Recipe", None))
    if json:
        settings = [
            {"name": s.name, "type": s.type, "default": s.default, "meaning": s.meaning}
            for s in result
        ]
        print_json(
            {"schema": "audiorec/channel-settings/1", "channel": kind.name, "settings": settings}
        )
        return
    rows = [(s.name, as_given(s.default), s.type, s.meaning) for s in result]
    title = f"settings of {kind.name}: --set NAME=VALUE"
    print_table(("name", "default", "type", "meaning"), rows, title=title)


@command(app)
@recorded("recall train", "output")
def train(
    channel: Annotated[
        str | None, argument(metavar="CHANNEL", help="A channel that it lists, or module:Class.")
    ] = None,
    interactions: OptionalLogOption = None,
    output: Annotated[Path | None, out_file(metavar="FOLDER", help="The folder to write.")] = None,
    users: Annotated[
        Path | None,
        users_file(help="user-audio: embeddings of the users."),
    ] = None,
    epochs: Annotated[
        int | None,
        chooses(
            min=0,
            help="Most epochs [default: of the channel]; training may stop earlier.",
            panel=ADVANCED,
        ),
    ] = None,
    seed: Annotated[
        int | None, chooses(min=0, help="Seed of weights and samples [default: 0].", panel=ADVANCED)
    ] = None,
    settings: SetOption = None,
    start: Annotated[
        Path | None,
        reads("--from", metavar="MODEL", help="Go on from this model: a warm start."),
    ] = None,
    judge: Annotated[
        bool,
        chooses(help="Judge it too: train once more on a part, ask for the rest."),
    ] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    *,
    learnt: TrainingOptions,
    together: ProcessOptions,
    done: JobSummary,
) -> None:
    """Train one channel on a listening log and write its model to a folder; or list the channels.

    Without a log it lists the channels, or the settings of CHANNEL. Iterative training can be
    interrupted: the same command resumes it. Several processes (--processes) give the same weights
    as one, even if some of them die during training. With --from, training goes on from the weights
    and settings of an earlier model, for fewer epochs.

    Examples
    --------
    audiorec recall train youtube-dnn    # its settings; without it, the channels
    audiorec recall train vs-knn --interactions plays.parquet --out model/
    audiorec recall train sasrec -i plays.csv --from yesterday/ --out today/
    """
    if interactions is None and output is None:
        _list(channel, json=json)
        return
    if channel is None or interactions is None or output is None:
        raise InputError("training needs CHANNEL, --interactions and --out")
    given = {
        "users": str(users) if users else None,
        "max_epochs": epochs,
        "seed": seed,
    }
    from audiorec.recall.registry import channel_class, load_channel

    kind = channel_class(channel)
    older = None if start is None else load_channel(start)
    made = with_recipe(kind, given, settings or (), older)
    together.check(kind)
    if together.launches:
        counts = together.train(
            channel,
            given,
            settings or (),
            learnt,
            interactions,
            output,
            quiet=quiet,
            start=start,
        )
        model_id = counts.pop("model_id")
    else:
        data = learnt.data(interactions)
        model_id = fit_and_save(made, data, output, quiet=quiet, start=older)
        counts = counts_of(made, data)
    done.count(**counts)
    document = {
        "schema": "audiorec/recall-train/1",
        "channel": channel,
        **counts,
        "model_id": model_id,
        "out": str(output),
    }
    if judge:
        again = with_recipe(kind, given, settings or (), older)
        document["judged"] = judged(again, learnt.data(interactions))
    if json:
        print_json(document)
    new = ""
    if older is not None:
        plays = f"{counts['later_plays']:,}" if "later_plays" in counts else "unknown"
        new = f" (added songs: {counts['added_songs']:,}; later plays: {plays})"
    say(
        f"{channel}: trained on {counts['plays']:,} plays of {counts['songs']:,} songs{new}: "
        f"{output}"
    )


@command(app)
@recorded("recall candidates", "output", by_day="file")
def candidates(
    model: ModelArgument,
    output: OutFileOption,
    interactions: OptionalLogOption = None,
    users: Annotated[
        Path | None,
        users_file(help="User embeddings in the model's space."),
    ] = None,
    vectors: Annotated[
        Path | None,
        store_file(help="Store: a copy of a heard song is heard too."),
    ] = None,
    allowed: Annotated[
        Path | None, reads(help="Only propose these songs: a file with one id per line.")
    ] = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
    *,
    question: CandidatesQuestion,
    asked: QueryOptions,
    engines: Engines,
    done: JobSummary,
) -> None:
    r"""Write the songs that a model proposes to each user, with rank and reason.

    Users come from a log, from profiles (--profiles), or from embeddings (--users). A user without
    a history to whom the model proposes nothing gets what is popular now in the log (channel
    default).

    Examples
    --------
    audiorec recall candidates model/ -i plays.parquet --out cands.parquet
    audiorec recall candidates model/ -i plays.parquet --k 20 --keep-heard \
        --out cands.parquet
    audiorec recall candidates model/ -i plays.parquet --allowed released.txt \
        --out cands.parquet
    """
    from audiorec.recall.registry import load_channel
    from audiorec.recall.serving.lists import ask_candidates

    channel = load_channel(model)
    if interactions is None and users is None and asked.profiles is None:
        raise InputError("no users given: use --interactions, --profiles or --users")
    log = asked.how.log(interactions) if interactions is not None else None
    only = read_lines(str(allowed), "cannot read the songs") if allowed else None
    with engines.work(quiet=quiet) as work:
        answer = ask_candidates(
            question,
            output,
            channel,
            asked.queries(log, channel, users),
            log=log,
            store=open_vectors(vectors) if vectors is not None else None,
            allowed=None if only is None else {line.strip() for line in only if line.strip()},
            engine=work.engine,
            progress=work.progress("blocks of users"),
            stop=work.stop,
        )
    if answer is None:
        raise stopped()
    done.count(users=answer.users, rows=answer.rows, default_users=answer.default_users)
    if json:
        print_json(answer.to_dict())
    for line in answer.remarks:
        if not (quiet and line.startswith("note:")):
            say(line)


def _first_line(kind: "type[Channel]") -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def run(
    config: Annotated[
        Path,
        writes(
            "--config",
            "-c",
            metavar="TOML",
            help="Settings with a table [recall].",
            takes_uri=True,
        ),
    ],
    day: Annotated[
        str | None,
        writes(metavar="DAY", help="Run as of the end of this day; write OUT/dt=DAY/."),
    ] = None,
    dry_run: Annotated[
        bool, chooses("--dry-run", help="Only print the steps, and the CPU time of each.")
    ] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    metrics_textfile: MetricsOption = None,
    *,
    engines: Engines,
) -> None:
    """Retrain stale models, and write a list of songs for every user.

    Steps that are up to date are skipped: the same command resumes an interrupted run, and ends at
    once if nothing has changed. With --day, the lists of that day are served from then on, unless
    they are worse than those of the day that is served, or the log has hardly a row of that day:
    then it ends with 3. It also ends with 3 if a channel failed; the lists are without it.

    Examples
    --------
    audiorec recall run --config recall.toml
    audiorec recall run --config recall.toml --dry-run
    audiorec recall run --config recall.toml --day 2026-11-25
    """
    from audiorec.listening.log_files import parse_day
    from audiorec.recall.serving.nightly.places import open_night

    opened = open_night(config, parse_day(day, "--day") if day else None)
    night, out = opened.job, opened.out
    if dry_run:
        _print_plan(night.steps(), night.run_id, json=json)
        return

    def tell(step: "Step") -> "LineProgress | None":
        if quiet:
            return None
        say(f"{step.name}: {step.makes}")
        return epoch_line

    with job("recall run", out, metrics_textfile, place=opened.record) as done:
        with graceful_stop("this step is", quiet=quiet) as stop, engines.work(quiet=quiet) as work:
            record = night.run(progress=tell, stop=work.stop or stop, engine=work.engine)
        if record is None:
            raise stopped()
        done.count(**_counts_of(record, night))
        decision = opened.promote()
        if decision is not None:
            done.count(served=int(decision.is_served))
            record |= {"promotion": asdict(decision)}
        if json:
            print_json(record)
        _say_odd(record, night, is_judged=decision is not None)
        if n := record["default_users"]:
            say(
                f"{n:,} users get the default list, what is popular now: "
                "no channel has songs for them"
            )
        for line in night.weights_said():
            say(line)
        _say_judged(record["judged"])
        parts = ", ".join(f"{name} {n:,}" for name, n in sorted(record["channels"].items()))
        say(
            f"run {record['run_id']}: {record['rows']:,} songs for {record['users']:,} users: "
            f"{out}; proposed by: {parts}; report: {join(out, 'report.md')}"
        )
        if decision is not None:
            say(_decided(decision, str(day), opened.root))
        if night.failed or (decision is not None and decision.is_refused):
            raise click.exceptions.Exit(Exit.SOME_FAILED)


def _counts_of(record: "Mapping[str, Any]", night: "NightlyJob") -> dict[str, float]:
    """Return the counts of a night that the record of runs keeps."""
    result = {name: record[name] for name in ("users", "rows", "cold", "default_users")}
    result |= record["lists"]
    result |= {name: n for name, n in record.get("log", {}).items() if name != "problems"}
    result |= {"failed_channels": len(night.failed)}
    for name, n in night.proposed().items():
        result[f"proposed/{name}"] = n
        if n:
            result[f"channels/{name}"] = record["channels"].get(name, 0)
    return result


def _say_odd(record: "Mapping[str, Any]", night: "NightlyJob", *, is_judged: bool) -> None:
    """Warn of what is odd about the log, and of channels that failed."""
    from audiorec.recall.serving.nightly.arrivals import remarks, too_few

    log = record.get("log", {})
    lines = remarks(log)
    if not is_judged and (few := too_few(log, night.plan.least_rows)):
        lines.append(few)
    lines += [
        f"channel {name} failed, and the lists are without it: {why}"
        for name, why in night.failed.items()
    ]
    for line in lines:
        say(f"warning: {line}")


def _decided(decision: "Decision", day: str, root: str) -> str:
    """Return what became of a day, in words."""
    if decision.is_served:
        return f"{day} is served: {decision.why}"
    line = f"{day} is not served: {decision.why}"
    by_hand = f"to serve it all the same: audiorec recall promote {root} --day {day}"
    return f"{line}; {by_hand}" if decision.is_refused else line


def promote(
    folder: Annotated[
        Path,
        writes(metavar="DIR", help="Output of recall run --day.", argument=True),
    ],
    day: Annotated[str | None, writes(metavar="DAY", help="Serve this day.")] = None,
    back: Annotated[bool, writes("--back", help="Serve the day that was served before.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the days of a nightly run and which one is served, or serve another one.

    A day that is taken back is not promoted by a later run. serve follows within seconds.

    Examples
    --------
    audiorec recall promote serving/
    audiorec recall promote serving/ --day 2026-11-25
    audiorec recall promote serving/ --back
    """
    from audiorec.listening.log_files import parse_day
    from audiorec.recall.serving.nightly.current import promote as promote_night

    if day is not None and back:
        raise InputError("give either --day or --back")
    if day is not None or back:
        result = promote_night(folder, parse_day(day, "--day") if day else None)
        say(f"{result.day} is served: {folder}")
        if not json:
            return
    from audiorec.recall.serving.nightly.promotion import nights_of

    nights = nights_of(folder)
    if json:
        print_json({"schema": "audiorec/recall-days/1", "days": nights})
        return
    rows = [tuple(one.values()) for one in nights]
    print_table(("day", "state", "compared"), rows, title=str(folder))


def _say_judged(judged: "Mapping[str, Any]") -> None:
    """Warn if fused lists are worse than those of one channel, as far as that is known."""
    from audiorec.recall.serving.nightly.promotion import fused_below

    for line in fused_below(judged):
        say(f"warning: {line}")
    if not judged["users"]:
        say("note: no lists of an earlier night to judge by plays since: channels not compared")


def _print_plan(steps: "list[Step]", run_id: str, *, json: bool) -> None:
    if json:
        shown: list[dict[str, Any]] = [
            {"step": s.name, "out": str(s.makes), "is_done": s.is_done, "cpu_s": s.cpu_s}
            for s in steps
        ]
        print_json({"schema": "audiorec/recall-plan/1", "run_id": run_id, "steps": shown})
        return
    rows = [
        (s.name, "up to date" if s.is_done else "to do", "" if s.cpu_s is None else s.cpu_s)
        for s in steps
    ]
    print_table(("step", "state", "last CPU-s"), rows, title=f"run {run_id}")
    ahead = [step for step in steps if not step.is_done]
    known = [step.cpu_s for step in ahead if step.cpu_s is not None]
    new = len(ahead) - len(known)
    unknown = f"; {new} have never run, so their cost is unknown" if new else ""
    say(f"{len(ahead)} of {len(steps)} steps to do, about {sum(known):,.1f} CPU-s{unknown}")


command(app, "evaluate")(recall_judge.evaluate)
command(app, "users")(recall_space.users)
command(app, "songs")(recall_space.songs)
command(app, "fuse")(recall_lists.fuse)
command(app, "tune")(recall_lists.tune)
command(app, "run")(run)
command(app, "promote")(promote)
command(app, "export")(export)

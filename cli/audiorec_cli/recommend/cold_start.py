"""``audiorec cold-start``: match new songs with users, as audiences or as lists."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from audiorec.options import argument, chooses, reads
from audiorec.recall.serving.answers import KEEP_HEARD
from audiorec_cli.shared.console import print_document, print_table, say
from audiorec_cli.shared.inputs import InputKind, check, usual_vectors
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.listening import RuleOption, SkipBadRowsOption
from audiorec_cli.shared.options import (
    ADVANCED,
    Engines,
    JsonOption,
    QuietOption,
    log_file,
    out_file,
    store_file,
)
from audiorec_cli.shared.progress import graceful_stop, progress_lines, stopped

if TYPE_CHECKING:
    from audiorec.recall.cold_start.assign import ColdStartPlan
    from audiorec.recall.cold_start.sides import ColdStartFiles, ColdStartInputs
    from audiorec.recall.cold_start.tables import SummaryList

LENGTH = {"audience": 1000, "songs": 50}  # of a list
NAMES_SHOWN = 5  # songs named in a remark
LEAST = "--minimum"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStartOptions:
    """Options of both commands: songs, users, listening, and limits."""

    songs: Annotated[Path, reads(help="New songs: embeddings.parquet with --users, else a store.")]
    users: Annotated[
        Path | None,
        chooses(
            holds=InputKind.USERS,
            help="User embeddings; without them, users are compared by vector.",
        ),
    ] = None
    vectors: Annotated[
        Path | None,
        store_file(help="Store of known songs [default: $AUDIOREC_VECTORS, else vecs.parquet]."),
    ] = None
    interactions: Annotated[
        Path | None, log_file(help="Listening log, for tastes and to exclude heard songs.")
    ] = None
    minimum: Annotated[
        float, chooses(min=-1, max=1, help="Minimum similarity; -1: every pair.", panel=ADVANCED)
    ] = 0.0
    per_user: Annotated[
        int | None, chooses(min=1, help="Most audiences of a user.", panel=ADVANCED)
    ] = None
    per_song: Annotated[
        int | None, chooses(min=1, help="Most users' lists of a song.", panel=ADVANCED)
    ] = None
    per_artist: Annotated[
        int | None, chooses(min=1, help="Most songs of one artist per user.", panel=ADVANCED)
    ] = None
    quota: Annotated[
        int,
        chooses(min=0, help="Users given to every song before similarity decides.", panel=ADVANCED),
    ] = 0
    half_life_days: Annotated[
        float,
        chooses(
            min=0,
            help="Days in which a like loses half its weight in a taste; 0: none is lost.",
            panel=ADVANCED,
        ),
    ] = 90.0
    no_tastes: Annotated[
        bool, chooses(help="Leave out the file of the users' tastes, for a ranker.", panel=ADVANCED)
    ] = False
    keep_known: Annotated[bool, chooses(help="Keep copies of known songs.", panel=ADVANCED)] = False
    include_non_music: Annotated[
        bool, chooses(help="Keep speech, noise, silence and jingles.", panel=ADVANCED)
    ] = False
    quiet: QuietOption = False
    json: JsonOption = False
    artists: Annotated[
        Path | None,
        reads(help="Table of song_id and artist, if --songs has no artists.", panel=ADVANCED),
    ] = None
    keep_heard: Annotated[bool, KEEP_HEARD] = False
    rule: RuleOption = None
    skip_bad_rows: SkipBadRowsOption = False

    def run(
        self,
        lists: Literal["audience", "songs"],
        k: int,
        output: Path,
        summary: JobSummary,
        engines: Engines,
    ) -> None:
        """Build the lists and print a summary."""
        from audiorec.listening.reading import LogReading
        from audiorec.recall.cold_start.assign import ColdStartPlan
        from audiorec.recall.cold_start.matching import ColdStart
        from audiorec.recall.cold_start.sides import ColdStartFiles, open_inputs

        plan = ColdStartPlan(
            lists=lists,
            k=k,
            minimum=self.minimum,
            per_user=self.per_user,
            per_song=self.per_song,
            per_artist=self.per_artist,
            quota=self.quota,
        )
        files = ColdStartFiles(
            songs=self.songs,
            users=self.users,
            vectors=self.vectors or usual_vectors("known songs:"),
            interactions=self.interactions,
            artists=self.artists,
            reading=LogReading(rule=self.rule, skip_bad_rows=self.skip_bad_rows),
            keep_heard=self.keep_heard,
            half_life_days=self.half_life_days or None,
            tastes=not self.no_tastes,
            keep_known=self.keep_known,
            include_non_music=self.include_non_music,
        )
        _check(files)
        inputs = open_inputs(files)
        _say_screened(inputs, files)
        job = ColdStart(
            inputs.songs,
            inputs.users,
            plan,
            heard=inputs.heard,
            tastes=inputs.tastes,
            inputs=files.identity(),
        )
        quiet = self.quiet
        with graceful_stop("this block is", quiet=quiet) as stop, engines.work(quiet=quiet) as work:
            by: dict[str, Any] = {"stop": work.stop or stop, "engine": work.engine}
            done = job.run(output, progress=progress_lines(quiet=quiet), **by)
        if not done:
            raise stopped()
        summary.count(**_report(plan, files.compares, inputs, output, json=self.json))


def usual_output(values: Mapping[str, Any]) -> Path:
    """Return the file that is written unless --out names one."""
    return Path("audience.parquet" if values["lists"] == "audience" else "lists.parquet")


@recorded("cold-start", "output", usual=usual_output)
def cold_start(
    lists: Annotated[
        Literal["audience", "songs"],
        argument(
            metavar="audience|songs",
            help="The users to show each new song to, or the new songs to show each user.",
        ),
    ],
    k: Annotated[
        int | None,
        chooses("--k", "-k", min=1, help="Length of a list [default: 1000 users, 50 songs]."),
    ] = None,
    output: Annotated[
        Path | None, out_file(help="The file [default: audience.parquet, or lists.parquet].")
    ] = None,
    *,
    asked: ColdStartOptions,
    engines: Engines,
    done: JobSummary,
) -> None:
    r"""Recommend songs without listening data: an audience for each new song, or songs for users.

    Copies of known songs, speech, noise, silence and jingles are left out. The job can be
    interrupted at any time: the same command resumes it.

    Examples
    --------
    audiorec cold-start audience --songs new.parquet --interactions plays.csv \
        --per-user 5 --per-artist 1
    audiorec cold-start audience --songs embeddings.parquet --users users.parquet
    audiorec cold-start songs --songs embeddings.parquet --users users.parquet \
        --interactions plays.csv --k 20 --out lists.parquet
    """
    asked.run(lists, k or LENGTH[lists], output or usual_output({"lists": lists}), done, engines)


def _check(files: "ColdStartFiles") -> None:
    """Refuse files of the wrong kind before any is read; name the command that makes the right."""
    if files.compares == "embedding":
        check(files.songs, InputKind.SONGS)
    elif files.users is None:  # otherwise `open_inputs` reports the contradiction
        check(files.songs, InputKind.VECTORS)
    check(files.vectors, InputKind.VECTORS)


def _report(
    plan: "ColdStartPlan",
    by: str,
    inputs: "ColdStartInputs",
    output: Path,
    *,
    json: bool,
) -> dict[str, int]:
    """Print counts and the first lists, with song names; return the counts."""
    from audiorec.recall.cold_start.tables import summarise_lists, tastes_path

    lists = summarise_lists(output, plan.k)
    document = {
        "schema": "audiorec/cold-start/2",
        "lists": plan.lists,
        "by": by,
        "songs": len(inputs.songs),
        "users": len(inputs.users),
        "rows": lists.rows,
        "lists_with_candidates": lists.filled,
        "lists_of_full_length": lists.full,
        "minimum": plan.minimum,
        "users_without_taste": inputs.strangers,
        "simulated": inputs.simulated,
        "out": str(output),
        "tastes": None if inputs.tastes is None else str(tastes_path(output)),
    }
    if json:
        more = {
            "known_audio": [asdict(song) for song in inputs.screening.known],
            "not_music": list(inputs.screening.not_music),
            "first_lists": [asdict(shown) for shown in lists.shown],
        }
        print_document({**document, **more}, json=True, title="")
    else:
        print_document(document, json=False, title="cold start")
        _print_lists(plan.lists, lists.shown, inputs)
    _remarks(document, _exclusions(plan, inputs))
    counts = {"songs": len(inputs.songs), "users": len(inputs.users)}
    return {**counts, "rows": lists.rows, "lists": lists.filled}


def _print_lists(
    lists: str,
    shown: "Sequence[SummaryList]",
    inputs: "ColdStartInputs",
) -> None:
    """Print the first lists, with song names."""
    if not shown:
        return
    name = dict(zip(inputs.songs.ids, map(_name, *_titles(inputs)), strict=True))
    if lists == "audience":
        rows = [(name[s.of], s.length, s.best, s.first[0]) for s in shown]
        print_table(("song", "users", "best", "first user"), rows, title="audiences")
    else:
        rows = [(s.of, s.length, s.best, "; ".join(name[f] for f in s.first)) for s in shown]
        print_table(("user", "songs", "best", "first songs"), rows, title="lists")


def _titles(inputs: "ColdStartInputs") -> "tuple[Sequence[str | None], ...]":
    return inputs.songs.ids, inputs.facts.artist, inputs.facts.title


def _name(song_id: str | None, artist: str | None, title: str | None) -> str:
    """Return artist and title of a song, or its id if it has no title."""
    if not title:
        return str(song_id)
    return f"{artist}: {title}" if artist else title


def _say_screened(inputs: "ColdStartInputs", kept: "ColdStartFiles") -> None:
    """Report the songs that are not new or not music, and whether they are kept."""
    known, noise = inputs.screening.known, inputs.screening.not_music
    of = f"of {inputs.offered} new songs"
    if known:
        names = _some([f"{song.song_id} is {song.same_as}" for song in known])
        left = "kept" if kept.keep_known else "left out; --keep-known keeps them"
        say(f"{len(known)} {of} are copies of known songs ({names}): {left}")
    if noise:
        left = "kept" if kept.include_non_music else "left out; --include-non-music keeps them"
        say(f"{len(noise)} {of} are speech, noise, silence or jingles ({_some(noise)}): {left}")


def _some(names: "Sequence[str]") -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _exclusions(plan: "ColdStartPlan", inputs: "ColdStartInputs") -> str:
    """Return what may have excluded the candidates of an empty list, in words."""
    limits = (plan.per_user, plan.per_song, plan.per_artist)
    exclusions = ["limits"] if any(limits) else []
    exclusions += ["heard songs"] if inputs.heard is not None and len(inputs.heard[0]) else []
    exclusions += (
        [f"the minimum similarity {plan.minimum:g} ({LEAST})"] if plan.minimum > -1 else []
    )
    return " or ".join(exclusions)


def _remarks(document: dict[str, Any], exclusions: str) -> None:
    if document["simulated"]:
        say("note: simulated listening")
    strangers = document["users_without_taste"]
    if strangers and document["by"] == "vector":
        say(f"{strangers} users like no song of the store and are left out; --users includes all")
    elif strangers:
        say(f"{strangers} users like no song of the store, so they have no tastes for a ranker")
    wanted = document["songs"] if document["lists"] == "audience" else document["users"]
    empty = wanted - document["lists_with_candidates"]
    if empty:
        why = f"excluded by {exclusions}" if exclusions else "they have no candidates"
        say(f"{empty} of {wanted} lists are empty: {why}")
    else:
        say(f"minimum similarity {document['minimum']:g} ({LEAST})")
    tastes = f"; tastes for a ranker: {document['tastes']}" if document["tastes"] else ""
    say(f"lists: {document['out']}{tastes}")

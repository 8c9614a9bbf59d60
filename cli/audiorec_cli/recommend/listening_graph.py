"""``audiorec listening graph``: write facts about songs, for channels trained on a graph."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from audiorec.errors import InputError
from audiorec.options import chooses
from audiorec_cli.shared.console import print_json, print_table, say
from audiorec_cli.shared.inputs import InputKind, check, open_vectors
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.listening import RuleOption, SkipBadRowsOption
from audiorec_cli.shared.options import (
    ADVANCED,
    JsonOption,
    OutFileOption,
    SideOption,
    SongStoreOption,
    log_file,
)

if TYPE_CHECKING:
    from audiorec.listening.events import Interactions
    from audiorec.listening.reading import LogReading
    from audiorec.listening.side import Triples
    from audiorec.recall.graph.facts import FactSettings

FACT_KINDS = ("lists", "likes", "follows")


@recorded("listening graph", "output")
def graph(
    output: OutFileOption,
    side: SideOption = None,
    vectors: SongStoreOption = None,
    interactions: Annotated[
        Path | None, log_file(help="A log; columns that only name its lists are refused.")
    ] = None,
    facts: Annotated[
        list[str] | None,
        chooses(help="Facts from the log: lists, likes, follows (repeatable)."),
    ] = None,
    columns: Annotated[
        list[str] | None,
        chooses(
            help="Only these columns of side information, and year (repeatable).", panel=ADVANCED
        ),
    ] = None,
    neighbours: Annotated[
        int, chooses(min=0, help="Similar-sounding songs of each song; 0: none.", panel=ADVANCED)
    ] = 10,
    minimum: Annotated[
        float, chooses(help="Minimum similarity of similar-sounding songs.", panel=ADVANCED)
    ] = 0.0,
    form: Annotated[
        Literal["hub", "pairwise"],
        chooses(help="One fact per song and hub, or per pair of songs.", panel=ADVANCED),
    ] = "hub",
    rule: RuleOption = None,
    skip_bad_rows: SkipBadRowsOption = False,
    json: JsonOption = False,
    *,
    done: JobSummary,
) -> None:
    """Write facts about songs: head, relation, tail and weight.

    Facts come from side information, from similarity of sound, and from lists, likes and follows.
    Columns that only name the playlist of a song are refused.

    Examples
    --------
    audiorec listening graph --vectors vecs.parquet --out triples.parquet
    audiorec listening graph --side side.csv --columns artist --out t.parquet
    audiorec listening graph -i plays.csv --facts likes --out triples.parquet
    """
    from audiorec.listening.reading import LogReading
    from audiorec.listening.side import describe_triples
    from audiorec.recall.graph.facts import FactSettings, counts_of, joined, write_triples

    for name in facts or ():
        if name not in FACT_KINDS:
            raise InputError(f"--facts must be one of {', '.join(FACT_KINDS)}, got {name!r}")
    if facts and interactions is None:
        raise InputError("--facts needs a log: give --interactions")
    if side is None and vectors is None and not facts:
        raise InputError("no source of facts: give --side, --vectors or --facts")
    how = LogReading(rule=rule, skip_bad_rows=skip_bad_rows)
    log = None if interactions is None else how.log(interactions)
    settings = FactSettings(
        columns=tuple(columns or ()), neighbours=neighbours, minimum=minimum, form=form
    )
    parts = _known_facts(side, vectors, log, settings)
    parts += _log_facts(log, facts or (), how)
    result = joined(parts)
    if not len(result):
        raise InputError("no facts found: the sources contain none")
    write_triples(output, result)
    done.count(rows=len(result))
    if json:
        document = {
            "schema": "audiorec/graph/1",
            "out": str(output),
            **describe_triples(result),
        }
        print_json(document)
    else:
        heads = ("relation", "facts", "heads", "tails")
        print_table(heads, counts_of(result), title=str(output))
    say(f"{len(result):,} facts: {output}")


def _known_facts(
    side: Path | None,
    vectors: Path | None,
    log: "Interactions | None",
    how: "FactSettings",
) -> "list[Triples]":
    """Return facts from side information and a store; refuse columns that leak lists."""
    from audiorec.listening.sequences import to_sequences
    from audiorec.listening.side import known_side
    from audiorec.recall.contract.data import Sound
    from audiorec.recall.graph.facts import refuse_leaks, side_facts, sound_facts

    check(vectors, InputKind.VECTORS)
    store = open_vectors(vectors) if vectors is not None else None
    known = known_side(side, store)
    sound = None if store is None else Sound.of_store(store)
    parts: list[Any] = []
    if known is not None:
        if log is not None:
            refuse_leaks(known, to_sequences(log, by="list"), how.columns)
        parts.append(side_facts(known, form=how.form, columns=how.columns))
    if sound is not None:
        parts.append(sound_facts(sound, neighbours=how.neighbours, minimum=how.minimum))
    return parts


def _log_facts(
    log: "Interactions | None", facts: "Sequence[str]", how: "LogReading"
) -> "list[Triples]":
    """Return facts from lists, likes and follows."""
    if log is None or not facts:
        return []

    parts = []
    from audiorec.listening.sequences import to_sequences
    from audiorec.recall.graph.facts import follow_facts, list_facts

    if "lists" in facts:
        parts.append(list_facts(to_sequences(log, by="list")))
    if "likes" in facts:
        parts.append(list_facts(how.liked(log).liked, relation="liked_by", kind="user"))
    if "follows" in facts:
        parts.append(follow_facts(log))
    return parts

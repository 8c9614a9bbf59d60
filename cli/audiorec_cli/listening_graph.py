"""``audiorec listening graph``: write facts about songs, for channels trained on a graph."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.console import print_json, print_table, say
from audiorec_cli.shared.inputs import InputKind, check
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.options import JsonOption, OutFileOption, more
from audiorec_cli.shared.stores import open_vectors

if TYPE_CHECKING:
    from audiorec.listening.side import Triples

FormName = Literal["hub", "pairwise"]
FACT_KINDS = ("lists", "likes", "follows")


@recorded("listening graph", "output")
def graph(
    output: OutFileOption,
    side: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Song metadata: artist, album, genre, language, released."
        ),
    ] = None,
    vectors: Annotated[
        Path | None,
        typer.Option(
            "--vectors", "-v", metavar="STORE", help="Sound, tags and head classes of the songs."
        ),
    ] = None,
    interactions: Annotated[
        Path | None,
        typer.Option(
            "--interactions",
            "-i",
            metavar="LOG",
            help="A log; columns that only name its lists are refused.",
        ),
    ] = None,
    facts: Annotated[
        list[str] | None,
        typer.Option(help="Facts from the log: lists, likes, follows (repeatable)."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Only these columns, and year (repeatable) [default: all]."),
    ] = None,
    neighbours: Annotated[
        int, typer.Option(min=0, help="Similar-sounding songs per song; 0: none.")
    ] = 10,
    form: Annotated[
        FormName, typer.Option(help="One fact per song and hub, or per pair of songs.")
    ] = "hub",
    json: JsonOption = False,
    minimum: Annotated[
        float, more(min=0, max=1, help="Minimum similarity of similar-sounding songs.")
    ] = 0.0,
    skip_bad_rows: Annotated[
        bool, more("--skip-bad-rows", help="Skip rows that cannot be used.")
    ] = False,
    *,
    done: JobSummary,
) -> None:
    """Write facts about songs: head, relation, tail and weight.

    Facts come from side information, from similarity of sound, and from lists, likes and follows.
    Columns that only name the playlist of a song are refused.

    Examples
    --------
    audiorec listening graph --vectors vecs.parquet --out triples.parquet
    audiorec listening graph --side side.csv --column artist --out triples.parquet
    audiorec listening graph -i plays.csv --facts likes --out triples.parquet
    """
    from audiorec.listening.side import describe_triples
    from audiorec.recall.graph.facts import counts_of, joined, write_triples

    for name in facts or ():
        if name not in FACT_KINDS:
            raise InputError(f"--facts must be one of {', '.join(FACT_KINDS)}, got {name!r}")
    check(interactions, InputKind.LOG)
    if facts and interactions is None:
        raise InputError("--facts needs a log: give --interactions")
    if side is None and vectors is None and not facts:
        raise InputError("no source of facts: give --side, --vectors or --facts")
    parts = _known_facts(
        side, vectors, interactions, column, neighbours, minimum, form, skip_bad_rows
    )
    parts += _log_facts(interactions, facts or [], skip_bad_rows)
    found = joined(parts)
    if not len(found):
        raise InputError("no facts found: the sources contain none")
    write_triples(output, found)
    done.count(rows=len(found))
    if json:
        document = {"schema": "audiorec/graph/1", "out": str(output), **describe_triples(found)}
        print_json(document)
    else:
        heads = ("relation", "facts", "heads", "tails")
        print_table(heads, counts_of(found), title=str(output))
    say(f"{len(found):,} facts: {output}")


def _known_facts(
    side: Path | None,
    vectors: Path | None,
    log: Path | None,
    columns: list[str] | None,
    neighbours: int,
    minimum: float,
    form: FormName,
    skip_bad_rows: bool,
) -> "list[Triples]":
    """Return facts from side information and a store; refuse columns that leak lists."""
    from audiorec.listening.side import fill_missing, read_side, side_of_store
    from audiorec.recall.contract.data import Sound
    from audiorec.recall.graph.facts import refuse_leaks, side_facts, sound_facts

    known = read_side(side) if side else None
    sound = None
    if vectors is not None:
        check(vectors, InputKind.VECTORS)
        store = open_vectors(vectors)
        heard = side_of_store(store)
        known = fill_missing(known, heard) if known is not None else heard
        sound = Sound.of_store(store)
    parts: list[Any] = []
    if known is not None:
        if log is not None:
            refuse_leaks(known, _lists(log, skip_bad_rows), columns or ())
        parts.append(side_facts(known, form=form, columns=columns or ()))
    if sound is not None:
        parts.append(sound_facts(sound, neighbours=neighbours, minimum=minimum))
    return parts


def _lists(log: Path, skip_bad_rows: bool) -> Any:
    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.sequences import to_sequences

    return to_sequences(read_interactions(log, skip_bad_rows=skip_bad_rows), by="list")


def _log_facts(log: Path | None, facts: list[str], skip_bad_rows: bool) -> "list[Triples]":
    """Return facts from lists, likes and follows."""
    if log is None or not facts:
        return []
    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.likes import to_liked
    from audiorec.listening.sequences import to_sequences
    from audiorec.recall.graph.facts import follow_facts, list_facts

    read = read_interactions(log, skip_bad_rows=skip_bad_rows)
    parts = []
    if "lists" in facts:
        parts.append(list_facts(to_sequences(read, by="list")))
    if "likes" in facts:
        parts.append(list_facts(to_liked(read).liked, relation="liked_by", kind="user"))
    if "follows" in facts:
        parts.append(follow_facts(read))
    return parts

"""``audiorec interactions``: look at a listening log before anything is made of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiorec_cli.shared.console import Exit, out, print_json, print_table, say

if TYPE_CHECKING:
    from audiorec.listening.events import Interactions
    from audiorec.listening.rule import Rule

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look at listening logs.",
)

RuleOption = Annotated[
    Path | None,
    typer.Option("--rule", help="TOML or JSON: what makes a song liked or disliked."),
]


@app.callback()
def root() -> None:
    """Look at listening logs."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Parquet, .csv or .csv.gz.")],
    vectors: Annotated[
        Path | None, typer.Option("--vectors", "-v", help="A store to match the song ids with.")
    ] = None,
    rule: RuleOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Count rows, users, songs and mistakes, and what the rule makes of them.

    Exits with 3 if rows cannot be used or no song id is in the store, with 4 if nothing in
    the file can be used.
    """
    from audiorec.errors import InputError
    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.rule import Rule, load_rule
    from audiorec.search.library import Library

    loaded = load_rule(rule) if rule else Rule()
    store = Library.open(vectors) if vectors else None
    try:
        log = read_interactions(file, skip_bad_rows=True)
    except InputError as error:
        say(f"error: {error}")
        raise typer.Exit(Exit.NOTHING_USABLE) from error
    document = _document(file, log, loaded, store.ids if store else None)
    if json:
        print_json(document)
    else:
        _print(document)
    unknown = store is not None and document["store"]["songs_matched"] == 0
    if unknown:
        say(f"no song id of {file} is in {vectors}: both need the same ids")
    if log.problems or unknown:
        raise typer.Exit(Exit.SOME_FAILED)


def _document(
    file: Path, log: "Interactions", rule: "Rule", song_ids: tuple[str, ...] | None
) -> dict[str, Any]:
    from dataclasses import asdict

    from audiorec.listening.check import count_verdicts, describe, match

    document = {"schema": "audiorec/interactions/1", "file": str(file), **describe(log)}
    if song_ids is not None:
        document["store"] = match(log, frozenset(song_ids))
    known = None if song_ids is None else frozenset(song_ids)
    document["rule"] = asdict(count_verdicts(log, rule, song_ids=known))
    return document


def _print(document: dict[str, Any]) -> None:
    plain = ("rows", "usable", "users", "songs", "first", "last", "duplicates")
    rows: list[tuple[str, object]] = [(name, document[name]) for name in plain]
    rows += [(f"event {name}", count) for name, count in document["events"].items()]
    rows.append(("listenings with played_ratio", document["listenings_with_played_ratio"]))
    matched = document.get("store", {})
    rows += [(f"store: {n}", v) for n, v in matched.items() if not isinstance(v, list)]
    rows += [(f"rule: {name}", count) for name, count in document["rule"].items()]
    print_table(("what", "value"), rows, title=document["file"])
    for absent in matched.get("most_frequent_unmatched", ()):
        out("not in the store", absent["song_id"], absent["rows"])
    for problem in document["problems"]:
        rows_named = ", ".join(map(str, problem["rows"]))
        more = ", …" if problem["count"] > len(problem["rows"]) else ""
        say(
            f"{problem['kind']}: {problem['count']} (rows {rows_named}{more}), "
            f"for example {problem['example']!r}"
        )
    if document["simulated"]:
        say("note: simulated listening")

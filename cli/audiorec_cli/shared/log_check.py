"""The counts of ``audiorec listening check``, and how they are printed."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiorec_cli.shared.console import out, print_table, say

if TYPE_CHECKING:
    from audiorec.listening.rule import Rule

COUNTS = (
    "no timestamp: a log of counts, which has no order. Channels and splits that need one do not "
    "fit: recall evaluate als item-knn --split random"
)


def counted_log(file: Path, rule: "Rule", song_ids: tuple[str, ...] | None) -> dict[str, Any]:
    """Read a log; count its content, its matches with a store, and likes by a rule."""
    from dataclasses import asdict

    from audiorec.listening.check import count_verdicts, describe, match_songs
    from audiorec.listening.interactions import read_interactions

    log = read_interactions(file, skip_bad_rows=True)
    document = {"schema": "audiorec/interactions/1", "file": str(file), **describe(log)}
    if song_ids is not None:
        document["store"] = match_songs(log, frozenset(song_ids))
    known = None if song_ids is None else frozenset(song_ids)
    document["rule"] = asdict(count_verdicts(log, rule, song_ids=known))
    return document


def counted_table(file: Path, kind: str, song_ids: tuple[str, ...] | None) -> dict[str, Any]:
    """Read side information, triples, candidates or targets, and count the content."""
    from audiorec.listening.side import (
        describe_side,
        describe_triples,
        read_side,
        read_triples,
        type_of,
    )
    from audiorec.recall.contract.candidates import read_candidates, read_targets

    counts: dict[str, Any]
    if kind == "side":
        side = read_side(file)
        named, counts = set(side.song_ids), describe_side(side)
    elif kind == "triples":
        facts = read_triples(file)
        counts = describe_triples(facts)
        named = {i.partition(":")[2] for i in facts.entity_ids if type_of(i) == "song"}
    else:
        if kind == "targets":
            lists, groups = read_targets(file)
            counts = {"groups": len(set(groups.tolist()))}
        else:
            found = read_candidates(file)
            lists, counts = found.ranked, {"channel": found.channel}
        lengths, named = lists.lengths, set(lists.song_ids)
        counts |= {"rows": len(lists.song), "users": len(lengths), "songs": len(named)}
        counts |= {
            "shortest": int(min(lengths, default=0)),
            "longest": int(max(lengths, default=0)),
        }
    document = {"schema": f"audiorec/{kind}/1", "file": str(file), **counts}
    if song_ids is not None:
        matched = len(named & set(song_ids))
        document["store"] = {"songs_of_store": len(song_ids), "songs_matched": matched}
        document["store"]["songs_unmatched"] = len(named) - matched
    return document


def flat(document: dict[str, Any], before: str = "") -> "Iterator[tuple[str, object]]":
    """Yield the names and values of a nested document, without ``schema`` and ``file``."""
    for name, value in document.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name} ")
        elif name not in ("schema", "file"):
            yield f"{before}{name}", "" if value is None else value


def print_log_check(document: dict[str, Any]) -> None:
    """Print the result of `counted_log`."""
    plain = ("kind", "rows", "usable", "users", "songs", "first", "last", "duplicates")
    rows: list[tuple[str, object]] = [(name, document[name]) for name in plain]
    rows += [(f"event {name}", count) for name, count in document["events"].items()]
    rows += [
        (f"says nothing: {name}", count["rows"]) for name, count in document["says_nothing"].items()
    ]
    rows.append(("listenings with played_ratio", document["listenings_with_played_ratio"]))
    rows += [(f"deliveries: {n}", count) for n, count in document.get("deliveries", {}).items()]
    matched = document.get("store", {})
    rows += [(f"store: {n}", v) for n, v in matched.items() if not isinstance(v, list)]
    rows += [(f"rule: {name}", count) for name, count in document["rule"].items()]
    print_table(("what", "value"), rows, title=document["file"])
    for absent in matched.get("most_frequent_unmatched", ()):
        out("not in the store", absent["song_id"], absent["rows"])
    for problem in document["problems"]:
        rows_named = ", ".join(map(str, problem["rows"]))
        more = ", …" if problem["count"] > len(problem["rows"]) else ""
        of_file = f" of {problem['file']}" if "file" in problem else ""
        say(
            f"{problem['kind']}: {problem['count']} (rows {rows_named}{more}{of_file}), "
            f"for example {problem['example']!r}"
        )
    if document["kind"] == "counts":
        say(f"note: {COUNTS}")
    if document["simulated"]:
        say("note: simulated listening")

"""``audiorec duplicates``: report the same audio stored more than once."""

from typing import TYPE_CHECKING, Any

from audiorec_cli.shared.console import counted, duration, print_json, print_table, say
from audiorec_cli.shared.inputs import VectorsOption, open_vectors
from audiorec_cli.shared.options import JsonOption

if TYPE_CHECKING:
    from audiorec.library.library import Library
    from audiorec.search.copies import Group

COLUMNS = ("group", "verdict", "distance", "song_id", "codec", "rate", "size", "length", "surplus")


def duplicates(
    vectors: VectorsOption = None,
    json: JsonOption = False,
) -> None:
    """List the recordings that a library holds more than once, the copy that lists show first.

    identical: the same audio packets. likely: lengths, versions and sounds agree. A copy is surplus
    only if its original is known. Nothing is changed.

    Examples
    --------
    audiorec duplicates
    audiorec duplicates --vectors vecs.parquet
    audiorec duplicates --json
    """
    from audiorec.search.copies import find_duplicates, not_compared

    store = open_vectors(vectors, empty=False)
    if note := not_compared(store):
        say(f"note: {note}")
    groups = find_duplicates(store)
    if json:
        print_json(_document(store, groups))
    else:
        lines = [line for n, group in enumerate(groups, 1) for line in _lines(store, n, group)]
        print_table(COLUMNS, lines, title="copies")
    _say_summary(store, groups)


def _lines(store: "Library", number: int, group: "Group") -> list[tuple[object, ...]]:
    lines: list[tuple[object, ...]] = []
    for row, song in zip(group.rows, store.rows(group.rows), strict=True):
        known = [p.distance for p in group.pairs if row in p.rows and p.distance is not None]
        lines.append(
            (
                number,
                group.verdict.value,
                min(known) if known else None,
                song["song_id"],
                song["codec"],
                song["source_rate"],
                song["size"],
                duration(float(song["duration_s"])),
                group.surplus.get(song["song_id"], group.why and f"? {group.why}"),
            )
        )
    return lines


def _document(store: "Library", groups: "list[Group]") -> dict[str, Any]:
    fields = ("song_id", "uri", "codec", "source_rate", "size", "duration_s", "content_hash")
    return {
        "schema": "audiorec/duplicates/3",
        "vectors": str(store.path),
        "extractor_id": store.metadata.extractor_id,
        "groups": [
            {
                "verdict": group.verdict.value,
                "kept": group.kept,
                "why": group.why,
                "songs": [
                    {f: song[f] for f in fields} | {"surplus": group.surplus.get(song["song_id"])}
                    for song in store.rows(group.rows)
                ],
                "pairs": [
                    {
                        "songs": [store.ids[row] for row in pair.rows],
                        "verdict": pair.verdict.value,
                        "distance": None if pair.distance is None else round(pair.distance, 6),
                        "length_difference_s": round(pair.length_difference_s, 3),
                    }
                    for pair in group.pairs
                ],
            }
            for group in groups
        ],
    }


def _say_summary(store: "Library", groups: "list[Group]") -> None:
    surplus = sum(len(group.surplus) for group in groups)
    counts = ", ".join(
        f"{n} {verdict}"
        for verdict in ("identical", "likely")
        if (n := sum(group.verdict == verdict for group in groups))
    )
    say(
        f"{counted(len(store), 'song')}, {counted(len(groups), 'recording')} with copies"
        + (f" ({counts}), {counted(surplus, 'surplus song')}" if groups else "")
    )

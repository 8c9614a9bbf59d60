"""``audiorec info``: what a store holds, or what it knows of one song."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiorec_cli.shared.console import cell, duration, out, print_json
from audiorec_cli.shared.stores import VectorsOption, open_vectors

if TYPE_CHECKING:
    from audiorec.search.library import Library


def info(
    song: Annotated[
        str | None, typer.Argument(help="A song id or a unique part of one; none: the store.")
    ] = None,
    vectors: VectorsOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Describe a store: songs, statuses, classes, what made it. Or one song of it."""
    store = open_vectors(vectors)
    document = _describe(store) if song is None else _describe_song(store, store.resolve(song))
    if json:
        print_json(document)
        return
    for name, value in document.items():
        if name != "schema":
            out(f"{name.replace('_', ' ')}: {_text(value)}")


def _describe(store: "Library") -> dict[str, Any]:
    metadata = store.metadata
    durations = store.column("duration_s").to_pylist()
    return {
        "schema": "audiorec/info/1",
        "vectors": str(store.path),
        "songs": len(store),
        "statuses": dict(Counter(store.column("status").to_pylist()).most_common()),
        "codecs": dict(Counter(store.column("codec").to_pylist()).most_common()),
        "audio": duration(sum(durations)),
        "dimension": metadata.dimension,
        "classes": list(metadata.classes),
        "statistics": list(metadata.statistics),
        "extractor_id": metadata.extractor_id,
        "created_by": metadata.created_by,
        "format_version": metadata.format_version,
        "weights": [f"{w['name']} {w['sha256'][:12]} ({w['licence']})" for w in metadata.weights],
        "packages": dict(metadata.packages),
    }


def _describe_song(store: "Library", song_id: str) -> dict[str, Any]:
    """Return the song's columns, and the mean of its scores class by class."""
    metadata = store.metadata
    by_class = store.vector(song_id).reshape(len(metadata.classes), -1)
    means = by_class[:, metadata.statistics.index("mean")]
    mean_scores: dict[str, dict[str, float]] = {}
    for name, value in zip(metadata.classes, means, strict=True):
        head, _, label = name.partition("/")
        mean_scores.setdefault(head, {})[label] = round(float(value), 4)
    ordered = {h: dict(sorted(s.items(), key=lambda i: -i[1])) for h, s in mean_scores.items()}
    return {"schema": "audiorec/song/1", **store.row(song_id), "mean_scores": ordered}


def _text(value: object) -> str:
    """Nested values on one line, as a person would write them."""
    if isinstance(value, dict):
        return ", ".join(
            f"{k} [{_text(v)}]" if isinstance(v, dict) else f"{k} {_short(v)}"
            for k, v in value.items()
        )
    if isinstance(value, list):
        return ", ".join(map(_short, value))
    return _short(value)


def _short(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else cell(value)

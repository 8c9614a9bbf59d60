"""``audiorec info`` and ``store info``: what a store holds, or what it knows of one song."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiorec_cli.shared.console import cell, duration, file_size, out, print_json
from audiorec_cli.shared.options import JsonOption
from audiorec_cli.shared.stores import VectorsOption, open_vectors

if TYPE_CHECKING:
    from audiorec.library.library import Library

UNVERIFIABLE = "damage: unverifiable, the file was written without digests"


def info(
    song: Annotated[
        str | None,
        typer.Argument(metavar="SONG", help="A song id or a unique part of one; none: the store."),
    ] = None,
    vectors: VectorsOption = None,
    json: JsonOption = False,
) -> None:
    """Describe a store: songs, statuses, classes, what made it. Or one song of it.

    Examples
    --------
    audiorec info
    audiorec info jazz-vibraphone.mp3
    audiorec info --vectors vecs.parquet --json
    """
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


def info_lines(name: str, value: Any) -> list[str]:
    """Say one thing about a store in words."""
    if name == "beside":
        return [
            f"beside: {f['kind']} {f['path']}: "
            + (f["problem"] if "problem" in f else f"{f['rows']} rows, {file_size(f['bytes'])}")
            + (", unverifiable" if not f.get("verifiable", True) else "")
            for f in value
        ]
    if name == "weights":
        return [f"weights: {w['name']} {w['sha256']} ({w['licence']})" for w in value]
    if name == "duration_s":
        lengths = [duration(value[k]) for k in ("total", "least", "most")]
        return ["duration: {} (from {} to {} a song)".format(*lengths)]
    if name in ("bytes", "vector_bytes"):
        return [f"{'size' if name == 'bytes' else 'of which vectors'}: {file_size(value)}"]
    if name == "verifiable":
        return ["damage: found by store verify" if value else UNVERIFIABLE]
    if name == "unfinished_run":
        return ["unfinished run: yes, the same audiorec extract goes on"] if value else []
    if isinstance(value, Mapping):
        text = ", ".join(f"{k} {v}" for k, v in value.items() if not isinstance(v, Mapping))
        nested = {k: v for k, v in value.items() if isinstance(v, Mapping)}
        lines = [line for k, v in nested.items() for line in info_lines(f"{name} {k}", v)]
        return ([f"{name.replace('_', ' ')}: {text}"] if text else []) + lines
    if isinstance(value, list):
        value = ", ".join(map(str, value)) or "none"
    return [f"{name.replace('_', ' ')}: {value}"]

"""``audiorec index``: build an index of a large store."""

from pathlib import Path
from typing import Annotated, Any, Literal

from audiorec import search
from audiorec.errors import InputError
from audiorec.options import chooses
from audiorec_cli.shared.console import file_size, print_facts, print_json
from audiorec_cli.shared.inputs import VectorsOption, open_vectors
from audiorec_cli.shared.jobs import MetricsOption, job
from audiorec_cli.shared.options import Engines, JsonOption


def index(
    vectors: VectorsOption = None,
    by: Annotated[
        Literal["auto", "sound", "vector"],
        chooses(help="What similar will be asked by; auto: its default."),
    ] = "auto",
    kind: Annotated[
        Literal["flat", "hnsw", "ivf"],
        chooses(
            help="Inverted lists (ivf), a graph (hnsw: slow to build, fastest to search), or a "
            "comparison of all songs (flat: exact)."
        ),
    ] = "ivf",
    json: JsonOption = False,
    metrics_textfile: MetricsOption = None,
    *,
    engines: Engines,
) -> None:
    """Build an index beside a store; similar uses it until the store changes.

    It is of one space: by sound, or by the vector in a store without sound.

    Examples
    --------
    audiorec index
    audiorec index --kind hnsw
    audiorec index --vectors vecs.parquet --by vector --kind flat --json
    """
    store = open_vectors(vectors)
    target = search.index_path(store.path)
    if target.is_dir():
        raise InputError(f"{target}: cannot be written: it is a folder")
    with job("index", target, metrics_textfile) as done:
        with engines.work() as work:
            info = search.build_index(store, target, by=by, kind=kind, engine=work.engine)
        done.count(songs=info.rows)
    _print(target, info, "fresh", json)


def index_facts(path: Path, info: "search.IndexInfo", state: str) -> dict[str, Any]:
    """Return what is known of an index, by name."""
    return {
        "index": str(path),
        "state": state,
        "by": info.by,
        "kind": info.kind,
        "exact": info.exact,
        "songs": info.rows,
        "pieces": len(info.pieces),
        "numbers_a_song": info.width,
        "recall_at_10": info.recall_at_10,
        "parameters": dict(info.parameters),
        "extractor_id": info.extractor_id,
        "fingerprint": info.fingerprint,
        "bytes": _size(path, info),
        "created_by": info.created_by,
        "faiss": info.faiss,
    }


def _print(path: Path, info: "search.IndexInfo", state: str, json: bool) -> None:
    fields = index_facts(path, info, state)
    if json:
        print_json({"schema": "audiorec/index-info/1", **fields})
        return
    size = fields.pop("bytes")
    fields["size"] = None if size is None else file_size(size)
    fields["parameters"] = ", ".join(f"{k} {v}" for k, v in fields["parameters"].items())
    shown = {name: None if value is None else str(value) for name, value in fields.items()}
    print_facts(shown, title=str(path))


def _size(path: Path, info: "search.IndexInfo") -> int | None:
    """Return the size of the faiss files in bytes; None if one is missing."""
    places = [path.with_name(piece.file) for piece in info.pieces]
    return sum(p.stat().st_size for p in places) if all(p.exists() for p in places) else None

"""``audiorec similar SONG...``: the songs that sound most like some songs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.choosing import (
    ExcludeOption,
    KeepDuplicatesOption,
    OnlyOption,
    PerAlbumOption,
    PerArtistOption,
    allowed_songs,
    limits,
    say_copies,
)
from audiorec_cli.shared.console import duration, out, print_json, print_table, say
from audiorec_cli.shared.head_options import StoreHeadOption, chosen_heads
from audiorec_cli.shared.m3u8 import AbsoluteOption, M3u8Option, check_target, write_playlist
from audiorec_cli.shared.seeds import FromOption, Seed, SeedsArgument, read_seeds
from audiorec_cli.shared.spaces import (
    By,
    ByOption,
    EmbeddingsOption,
    FeaturesOption,
    open_space,
    table_of,
)
from audiorec_cli.shared.stores import VectorsOption, open_vectors

if TYPE_CHECKING:
    from audiorec.search.explain import Explanation
    from audiorec.search.space import Neighbour, Neighbours, Space
    from audiorec.types import FloatArray

COLUMNS = ("rank", "similarity", "song_id", "artist", "title", "length")
DEFAULT_K = 10


def similar(
    songs: SeedsArgument = None,
    vectors: VectorsOption = None,
    listed: FromOption = None,
    k: Annotated[
        int | None, typer.Option("--k", "-k", min=1, help="How many [default: 10; with --all 20].")
    ] = None,
    by: ByOption = "vector",
    features: FeaturesOption = None,
    embeddings: EmbeddingsOption = None,
    head: StoreHeadOption = None,
    only: OnlyOption = None,
    exclude: ExcludeOption = None,
    per_artist: PerArtistOption = None,
    per_album: PerAlbumOption = None,
    keep_duplicates: KeepDuplicatesOption = False,
    diversity: Annotated[
        float, typer.Option(min=0, max=1, help="0: the nearest; 1: as different as can be.")
    ] = 0.0,
    why: Annotated[bool, typer.Option("--why", help="Say what makes each song near.")] = False,
    all_songs: Annotated[
        bool, typer.Option("--all", help="The nearest songs of every song, to --out.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="With --all: the Parquet file to write.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="With --all: no progress.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    m3u8: M3u8Option = None,
    absolute: AbsoluteOption = False,
) -> None:
    """List the songs nearest to one song or to several: of the store, or any audio files.

    The seeds are not in the list, but stand first in a playlist, and count as songs of their
    artist and album.
    """
    if all_songs or output is not None:
        from audiorec_cli.shared.neighbours import check, write_neighbours

        refused: dict[str, object] = {
            "songs": songs,
            "--from": listed,
            "--only": only,
            "--exclude": exclude,
        }
        refused |= {"--max-per-artist": per_artist, "--max-per-album": per_album, "--why": why}
        refused |= {"--m3u8": m3u8, "--diversity": diversity, "--keep-duplicates": keep_duplicates}
        refused |= {"--head": head}
        target = check(all_songs, output, refused)
        store = open_vectors(vectors)
        table = table_of(store, by, features=features, embeddings=embeddings)
        write_neighbours(store, target, k, by, table, quiet=quiet, json=json)
        return
    check_target(m3u8, json)
    _check_why(why, by)
    store = open_vectors(vectors)
    space = open_space(store, by, features=features, embeddings=embeddings)
    seeds = read_seeds(space, songs, listed, chosen_heads(head))
    allowed = allowed_songs(store, only, exclude)
    taken = [seed.row for seed in seeds if seed.row is not None]
    k = k or DEFAULT_K
    caps = limits(
        store, per_artist=per_artist, per_album=per_album, keep_duplicates=keep_duplicates
    )
    unit, vector = _middle(seeds)
    found = space.choose(unit, k, allowed=allowed, limits=caps, taken=taken, diversity=diversity)
    reasons = space.why(unit, vector, found) if why else None
    if json:
        print_json(_document(space, seeds, found, reasons))
    elif m3u8 is None:
        _print(seeds, found, reasons)
    if m3u8 is not None:
        write_playlist([s.entry for s in seeds] + found.songs, m3u8, absolute)
    rows_shown = [*taken, *found.rows.tolist()]
    if not keep_duplicates:
        say_copies(store, rows_shown)
    _say_shortage(len(found), k, len(store) - len(taken))


def _middle(seeds: Sequence[Seed]) -> "tuple[FloatArray, FloatArray]":
    """Return what lies between the seeds: a unit (W,) and a vector (V,)."""
    import numpy as np

    from audiorec.search.space import mean_direction

    vector: FloatArray = np.mean([seed.vector for seed in seeds], axis=0, dtype=np.float64)
    unit = mean_direction(np.stack([seed.unit for seed in seeds]))
    return unit, vector.astype(np.float32)


def _print(seeds: Sequence[Seed], found: "Neighbours", reasons: "list[Explanation] | None") -> None:
    """Print a table; reasons are a column for a pipe, and lines of their own for a person."""
    beside = None if sys.stdout.isatty() else reasons
    columns = COLUMNS if beside is None else (*COLUMNS, "why")
    rows = [_line(rank, n, beside) for rank, n in enumerate(found, start=1)]
    print_table(columns, rows, title=f"similar to {_names(seeds)}")
    if reasons is not None and beside is None:
        for rank, explanation in enumerate(reasons, start=1):
            out(f"{rank}: {explanation}")


def _check_why(why: bool, by: By) -> None:
    if why and by not in ("vector", "mean"):
        raise InputError(f"--why speaks of classes: use --by vector or mean, not {by}")


def _names(seeds: Sequence[Seed]) -> str:
    return " + ".join(seed.name for seed in seeds)


def _line(
    rank: int, neighbour: "Neighbour", reasons: "list[Explanation] | None"
) -> tuple[object, ...]:
    row = neighbour.row
    length = duration(float(row["duration_s"]))
    line = rank, neighbour.similarity, neighbour.song_id, row["artist"], row["title"], length
    return line if reasons is None else (*line, str(reasons[rank - 1]))


def _say_shortage(found: int, k: int, others: int) -> None:
    if others == 0:
        say("the store has no other song; add some with audiorec extract")
    elif found < k:
        say(f"{found} songs, not {k}: the store has no more that may come")


def _document(
    space: "Space",
    seeds: Sequence[Seed],
    found: "Neighbours",
    reasons: "list[Explanation] | None",
) -> dict[str, Any]:
    fields = ("uri", "artist", "title", "album", "duration_s", "status")
    songs = [
        {
            "rank": rank,
            "song_id": n.song_id,
            "similarity": round(n.similarity, 6),
            **{f: n.row.get(f) for f in fields},
            **({} if reasons is None else {"why": _why(reasons[rank - 1])}),
        }
        for rank, n in enumerate(found, start=1)
    ]
    return {
        "schema": "audiorec/similar/1",
        "query": _names(seeds),
        "seeds": [seed.name for seed in seeds],
        "by": space.by,
        "exact": space.exact,
        "vectors": str(space.store.path),
        "extractor_id": space.store.metadata.extractor_id,
        "songs": songs,
    }


def _why(explanation: "Explanation") -> dict[str, Any]:
    return {
        "by_class": {name: round(v, 6) for name, v in explanation.by_class.items()},
        "by_statistic": {name: round(v, 6) for name, v in explanation.by_statistic.items()},
        "reasons": [
            {
                "class": reason.name,
                "statistic": reason.statistic,
                "contribution": round(reason.contribution, 6),
                "query": round(reason.query, 6),
                "song": round(reason.song, 6),
                "usual": round(reason.usual, 6),
            }
            for reason in explanation.reasons
        ],
    }

"""``audiorec similar SONG...``: list the songs that sound most like some songs."""

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec_cli.shared.choosing import ChoiceOptions
from audiorec_cli.shared.console import counted, duration, out, print_json, print_table, say
from audiorec_cli.shared.heads import StoreHeadOption, chosen_heads
from audiorec_cli.shared.m3u8 import ListForm
from audiorec_cli.shared.options import more
from audiorec_cli.shared.seeds import (
    FromOption,
    MeanOption,
    Seed,
    SeedsArgument,
    read_seeds,
    say_non_music_seeds,
)
from audiorec_cli.shared.stores import SpaceOptions, VectorsOption, open_vectors, say_basis

if TYPE_CHECKING:
    from audiorec.library.library import Library
    from audiorec.search.explain import Explanation
    from audiorec.search.space import Neighbour, Neighbours, Space
    from audiorec.types import FloatArray

COLUMNS = ("rank", "similarity", "song_id", "artist", "title", "length")


def similar(
    songs: SeedsArgument = None,
    listed: FromOption = None,
    vectors: VectorsOption = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Number of songs.")] = 10,
    why: Annotated[bool, typer.Option("--why", help="Explain each similarity.")] = False,
    why_long: Annotated[
        bool, more("--why-long", help="Explain with the scores behind it.")
    ] = False,
    diversity: Annotated[
        float, more(min=0, max=1, help="0: the nearest songs; 1: the most varied.")
    ] = 0.0,
    minimum: Annotated[float, more(min=-1, max=1, help="Minimum similarity; -1: list all.")] = 0.0,
    less_like: Annotated[
        list[str] | None,
        more("--less-like", metavar="SONG", help="Search away from this song, at half the weight."),
    ] = None,
    mean: MeanOption = False,
    head: StoreHeadOption = None,
    *,
    compared: SpaceOptions,
    choice: ChoiceOptions,
    form: ListForm,
) -> None:
    """List the songs nearest to one or several songs of the store, or to any audio files.

    Several seeds vote, and each of their tastes gets its share. They are not listed, but come
    first in a playlist, and count towards the limits per artist and album. For all songs of the
    store at once, see audiorec neighbours.

    Examples
    --------
    audiorec similar jazz-vibraphone.mp3
    audiorec similar fixtures/audio/birds.ogg --max-per-artist 2 --m3u8 like.m3u8
    audiorec similar jazz-vibraphone.mp3 --only "genre=jazz" --why
    """
    import numpy as np

    from audiorec.search.near import near_seeds
    from audiorec.search.space import mean_direction

    form.check()
    why = why or why_long
    store = open_vectors(vectors, empty=False)
    basis = compared.default_space(store)
    space = store.space(basis.by, table=basis.table)
    seeds = read_seeds(store, space, songs, listed, chosen_heads(head))
    chosen = store.chosen(choice.choice)
    away = read_seeds(store, space, less_like, None, chosen_heads(head)) if less_like else []
    taken = [seed.row for seed in (*seeds, *away) if seed.row is not None]
    units = np.stack([seed.unit for seed in seeds])
    near = partial(near_seeds, space, units, k, chosen, taken=taken, diversity=diversity, mean=mean)
    if away:
        near = partial(near, away=mean_direction(np.stack([seed.unit for seed in away])))
    found = near(minimum=minimum)
    unlike = len(near(minimum=-1.0)) - len(found) if len(found) < k else 0
    reasons = _reasons(store, space, seeds, away, found, mean=mean) if why else None
    if form.json:
        document = {**_document(space, seeds, found, reasons), "minimum": minimum}
        document |= {} if reasons is None else {"why_by": _classes_of(space)}
        print_json({**document, **({"less_like": [s.name for s in away]} if away else {})})
    elif form.is_table:
        _print(space, seeds, away, found, [str(r) if why_long else r.short for r in reasons or ()])
    form.write([s.entry for s in seeds] + found.songs)
    say_basis(basis, space)
    if why and space.by != _classes_of(space):
        say(f"note: compared by {space.by}; the reasons are by classes of the vector")
    say_non_music_seeds(seeds, asked_for=choice.include_non_music)
    choice.say_left_out(store, chosen, [*taken, *found.rows.tolist()])
    if unlike:
        have = "song has" if unlike == 1 else "songs have"
        say(f"{unlike} more {have} a similarity below {minimum:g} (--minimum -1 lists them)")
    if len(store) == len(taken):
        say("the store has no other song; add some: audiorec extract FOLDER")
    elif len(found) + unlike < k:
        there = counted(len(found) + unlike, "song")
        say(f"{there} instead of {k}: the store has no more eligible songs")


def _classes_of(space: "Space") -> Literal["vector", "mean"]:
    """Return the space whose classes explain a similarity: its own, or else the vector."""
    return "mean" if space.by == "mean" else "vector"


def _reasons(
    store: "Library",
    space: "Space",
    seeds: Sequence[Seed],
    away: Sequence[Seed],
    found: "Neighbours",
    *,
    mean: bool,
) -> "list[Explanation]":
    """Explain each song by classes, whatever the songs were compared by: beside its nearest seed.

    With a song to avoid, or near the mean of the seeds, all are explained beside the mean.
    """
    import numpy as np

    from audiorec.search.near import away_from
    from audiorec.search.space import mean_direction

    of = _classes_of(space)
    # Found through an index of this space, if there is one: it knows the scaling.
    plain = space if space.by == of else store.space(of, use_index=False)

    def direction(some: Sequence[Seed]) -> "FloatArray":
        return mean_direction(plain.prepare(np.stack([seed.vector for seed in some])))

    if not (mean or away):
        units = np.stack([seed.unit for seed in seeds])
        nearest = (space.units(found.rows) @ units.T).argmax(axis=1) if len(found) else []
        pairs = ((seeds[seed], found[n : n + 1]) for n, seed in enumerate(nearest))
        return [plain.why(direction([seed]), seed.vector, one)[0] for seed, one in pairs]
    unit = away_from(direction(seeds), direction(away)) if away else direction(seeds)
    vector = np.mean(np.stack([seed.vector for seed in seeds]), axis=0, dtype=np.float64)
    return plain.why(unit, np.asarray(vector, np.float32), found)


def _print(
    space: "Space",
    seeds: Sequence[Seed],
    away: Sequence[Seed],
    found: "Neighbours",
    reasons: Sequence[str],
) -> None:
    """Print a table, with reasons in a column for a pipe, or on lines below it for a terminal."""
    beside = () if sys.stdout.isatty() else reasons
    columns = (*COLUMNS, "why") if beside else COLUMNS
    rows = [_line(rank, n, beside) for rank, n in enumerate(found, start=1)]
    less = f", less like {_names(away)}" if away else ""
    print_table(columns, rows, title=f"similar to {_names(seeds)}{less}, by {space.by}")
    if reasons and not beside:
        for rank, reason in enumerate(reasons, start=1):
            out(f"{rank}: {reason}")


def _names(seeds: Sequence[Seed]) -> str:
    return " + ".join(seed.name for seed in seeds)


def _line(rank: int, neighbour: "Neighbour", reasons: Sequence[str]) -> tuple[object, ...]:
    row = neighbour.row
    length = duration(float(row["duration_s"]))
    line = rank, neighbour.similarity, neighbour.song_id, row["artist"], row["title"], length
    return (*line, reasons[rank - 1]) if reasons else line


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

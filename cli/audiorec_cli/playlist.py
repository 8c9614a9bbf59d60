"""``audiorec playlist SEED...``: so many minutes of songs that go with some songs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.choosing import Choice
from audiorec_cli.shared.console import duration, print_json, print_table, say
from audiorec_cli.shared.heads import StoreHeadOption, chosen_heads
from audiorec_cli.shared.m3u8 import ListForm
from audiorec_cli.shared.options import more
from audiorec_cli.shared.seeds import FromOption, Seed, SeedsArgument, read_seeds
from audiorec_cli.shared.stores import Compared, VectorsOption, open_vectors

if TYPE_CHECKING:
    from audiorec.library.library import Library
    from audiorec.playlists.playlist import Curve, Playlist, Wish
    from audiorec.types import BoolArray, FloatArray

EDGES = (0.02, 0.98)  # quantiles of a class's scores that a shape in words goes between
COLUMNS = ("start", "similarity", "song_id", "artist", "title", "length")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadChoice(Choice):
    """As everywhere, but two songs of one artist unless more are asked for."""

    per_artist: Annotated[
        int | None,
        typer.Option("--max-per-artist", min=0, help="Songs of one artist; 0: any number."),
    ] = 2


def playlist(
    songs: SeedsArgument = None,
    listed: FromOption = None,
    vectors: VectorsOption = None,
    minutes: Annotated[float, typer.Option("--minutes", "-m", min=0.1, help="How long.")] = 60.0,
    curve: Annotated[
        list[str] | None,
        typer.Option(
            "--curve",
            metavar="CLASS:SHAPE",
            help="How a class's score moves: metal:rise (or fall, arc, dip), vocal:0.1..0.9..0.1",
        ),
    ] = None,
    artist_gap: Annotated[
        int, more("--artist-gap", min=0, help="Places between two songs of an artist.")
    ] = 3,
    head: StoreHeadOption = None,
    *,
    compared: Compared,
    choice: SpreadChoice,
    form: ListForm,
) -> None:
    """Make a playlist near some songs: as long as asked for, artists spread, with a curve.

    It begins with the songs named, unless a --curve says where they fit. Its length is
    within half a minute of --minutes, or 1 % where that is more.

    Examples
    --------
    audiorec playlist jazz-vibraphone.mp3 --minutes 30
    audiorec playlist jazz-vibraphone.mp3 blues-band.mp3 --m3u8 hour.m3u8
    audiorec playlist jazz-vibraphone.mp3 --curve metal:rise --json
    """
    import numpy as np

    from audiorec.playlists.playlist import Wish, make_playlist
    from audiorec.search.filters import name_codes
    from audiorec.search.space import mean_direction

    form.check()
    store = open_vectors(vectors, empty=False)
    space = compared.space(store, use_index=False)
    seeds = read_seeds(space, songs, listed, chosen_heads(head))
    allowed, limits = choice.of(store)
    wish = Wish(
        seconds=60 * minutes,
        limits=limits,
        artists=name_codes(store, "artist"),
        gap=artist_gap,
        curves=_curves(store, curve or (), allowed),
    )
    units, there = space.units_by_row()
    direction = mean_direction(np.stack([seed.unit for seed in seeds]))
    lengths = np.asarray(store.column("duration_s").to_pylist(), np.float64)
    first = [seed.row for seed in seeds if seed.row is not None]
    found = make_playlist(units, direction, lengths, wish, seeds=first, allowed=allowed & there)
    rows = store.rows(found.rows.tolist())
    similarities = units[found.rows] @ direction
    if form.json:
        print_json(_document(store, seeds, wish, found, rows, similarities))
    elif form.is_table:
        names = [text.partition(":")[0].strip() for text in curve or ()]
        lines = _lines(rows, similarities, wish, found)
        title = f"{duration(found.seconds)} near {' + '.join(seed.name for seed in seeds)}"
        print_table((*COLUMNS, *names), lines, title=title)
    form.write(rows)
    _say_what_is_off(store, found, wish)


def _curves(store: "Library", texts: Sequence[str], allowed: "BoolArray") -> "list[Curve]":
    """Read ``class:shape``; a shape in words goes from about the lowest to the highest score."""
    import numpy as np

    from audiorec.playlists.playlist import SHAPES, Curve
    from audiorec.search.filters import class_number, mean_scores

    if not texts:
        return []
    means = mean_scores(store)
    curves = []
    for text in texts:
        name, _, shape = text.partition(":")
        scores = means[:, class_number(store, name.strip())]
        if shape.strip() in SHAPES:
            low, high = np.quantile(scores[allowed], EDGES) if allowed.any() else (0.0, 1.0)
            points = tuple(float(low + p * (high - low)) for p in SHAPES[shape.strip()])
        else:
            points = _points(text, shape)
        curves.append(Curve(scores, points))
    return curves


def _points(text: str, shape: str) -> tuple[float, ...]:
    from audiorec.playlists.playlist import SHAPES

    try:
        points = tuple(float(part) for part in shape.split(".."))
    except ValueError:
        points = ()
    if not points or not all(0 <= point <= 1 for point in points):
        raise InputError(
            f"--curve {text}: a class and {', '.join(SHAPES)} or mean scores from 0 to 1 are "
            "expected, for example metal:rise or vocal:0.1..0.9..0.1"
        )
    return points


def _say_what_is_off(store: "Library", found: "Playlist", wish: "Wish") -> None:
    for row in () if wish.curves else found.left_out:
        say(f"note: {store.ids[row]} found no place in it")
    if not found.within_tolerance:
        say(
            f"{duration(found.seconds)}, not {duration(wish.seconds)}: the store has no songs "
            "that make it right within the limits"
        )


def _lines(
    rows: list[dict[str, Any]], similarities: "FloatArray", wish: "Wish", found: "Playlist"
) -> list[tuple[object, ...]]:
    at, lines = 0.0, []
    for place, row in enumerate(rows):
        scores = (float(curve.scores[found.rows[place]]) for curve in wish.curves)
        length = float(row["duration_s"])
        lines.append(
            (
                duration(at),
                float(similarities[place]),
                row["song_id"],
                row["artist"],
                row["title"],
                duration(length),
                *scores,
            )
        )
        at += length
    return lines


def _document(
    store: "Library",
    seeds: Sequence[Seed],
    wish: "Wish",
    found: "Playlist",
    rows: list[dict[str, Any]],
    similarities: "FloatArray",
) -> dict[str, Any]:
    fields = ("song_id", "uri", "artist", "title", "album", "duration_s")
    songs = []
    for place, row in enumerate(rows):
        scores = [round(float(c.scores[found.rows[place]]), 6) for c in wish.curves]
        song = {f: row[f] for f in fields} | {"similarity": round(float(similarities[place]), 6)}
        songs.append({"place": place + 1, **song, "curve_scores": scores})
    return {
        "schema": "audiorec/playlist/1",
        "vectors": str(store.path),
        "extractor_id": store.metadata.extractor_id,
        "seeds": [seed.name for seed in seeds],
        "seconds_asked": wish.seconds,
        "seconds": round(found.seconds, 3),
        "tolerance_s": wish.tolerance_s,
        "within_tolerance": found.within_tolerance,
        "left_out": [store.ids[row] for row in found.left_out],
        "songs": songs,
    }

"""``audiorec recall near``: the nearest songs in a graph model, with reasons."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.console import print_json, print_table
from audiorec_cli.shared.inputs import InputKind, check
from audiorec_cli.shared.listening import ModelArgument, PlaysOf
from audiorec_cli.shared.options import JsonOption

if TYPE_CHECKING:
    from audiorec.recall.graph.channel import NearSong


def near(
    model: ModelArgument,
    song: Annotated[str, typer.Argument(metavar="SONG", help="A song id of the log.")],
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Number of songs.")] = 10,
    cold: Annotated[int, typer.Option(min=0, help="Additional songs that are in no list.")] = 0,
    why: Annotated[bool, typer.Option("--why", help="Show what the songs have in common.")] = False,
    interactions: Annotated[
        Path | None,
        typer.Option(
            "--interactions", "-i", metavar="LOG", help="A log, to find lists with both songs."
        ),
    ] = None,
    by: Annotated[
        PlaysOf, typer.Option("--by", help="What counts as a list in that log.")
    ] = "list",
    json: JsonOption = False,
) -> None:
    """List the nearest songs of a song in a song2vec, eges or graphsage model.

    Examples
    --------
    audiorec recall near graph/ a/one.flac
    audiorec recall near graph/ a/one.flac --why -i plays.csv --by user
    audiorec recall near graph/ a/one.flac --cold 5 --json
    """
    from audiorec.recall.graph.channel import GraphChannel, near_song
    from audiorec.recall.registry import load_channel

    channel = load_channel(model)
    if not isinstance(channel, GraphChannel):
        raise InputError(
            f"{model}: is a {channel.name} model; recall near needs song2vec, eges or graphsage"
        )
    lists = None
    if interactions is not None:
        from audiorec.listening.interactions import read_interactions
        from audiorec.listening.sequences import to_sequences

        check(interactions, InputKind.LOG)
        lists = to_sequences(read_interactions(interactions), by=by)
    found = near_song(channel, song, k, cold=cold, lists=lists)
    if json:
        rows = [_plain(neighbour) for neighbour in found]
        document = {"schema": "audiorec/near/1", "song": song, "channel": channel.name}
        print_json({**document, "model_id": channel.model_id, "songs": rows})
        return
    heads = ("song", "similarity", *(("in common",) if why else ()))
    cells = [(f.song_id, f.similarity, *((_told(f),) if why else ())) for f in found]
    print_table(heads, cells, title=f"near {song}")


def _told(neighbour: "NearSong") -> str:
    """Return in words what two songs have in common."""
    parts = [_in_words(fact) for fact in neighbour.shared]
    if neighbour.n_lists:
        more = f" and {neighbour.n_lists - 1} more" if neighbour.n_lists > 1 else ""
        parts.append(f"in list {neighbour.lists[0]}{more}")
    if neighbour.cold:
        parts.append("in no list")
    return "; ".join(parts) or "neighbours of neighbours"


def _in_words(fact: str) -> str:
    """Return a fact in words: ``by artist:ayla`` as ``by ayla``."""
    relation, _, entity = fact.partition(" ")
    kind, _, name = entity.partition(":")
    words = relation.replace("_", " ")
    if kind == "song":
        return f"{words} {name} as well"
    return f"{words} {name}" if name else f"{words} it" if words == "sounds like" else words


def _plain(neighbour: "NearSong") -> dict[str, Any]:
    return {
        "song_id": neighbour.song_id,
        "similarity": round(neighbour.similarity, 6),
        "cold": neighbour.cold,
        "shared": list(neighbour.shared),
        "lists": list(neighbour.lists),
        "n_lists": neighbour.n_lists,
    }

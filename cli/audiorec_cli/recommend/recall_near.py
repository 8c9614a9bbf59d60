"""The nearest songs in a graph model, with reasons: ``audiorec recall songs --near``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiorec.errors import InputError
from audiorec_cli.shared.console import print_json, print_table
from audiorec_cli.shared.inputs import InputKind, check

if TYPE_CHECKING:
    from audiorec.recall.graph.channel import NearSong


def print_near(model: Path, song: str, k: int, interactions: Path | None, *, json: bool) -> None:
    """Print the nearest songs of a song in a song2vec, eges or graphsage model."""
    from audiorec.recall.graph.channel import GraphChannel, near_song
    from audiorec.recall.registry import load_channel

    channel = load_channel(model)
    if not isinstance(channel, GraphChannel):
        raise InputError(
            f"{model}: is a {channel.name} model; --near needs song2vec, eges or graphsage"
        )
    lists = None
    if interactions is not None:
        from audiorec.listening.interactions import read_interactions
        from audiorec.listening.sequences import to_sequences

        check(interactions, InputKind.LOG)
        lists = to_sequences(read_interactions(interactions), by=channel.by)
    found = near_song(channel, song, k, lists=lists)
    if json:
        rows = [_plain(neighbour) for neighbour in found]
        document = {"schema": "audiorec/near/1", "song": song, "channel": channel.name}
        print_json({**document, "model_id": channel.model_id, "songs": rows})
        return
    cells = [(one.song_id, one.similarity, _told(one)) for one in found]
    print_table(("song", "similarity", "in common"), cells, title=f"near {song}")


def _told(neighbour: "NearSong") -> str:
    """Return in words what two songs have in common."""
    parts = [_in_words(fact) for fact in neighbour.shared]
    if neighbour.n_lists:
        more = f" and {neighbour.n_lists - 1} more" if neighbour.n_lists > 1 else ""
        parts.append(f"in list {neighbour.lists[0]}{more}")
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

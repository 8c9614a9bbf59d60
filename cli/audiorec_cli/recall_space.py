"""``audiorec recall users`` and ``songs``: embeddings out of a model with one space for both."""

from pathlib import Path
from typing import TYPE_CHECKING

from audiorec.errors import InputError
from audiorec_cli.shared.console import print_json, say
from audiorec_cli.shared.listened import (
    FeaturesOption,
    ListenedTo,
    ModelArgument,
    SoundOption,
    sound_of,
)
from audiorec_cli.shared.options import JsonOption, LogOption, OutFileOption

if TYPE_CHECKING:
    from audiorec.recall.contract.space import SharedSpace


def users(
    model: ModelArgument,
    interactions: LogOption,
    output: OutFileOption,
    json: JsonOption = False,
    *,
    listened: ListenedTo,
) -> None:
    """Embed the users of a log with a model that puts users and songs into one space.

    Who has no history that the model knows is left out, and counted.

    Examples
    --------
    audiorec recall users model/ --interactions plays.parquet --out users.parquet
    audiorec recall users model/ -i new.csv --out users.parquet --json
    audiorec recall users model/ -i plays.csv --by session --out sessions.parquet
    """
    import numpy as np

    from audiorec.recall.contract.data import Queries
    from audiorec.store.embeddings import write_embeddings

    channel = _in_one_space(model)
    plays = listened.of(interactions).among(channel.song_ids)
    plays = plays.take(plays.lengths > 0)
    embedded = channel.embed_users(Queries(plays))
    known = np.asarray(embedded.any(axis=1))
    ids = [user for user, has in zip(plays.owner_ids, known.tolist(), strict=True) if has]
    if not ids:
        raise InputError(f"{interactions}: nobody has played a song that {model} knows")
    made = {"model_id": channel.model_id, "space": channel.space}
    write_embeddings(
        output,
        ids,
        embedded[known],
        kind="users",
        model_id=channel.model_id,
        space=channel.space,
    )
    document = {"schema": "audiorec/recall-users/1", "users": len(ids), **made, "out": str(output)}
    if json:
        print_json(document)
    say(f"{len(ids):,} users: {output}; songs in their space: audiorec recall songs {model}")


def songs(
    model: ModelArgument,
    output: OutFileOption,
    features: FeaturesOption = None,
    vectors: SoundOption = None,
    json: JsonOption = False,
) -> None:
    """Embed songs in the space of a model's users: its own, or any that can be heard.

    Examples
    --------
    audiorec recall songs model/ --out embeddings.parquet
    audiorec recall songs model/ --features new.parquet --out new-songs.parquet
    audiorec recall songs model/ --vectors vecs.parquet --out embeddings.parquet
    """
    import numpy as np

    from audiorec.store.embeddings import write_embeddings

    channel, sound = _in_one_space(model), sound_of(vectors, features)
    ids = channel.song_ids if sound is None else sound.song_ids
    embedded = channel.song_embeddings() if sound is None else channel.embed_sound(sound)
    known = np.asarray(embedded.any(axis=1))
    there = [song for song, has in zip(ids, known.tolist(), strict=True) if has]
    if not there:
        raise InputError(f"{model}: no song has an embedding")
    made = {"model_id": channel.model_id, "space": channel.space}
    write_embeddings(
        output,
        there,
        embedded[known],
        kind="songs",
        model_id=channel.model_id,
        space=channel.space,
    )
    document = {
        "schema": "audiorec/recall-songs/1",
        "songs": len(there),
        "without": len(ids) - len(there),
        **made,
        "out": str(output),
    }
    if json:
        print_json(document)
    without = f"; {len(ids) - len(there):,} have no embedding" if len(there) < len(ids) else ""
    say(f"{len(there):,} songs: {output}{without}")


def _in_one_space(model: Path) -> "SharedSpace":
    """Load a model that has embeddings."""
    from audiorec.recall.contract.space import SharedSpace
    from audiorec.recall.registry import load_channel

    channel = load_channel(model)
    if not isinstance(channel, SharedSpace):
        raise InputError(
            f"{model}: holds {channel.name}, which has no embeddings; "
            "youtube-dnn and user-audio have"
        )
    return channel

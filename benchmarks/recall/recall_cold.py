"""Songs that stand in no list: how well they are found by their sound and by their artist.

    python -m benchmarks recall_cold WORLD [WAY ...] [--seeds 0 1 2] [--set FIELD=VALUE]

WORLD is what ``scripts/samples/make_recall_world.py`` wrote. A fifth of the songs are taken out of
all playlists; each list is asked for its own among them, and only they are ranked. Beside the
channels stand two baselines that use no model: songs of the artists of the list, by how many of its
songs are theirs, and the mean of a Gaussian kernel of the audio numbers over the songs of the list;
then both added up. Channels that learn from the lists are trained with sound and artists and, as
"artist's others", without them: there a new song lies at the mean of its artist's other songs, and
a song of a new artist nowhere. Without either they cannot propose a new song at all. "No fade" is
``half_life_plays=null``: a list has no order, so its last songs say no more of it than its first.
``capped_recall`` divides by the most that k places can hold; ``--set`` is of ``sasrec``.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from recall_tables import world_sound

from audiorec.evaluation.ranking import clustered_interval, mean_ranks, rank_measures
from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.recall.audio.nearest import (
    NearestArtist,
    NearestArtistRecipe,
    NearestAudio,
    NearestRecipe,
)
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.judging.splits import list_groups
from audiorec.recall.registry import channel_class
from audiorec.types import FloatArray

COLD_SHARE = 0.2
KS = (10, 100)
NEAR = 1.0  # width of the kernel: audio numbers have spread 1 each
ALL = NearestRecipe(history=2_000, fade=1.0)  # a list has no last song
ALL_ARTISTS = NearestArtistRecipe(history=2_000, fade=1.0)

Similar = Callable[[RecallData, Queries], FloatArray]


def by_channel(kind: type, recipe: NearestRecipe | None = None) -> Similar:
    """Return the similarities of a channel, all queries at once."""

    def similar(data: RecallData, queries: Queries) -> FloatArray:
        channel = kind(recipe).fit(data)
        return np.concatenate(list(channel.blocks(queries)))

    return similar


def same_artist(data: RecallData, queries: Queries) -> FloatArray:
    """Count the songs of each list that are by a song's artist; (Q, S)."""
    sound = sound_of(data)
    _, artist = np.unique(sound.artists, return_inverse=True)
    plays = queries.histories.among(data.song_ids)
    count = np.zeros((len(queries), artist.max() + 1), np.float32)
    np.add.at(count, (plays.owner, artist[plays.song]), 1)
    found = count[:, artist]
    found[found == 0] = -np.inf
    return found


def audio_kernel(data: RecallData, queries: Queries) -> FloatArray:
    """Add up a kernel of the distance to each song of a list, over the number of songs; (Q, S)."""
    values = sound_of(data).values
    squares = np.square(values).sum(axis=1)
    plays = queries.histories.among(data.song_ids)
    found = np.empty((len(queries), len(values)), np.float32)
    for row in range(len(queries)):
        own = values[plays[row]]
        far = squares + np.square(own).sum(axis=1)[:, None] - 2 * own @ values.T
        found[row] = np.exp(-far / (2 * NEAR**2)).mean(axis=0)
    return found


def artist_and_audio(data: RecallData, queries: Queries) -> FloatArray:
    """Add the share of the artist in a list and the kernel, relative to its largest; (Q, S)."""
    artist, kernel = same_artist(data, queries), audio_kernel(data, queries)
    artist[np.isinf(artist)] = 0
    return artist + kernel / np.maximum(kernel.max(axis=1, keepdims=True), 1e-12)


def sound_of(data: RecallData) -> Sound:
    """Return the sound of the catalogue's songs."""
    assert data.sound is not None
    return data.sound.among(data.song_ids)


def trained(name: str, recipe: dict[str, Any]) -> Similar:
    """Return the similarities of a channel that learns from lists, sound and artists."""

    def similar(data: RecallData, queries: Queries) -> FloatArray:
        kind: Any = channel_class(name)
        channel = kind(kind.Recipe(**recipe)).fit(data)
        return np.concatenate(list(channel.blocks(queries)))

    return similar


def artists_others(name: str, recipe: dict[str, Any]) -> Similar:
    """Return the similarities with the mean of an artist's songs, by what is learnt of lists."""

    def similar(data: RecallData, queries: Queries) -> FloatArray:
        kind: Any = channel_class(name)
        channel = kind(kind.Recipe(**recipe)).fit(replace(data, context=Context()))
        songs, learnt = channel.song_embeddings(), ~data.is_cold
        _, artist = np.unique(sound_of(data).artists, return_inverse=True)
        sums = np.zeros((artist.max() + 1, songs.shape[1]), np.float32)
        np.add.at(sums, artist[learnt], songs[learnt])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        placed = (sums / np.where(lengths > 0, lengths, 1))[artist]
        found = channel.embed_users(queries) @ placed.T
        found[:, ~placed.any(axis=1)] = -np.inf
        return found

    return similar


WAYS: dict[str, Similar] = {
    "audio kernel": audio_kernel,
    "same artist": same_artist,
    "artist + audio": artist_and_audio,
    "`nearest-audio`": by_channel(NearestAudio),
    "`nearest-audio`, all songs": by_channel(NearestAudio, ALL),
    "`nearest-artist`": by_channel(NearestArtist),
    "`nearest-artist`, all songs": by_channel(NearestArtist, ALL_ARTISTS),
}
LEARNT: dict[str, tuple[str, dict[str, Any]]] = {
    "`sasrec`": ("sasrec", {}),
    "`youtube-dnn`": ("youtube-dnn", {}),
    "`youtube-dnn`, no fade": ("youtube-dnn", {"half_life_plays": None}),
    "`mind`": ("mind", {}),
}


def main() -> None:
    """Print one line a way and seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path)
    parser.add_argument("ways", nargs="*", help="all that are not trained, by default")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    plays = to_sequences(read_interactions(arguments.world / "playlists.parquet"), by="list")
    groups = list_groups(plays)
    context = Context(sound=world_sound(arguments.world))
    pairs = (text.partition("=") for text in arguments.set)
    recipe = {name: json.loads(value) for name, _, value in pairs}
    ways = dict(WAYS)
    for label, (name, own) in LEARNT.items():
        settings = recipe if name == "sasrec" else own
        ways[f"{label}, sound and artist"] = trained(name, settings)
        ways[f"{label}, artist's others"] = artists_others(name, settings)
    chosen = [way for way in ways if way in WAYS or arguments.ways]
    if arguments.ways:
        chosen = [way for way in ways if any(text in way for text in arguments.ways)]
    print("| way | seed | " + " | ".join(f"capped_recall@{k}" for k in KS) + " | lists | CPU-s |")
    print("|---" * (len(KS) + 4) + "|")
    for seed in arguments.seeds:
        rng = np.random.default_rng(seed)
        n = len(plays.song_ids)
        cold = np.zeros(n, np.bool_)
        cold[rng.permutation(n)[: round(COLD_SHARE * n)]] = True
        hidden = cold[plays.song]
        known, wanted = plays.keep(~hidden), plays.keep(hidden)
        asked = np.flatnonzero((known.lengths > 0) & (wanted.lengths > 0))
        learn = Sequences(known.owner_ids, plays.song_ids, known.starts, known.song, known.time)
        data = RecallData(learn, plays.song_ids, context)
        queries, wanted = Queries(known.take(asked)), wanted.take(asked).among(data.song_ids)
        for name in chosen:
            begun = time.process_time()
            similar = ways[name](data, queries)
            spent = time.process_time() - begun
            similar[:, ~data.is_cold] = -np.inf
            ranks = mean_ranks(similar, wanted.owner, wanted.song)
            found = rank_measures(ranks, wanted.owner, len(queries), KS)
            values = [
                str(clustered_interval(found["capped_recall", k], groups[asked], rng)) for k in KS
            ]
            cells = [name, str(seed), *values, str(len(queries)), f"{spent:.0f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

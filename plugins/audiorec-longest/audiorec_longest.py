"""``audiorec longest``: the longest songs of a store."""

from pathlib import Path
from typing import Annotated

from audiorec.options import chooses, reads


def longest(
    vectors: Annotated[
        Path, reads("--vectors", "-v", metavar="FILE", help="Store to read.")
    ] = Path("vecs.parquet"),
    count: Annotated[int, chooses("--count", "-n", min=1, help="Songs to list.")] = 10,
) -> None:
    """List the longest songs of a store, with their minutes.

    Examples
    --------
    audiorec longest
    audiorec longest --count 3
    audiorec longest --vectors other.parquet > longest.tsv
    """
    from audiorec.library.library import open_store

    songs = open_store(vectors).to_pandas(["song_id", "duration_s"])
    for song in songs.nlargest(count, "duration_s").itertuples():
        print(f"{song.duration_s / 60:.1f}\t{song.song_id}")

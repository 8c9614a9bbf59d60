"""Judge whether files that were cut off are found to be parts of their wholes.

    python -m benchmarks eval_cut MUSIC [--songs 50] [--seed 0]

Songs of MUSIC of a minute and a half or more are drawn; beside each lies the same file with 12 to
60 % of its bytes. None has tags. The baseline has the same sounds: the song of another length that
is nearest by sound is the whole. Intervals are over songs (95 %, Wilson).
"""

import argparse
import json
import tempfile
from pathlib import Path

import mutagen
import numpy as np
from scipy.stats import binomtest

from audiorec import duplicates, extract, open_store
from audiorec.search.questions import Choice

LEAST_S, FEWEST, MOST = 90, 0.12, 0.6
SUFFIXES = (".ogg", ".opus", ".mp3", ".flac", ".m4a")


def is_long(path: Path) -> bool:
    """Return whether a file says that it is music of some length."""
    try:
        about = mutagen.File(path)
    except mutagen.MutagenError:
        return False
    return about is not None and about.info.length >= LEAST_S


def write_pairs(music: Path, folder: Path, songs: int, rng: np.random.Generator) -> None:
    """Write wholes ``3.ogg`` and what is left of them, ``3 cut.ogg``, without tags."""
    paths = [one for one in sorted(music.rglob("*")) if one.suffix in SUFFIXES and is_long(one)]
    for number, at in enumerate(rng.permutation(len(paths))[:songs]):
        whole = folder / f"{number}{paths[at].suffix}"
        whole.write_bytes(paths[at].read_bytes())
        mutagen.File(whole).delete()
        content = whole.read_bytes()
        left = int(len(content) * rng.uniform(FEWEST, MOST))
        whole.with_stem(f"{number} cut").write_bytes(content[:left])


def number(song_id: str) -> str:
    """Return which song a file is made of."""
    return Path(song_id).stem.partition(" ")[0]


def main() -> None:
    """Print a line of JSON for audiorec, and one for the baseline."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("music", type=Path)
    parser.add_argument("--songs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        write_pairs(asked.music, Path(made), asked.songs, np.random.default_rng(asked.seed))
        extract(made, out=f"{made}/vecs.parquet")
        library = open_store(f"{made}/vecs.parquet")
        songs_of = [len(set(map(number, one.song_ids))) for one in duplicates(vectors=library)]
        told = {"audiorec": (songs_of.count(1), len(songs_of) - songs_of.count(1))}
        cut = [song_id for song_id in library.ids if " cut" in song_id]
        everything = Choice(also=("copies", "non-music"))
        right = sum(
            number(one) == number(library.similar(one, 1, choice=everything, minimum=-1)[0].song_id)
            for one in cut
        )
        told["nearest by sound"] = (right, len(cut) - right)
        for name, (found, wrong) in told.items():
            share = binomtest(found, len(cut)).proportion_ci(method="wilson")
            interval = [round(float(one), 3) for one in (share.low, found / len(cut), share.high)]
            print(json.dumps({"by": name, "cut": len(cut), "found": interval, "wrong": wrong}))


if __name__ == "__main__":
    main()

"""A made-up world of two businesses, for trying federated training: each side writes its own part.

    python -m audiorec_federated.made_up music [FOLDER]     plays.csv, songs.csv, members.txt
    python -m audiorec_federated.made_up partner [FOLDER]   profiles.csv, newcomers.csv

Users have a taste that their interests tell, right for most. A sixth of them, the newcomers, has
played nothing yet. Both sides draw the same world from the same seed, so that their users are the
same people; all else would be different in two real businesses.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SEED = 4
LIKED, KNOWN = 0.8, 0.85  # plays that follow the first taste, and profiles that name it
EACH = 12  # plays of a user


class World(NamedTuple):
    """Plays and profiles by user; `held` are plays of newcomers, which neither side has."""

    plays: Mapping[str, Sequence[str]]
    profiles: Mapping[str, Mapping[str, Any]]
    held: Mapping[str, Sequence[str]]


def made_up(seed: int = SEED, *, users: int = 900, songs: int = 300, tastes: int = 10) -> World:
    """Draw a little world: what people like shows in what they play."""
    rng = np.random.default_rng(seed)
    plays: dict[str, list[str]] = defaultdict(list)
    profiles, held = {}, {}
    for n in range(users):
        taste, second = rng.integers(0, tastes, 2)
        liked = rng.random(EACH) < LIKED
        drawn = rng.zipf(1.6, EACH) % (songs // tastes)
        name = f"user-{n:04}"
        for number, like in zip(drawn, liked, strict=True):
            song = int(number) * tastes + int(taste if like else second)
            plays[name].append(f"song-{song}")
        known = taste if rng.random() < KNOWN else rng.integers(0, tastes)
        profiles[name] = {"interests": f"taste {known}|taste {second}", "age": 20 + 2 * int(taste)}
    for name in list(plays)[::6]:
        held[name] = sorted(set(plays.pop(name)))
    return World(plays, profiles, held)


def write_music(folder: Path, world: World) -> list[Path]:
    """Write what the music side has: its log, its catalogue and its members; return the files."""
    rows = [
        (user, song, "finish", f"2026-01-{1 + n % 28:02}T00:00:00Z")
        for user, songs in world.plays.items()
        for n, song in enumerate(songs)
    ]
    known = [*world.plays.values(), *world.held.values()]
    catalogue = sorted({song for songs in known for song in songs})
    log, songs, members = (folder / name for name in ("plays.csv", "songs.csv", "members.txt"))
    write_rows(log, [("user_id", "song_id", "event", "timestamp"), *rows])
    write_rows(songs, [("song_id",), *((song,) for song in catalogue)])
    members.write_text("\n".join(sorted({*world.plays, *world.held})) + "\n")
    return [log, songs, members]


def write_partner(folder: Path, world: World) -> list[Path]:
    """Write what the partner has: all profiles, and those of newcomers; return the files."""
    columns = list(next(iter(world.profiles.values())))
    files = {"profiles.csv": world.profiles, "newcomers.csv": world.held}
    for name, users in files.items():
        rows = [(user, *(world.profiles[user][one] for one in columns)) for user in users]
        write_rows(folder / name, [("user_id", *columns), *rows])
    return [folder / name for name in files]


def write_rows(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV; the first row has the names of the columns."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def main() -> None:
    """Write the part of one side."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("side", choices=("music", "partner"))
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    write = write_music if given.side == "music" else write_partner
    for path in write(given.folder, made_up()):
        print(path)


if __name__ == "__main__":
    main()

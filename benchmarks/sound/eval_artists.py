"""Count which names of artists each rule takes for one: what decision 0025 rests on.

    python -m benchmarks eval_artists DATA [--show 12]

`DATA` holds ``gtzan/artists_titles.txt`` and, unpacked, ``spotify_songs.csv`` and
``listening/lastfm2k/artists.dat``; what is not there is passed over. Each rule is the one before
it and one thing more. One JSON line a list and rule: how many artists are left, how many of them
the rule made of several, and the first of these.
"""

import argparse
import csv
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from audiorec.types import normalised_name


def no_accents(text: str) -> str:
    """Return letters without their marks."""
    apart = unicodedata.normalize("NFKD", text)
    return "".join(c for c in apart if not unicodedata.combining(c))


def no_signs(text: str) -> str:
    """Return letters and digits of any script alone, if there are any."""
    return "".join(c for c in text if c.isalnum()) or text


# Each is applied to what the rules before it leave.
RULES: dict[str, Callable[[str], str]] = {
    "as written": str,
    "case and blanks at the ends": lambda text: text.strip().casefold(),
    "blanks between": lambda text: re.sub(r"\s+", " ", text),
    "forms of Unicode": normalised_name,
    "accents": no_accents,
    "leading the": lambda text: text.removeprefix("the "),
    "& and and": lambda text: text.replace("&", "and"),
    "featured guests": lambda text: re.split(r" \(?(?:feat|ft|featuring)\b", text)[0],
    "signs": no_signs,
}


def lists(data: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each list and its artists, each spelling once."""
    found: dict[str, list[str]] = {}
    titles = data / "gtzan" / "artists_titles.txt"
    if titles.exists():
        lines = titles.read_text("ascii").splitlines()
        rows = [line.split(":::") for line in lines if ":::" in line and line[:2] != "##"]
        found["gtzan"] = [row[1].strip() for row in rows]
    lastfm = data / "listening" / "lastfm2k" / "artists.dat"
    if lastfm.exists():
        found["lastfm2k"] = [line.split("\t")[1] for line in lastfm.read_text().splitlines()[1:]]
    spotify = data / "spotify_songs.csv"
    if spotify.exists():
        with spotify.open(newline="") as file:
            found["spotify"] = [row["track_artist"] for row in csv.DictReader(file)]
    for name, artists in found.items():
        yield name, sorted({artist for artist in artists if artist})


def main() -> None:
    """Print one line a list and rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--show", type=int, default=12, help="merges to print of each rule")
    args = parser.parse_args()
    for source, names in lists(args.data):
        keys = {name: name for name in names}
        for rule, change in RULES.items():
            before: dict[str, set[str]] = {}
            for name, key in keys.items():
                keys[name] = change(key)
                before.setdefault(keys[name], set()).add(key)
            merged = {key for key, old in before.items() if len(old) > 1}
            shown = [[n for n in names if keys[n] == key] for key in sorted(merged)[: args.show]]
            line = {"bench": f"artists/{source}", "rule": rule, "artists": len(before)}
            print(json.dumps(line | {"merges": len(merged), "first": shown}, ensure_ascii=False))


if __name__ == "__main__":
    main()

"""Whether reasons and names of playlists are true, and what a library of mixed music gets of them.

    python -m benchmarks eval_reasons limits DATA               whose voice it is, on GTZAN's tracks
    python -m benchmarks eval_reasons versions STORE            versions, of files named by theirs
    python -m benchmarks eval_reasons reasons STORE [--pairs N] reasons checked against the store
    python -m benchmarks eval_reasons lists STORE [--size 14]   names beside the songs

`limits` reads the tag scores of GTZAN's 733 tracks and the artist of each (`gtzan/` in DATA): what
share of the tracks above the limit of a woman's voice, and below that of a man's, is by such a
singer? The limits were chosen on the training tracks; the test tracks are by other artists.
Intervals are Wilson's, 95 %; "even" weights women and men alike.

`reasons` draws songs of STORE and one of the five nearest of each; every reason between the two is
checked against the columns of the file, read by other code than that which made it.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from audiorec import open_store
from audiorec.playlists.library_lists import divide_library
from audiorec.search.explain import MAN, WOMAN, WOMAN_TAG, FactReader, Reason, reasons_for, sentence
from audiorec.tagger import SongLabels
from audiorec.tagger.song_labels import tagged_genre
from audiorec.tagger.weights import MSD

LISTS = ("embedding", "heard_tags")
WOMEN = """
3LW; Aaliyah; Alanis Morissette; Alicia Bridges; Amii Stewart; Ani DiFranco; Anita Ward
Aretha Franklin, Celine Dion, Mariah Carey, Shania Twain & Gloria Estefan
Barbra Streisand and Donna Summer; Blondie; Britney Spears; Celine Dion; Cher; Chic
Christina Aguilera; Diana Ross; Emmylou Harris; Evelyn Thomas; Gloria Gaynor; Janet Jackson
Jennifer Lopez; Kate Bush; Latoya Jackson; Lauryn Hill; Lipps, Inc.; Love and Kisses; Mandy Moore
Marcia Griffiths; Mariah Carey; Odyssey; Pink; Silver Convention; Spice Girls; The Supremes
The Three Degrees
"""
MEN = """
2Pac; 50 Cent; A Tribe Called Quest; AC/DC; Anthrax; Babyface; Beastie Boys; Billy Joel
Billy Squier; Black Sabbath; Bob Marley; Bob Seger; Bon Jovi; Brad Paisley; Burning Spear
Busta Rhymes; Clarence Carter; Clifton Chenier; Creed; Cypress Hill; Danzig; Dark Tranquillity
David Bowie; De La Soul; Deep Purple; Def Leppard; Dennis Brown; Desmond Dekker; Dio; Dr Dre
Earth Wind and Fire; Earth, Wind & Fire; Eminem; Enrique Iglesias; George McCrae; George Strait; GQ
Hank Williams; Harold Melvin & The Blue Notes; Ice Cube; Ini Kamoze; Iron Maiden; Jacobs Dream
Jerry Lee Lewis; Jethro Tull; Jimmie Skinner; Jimmy Cliff; John Lee Hooker; Johnny Paycheck
Johnny Preston; Johnny Rodriguez; Karl Denver; KC and The Sunshine Band; Kelly Joe Phelps
Kenny Rogers; Kentucky Headhunters; Larry Boone; Led Zeppelin; Living Colour; Megadeth
Merle Haggard; Metallica; Morphine; Motorhead; Neil Young; New Bomb Turks; Nice & Smooth
Ozzy Osbourne; Peter Brown; Prince; Queen; Rage Against The Machine; Rage Against the Machine
Ray Peterson; Rick Dees; Rick Springfield; Robert Johnson; RUN-DMC; Scorpions; Sonny Throckmorton
Stevie Ray Vaughan; Sting; Tavares; The Beach Boys; The Ethiopians; The Gibson Brothers
The Rolling Stones; The Statler Brothers; The Stone Roses; The Sugarhill Gang; The Tokens
The Trammps; The Tymes; Vince Gill; Wesley Dennis; Willie Nelson; Wu-Tang Clan
"""


def named(text: str) -> set[str]:
    """Return the artists of a table."""
    return {name.strip() for line in text.splitlines() for name in line.split(";") if name.strip()}


def interval(right: int, of: int) -> str:
    """Return a share with its 95 % interval by Wilson."""
    if not of:
        return "none"
    share, z = right / of, 1.96
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * np.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return f"{right} of {of}, {share:.3f} [{middle - half:.3f}, {middle + half:.3f}]"


def singers(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the tag of women's voices and whether a woman sings, of tracks with a known singer."""
    artists = {}
    for line in (folder / "artists_titles.txt").read_text(errors="replace").splitlines():
        if line.count(":::") == 2:
            file, artist, _ = (text.strip() for text in line.split(":::"))
            artists[file.removesuffix(".wav")] = artist
    with np.load(folder / f"{part}_msd_taggram.npz") as found:
        values, ids = found["X"][:, WOMAN_TAG], found["IDS"]
    women, men, rows = named(WOMEN), named(MEN), []
    for track in np.unique(ids):
        artist = artists.get(Path(str(track)).stem, "")
        if artist in women | men:
            rows.append((values[ids == track].mean(), artist in women))
    made = np.asarray(rows)
    return made[:, 0], made[:, 1] > 0


def limits(data: Path) -> None:
    """Print how often the two limits of a voice are right."""
    print(f"tag {MSD.tags[WOMAN_TAG]!r}: a woman from {WOMAN}, a man up to {MAN}\n")
    print("| tracks | voice | right | even | found of all |\n|---|---|---|---|---|")
    for part in ("train", "test"):
        tag, is_woman = singers(data / "gtzan", part)
        voices = (("woman", tag >= WOMAN, is_woman), ("man", tag <= MAN, ~is_woman))
        for name, told, truth in voices:
            right, wrong = told[truth].mean(), told[~truth].mean()
            of_all = interval(int(told[truth].sum()), int(told.sum()))
            even = right / (right + wrong)
            print(f"| {part}, {len(tag)} | {name} | {of_all} | {even:.3f} | {right:.2f} |")


STEMS = {"_inst": "instrumental", "_mix": "voice", "_voice": "voice alone", "coulton": "voice"}


def versions(path: Path) -> None:
    """Print what is told of stems and songs whose names say what they are (``version2``)."""
    store = open_store(path)
    for stem, truth in STEMS.items():
        names = [Path(name).stem for name in store.ids]
        is_one = [name.endswith(stem) or (stem in name and stem[0] != "_") for name in names]
        rows = np.flatnonzero(is_one)
        told = Counter(facts.version or "nothing" for facts in FactReader(store).of_rows(rows))
        voices = Counter(facts.singer or "nothing" for facts in FactReader(store).of_rows(rows))
        print(f"{stem}, {truth}, {len(rows)}: {dict(told)}; voices {dict(voices)}")


class Columns:
    """The columns of a store as its file has them."""

    def __init__(self, path: Path) -> None:
        self.table = pq.read_table(path)
        self.about = open_store(path).metadata

    def get(self, name: str, row: int) -> Any:
        """Return a value; None for a column that is not there."""
        return self.table.column(name)[row].as_py() if name in self.table.column_names else None

    def mean(self, name: str, row: int) -> float:
        """Return a mean score."""
        at = self.about.classes.index(name) * len(self.about.statistics)
        return float(self.get("vector", row)[at + self.about.statistics.index("mean")])

    def version(self, row: int) -> str:
        """Return what the mean scores of the version head say by the limits of decision 0059."""
        alone, band, both = (
            self.mean(f"version/{name}", row)
            for name in ("vocal", "instrumental", "vocal_accompaniment")
        )
        if alone >= 0.6:
            return "voice alone"
        return "instrumental" if band >= 0.75 else "voice" if alone + both >= 0.7 else ""


def is_true(reason: Reason, columns: Columns, rows: tuple[int, int]) -> bool:
    """Check one reason against the columns of both songs."""
    values = [columns.get(reason.kind, row) for row in rows]
    if reason.kind == "artist":
        return bool(values[0]) and values[0].casefold().split() == values[1].casefold().split()
    if reason.kind == "year":
        return values[0] == values[1] is not None
    if reason.kind == "tempo":
        bpm = [columns.get("bpm", row) for row in rows]
        sure = all(columns.get("bpm_confidence", row) >= 0.9 for row in rows)
        ratio = max(bpm) / min(bpm)
        told = list(reason.values) == bpm
        return told and sure and (ratio <= 1.04 if reason.in_common else ratio >= 1.25)
    if reason.kind == "key":
        names = [f"{columns.get('key', row)} {columns.get('scale', row)}" for row in rows]
        return list(reason.values) == names and all(
            columns.get("key_confidence", row) >= 0.9 for row in rows
        )
    if reason.kind == "loudness":
        levels = [columns.get("loudness_lufs", row) for row in rows]
        if not reason.in_common:
            return abs(levels[0] - levels[1]) >= 8
        return all(level <= -23 for level in levels) or all(level >= -8 for level in levels)
    if reason.kind == "version":
        return [columns.version(row) for row in rows] == list(reason.values)
    if reason.kind == "singer":
        tags = [columns.get("heard_tags", row)[WOMAN_TAG] for row in rows]
        said = ["woman" if tag >= 0.12 else "man" if tag <= 0.05 else "" for tag in tags]
        return said == list(reason.values) and {columns.version(row) for row in rows} == {"voice"}
    return _label_is_true(reason, columns, rows)


def _label_is_true(reason: Reason, columns: Columns, rows: tuple[int, int]) -> bool:
    """Check a genre or a style, song by song: by its genre tag, or clear by its own columns."""
    head = SongLabels.shipped()
    for row, value in zip(rows, reason.values, strict=True):
        tag = tagged_genre(columns.get("genre_tag", row))
        if tag is not None and value in (*tag.genres, *tag.styles):
            continue
        lists = [np.asarray([columns.get(name, row)]) for name in LISTS]
        label = head.label(head.of(*lists), 0)
        clear = label is not None and (label.styles + (label.genre,) * label.genre_clear)
        if not clear or value not in clear:
            return False
    return True


def reasons(path: Path, pairs: int, seed: int) -> None:
    """Check the reasons of neighbours, and print how many pairs have none, by folder."""
    store, columns = open_store(path), Columns(path)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.flatnonzero(store.music))
    kinds: Counter[str] = Counter()
    none: dict[str, list[bool]] = {}
    wrong, checked, shown = 0, 0, 0
    for row in rows[: pairs or len(rows)]:
        near = store.similar(store.ids[row], 5).rows
        if not len(near):
            continue
        both = (int(row), int(rng.choice(near)))
        first, second = store.facts.of_rows(both)
        found = reasons_for(first, second, store.usual)
        none.setdefault(store.ids[row].partition("/")[0], []).append(not sentence(found))
        for reason in found:
            kinds[f"{reason.kind} {'shared' if reason.in_common else 'apart'}"] += 1
            checked += 1
            if not is_true(reason, columns, both):
                wrong += 1
                print("FALSE:", reason, *(store.ids[one] for one in both))
        if shown < 25:
            shown += 1
            names = " | ".join(store.ids[one][-40:] for one in both)
            print(f"{names}: {sentence(found) or '-'}")
    print(f"\n{checked} reasons checked, {wrong} false; {dict(kinds)}")
    every = [one for of in none.values() for one in of]
    print(f"pairs without a reason: {interval(sum(every), len(every))}")
    for folder, of in sorted(none.items()):
        print(f"  {folder}: {interval(sum(of), len(of))}")


def lists(path: Path, size: int) -> None:
    """Print the names of playlists with the share of songs that have it, and the songs."""
    divided = divide_library(open_store(path), size=size)
    for one in divided:
        share = "" if one.naming.share is None else f" ({one.naming.share:.0%} of {len(one)})"
        print(f"{one.name}{share}\n    {', '.join(i[-28:] for i in one.song_ids[:12])}")
    shares = [one.naming.share for one in divided if one.naming.share is not None]
    around = sum(bool(one.naming.around) for one in divided)
    print(f"\n{len(divided)} lists, {around} named after a song; least share {min(shares):.2f}")


def main() -> None:
    """Run one of the four."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("what", choices=["limits", "versions", "reasons", "lists"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--size", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if asked.what == "limits":
        limits(asked.path)
    elif asked.what == "versions":
        versions(asked.path)
    elif asked.what == "reasons":
        reasons(asked.path, asked.pairs, asked.seed)
    else:
        lists(asked.path, asked.size)


if __name__ == "__main__":
    main()

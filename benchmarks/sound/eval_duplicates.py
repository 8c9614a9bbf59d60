"""Copies of one recording: which are found, and what else is taken for one.

    python -m benchmarks eval_duplicates library MUSIC DATA --work WORK

A library of 300 pieces (half minutes of them) and 120 copies of 40 of them: in five encodings, 8 dB
quieter, at 22 kHz, beginning 2 s later, after 2 s of silence, and without what lies above 4 kHz
(the lowest bit rate and the band are called hard);
and 24 songs as they are sung and as instrumental versions. MUSIC holds unpacked packages, DATA the
clips of GTZAN, songs of one singer, and songs whose accompaniment is known apart. The twelve
packages and the half of MIR-1K's singers by which the limits were chosen are left out; they are
read with ``--chosen``. WORK keeps the audio and the store; a second call goes on from there. One
JSON line: copies found by kind, pairs of others taken for one recording, songs and instrumental
versions taken for one, and copies that stand together in the lists near each song.

    python -m benchmarks eval_duplicates size STORE [--songs 100000]

What it costs to look for copies in a store of that many songs by 8,000 artists: those of STORE,
each many times, changed a little more than copies are, with lengths drawn from those of songs. One
JSON line: CPU seconds to compare all at once, then 1, 10, 100 new ones and none, with reading and
writing of the file beside the store; CPU milliseconds for new ones as the rows of the store pass by
(three tries); to read what is known, as each list does; and CPU seconds for the store itself to
take up a song, reading its keys and writing it anew.

    python -m benchmarks eval_same_song MUSIC --work WORK     makes the audio and the stores
    python -m benchmarks eval_duplicates parts WORK

WORK holds the same 30-second parts as FLAC, MP3 (128 kbit/s) and Ogg Vorbis, up to eight of one
song; the 10 dB quieter ones are left out. All are put into one store. Lengths tell nothing here,
and parts of one song are the nearest misses that there are. One JSON line: pairs of encodings of
one part that are found; pairs that are found and are other parts of one song, which loops make
alike; and songs of which parts are found together, by name, to be listened to.
"""

import argparse
import json
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations, zip_longest
from pathlib import Path
from typing import Any, TypeVar

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
import av
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import soundfile
import soxr
from eval_instrumentals import LEAST_S
from eval_instrumentals import songs as known_apart
from eval_same_song import Samples, songs, write
from sound_data import JUDGED

from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.pipeline import ExtractorConfig
from audiorec.extraction.run import RunOptions, make_outputs, run
from audiorec.files.tables import write_plain
from audiorec.library.library import Library
from audiorec.recall.judging.judge import Cost, peak_bytes
from audiorec.search.copies import find_duplicates
from audiorec.store.journal import Journal, Outputs
from audiorec.store.links import Newcomers, links_path, numbers_of, read_links, update_links
from audiorec.store.schema import METADATA_KEY, StoreMetadata, list_type, write_table
from audiorec.tagger.vectors import shipped_sound

T = TypeVar("T")
LENGTH_S = 30.0
LATER_S = 2
ARTISTS = 8_000  # of a store that is measured
SONGS, COPIED, VERSIONS = 300, 40, 24
KINDS = ("mp3", "mp3 low", "vorbis", "opus", "aac", "quiet", "rate", "later", "lead", "band")
SUFFIX = {"mp3": ".mp3", "mp3 low": ".mp3", "vorbis": ".ogg", "opus": ".opus", "aac": ".m4a"}
CODECS: dict[str, dict[str, Any]] = {
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3 low": {
        "format": "MP3",
        "subtype": "MPEG_LAYER_III",
        "bitrate_mode": "CONSTANT",
        "compression_level": 0.93,  # about 48 kbit/s
    },
}
FRAME = 1_024  # samples of an AAC frame
HARD = ("mp3 low", "band")  # beyond what other encodings do
ENCODINGS = ("flac", "mp3", "vorbis")


def corpora(music: Path, data: Path, *, chosen: bool) -> dict[str, list[Path]]:
    """Return the pieces of each corpus by which the limits were chosen, or of the others."""
    found = defaultdict(list)
    for path, length in songs(music):
        if length >= LENGTH_S:
            found[path.relative_to(music).parts[0]].append(path)
    for path in sorted((data / "gtzan" / "audio").glob("*/*.ogg")):
        found[f"gtzan {path.parent.name}"].append(path)
    found["coulton"] = sorted((data / "version2" / "ultrastar_coulton").glob("*.ogg"))
    return {name: found[name] for name in sorted(found) if (name in JUDGED) == chosen}


def in_turn(groups: Mapping[str, Sequence[T]], most: int) -> list[tuple[str, T]]:
    """Take one of each group in turn."""
    turns = zip_longest(*groups.values())
    taken = [(n, one) for turn in turns for n, one in zip(groups, turn, strict=True)]
    return [(name, one) for name, one in taken if one is not None][:most]


def changed(samples: Samples, rate: int, kind: str) -> tuple[Samples, int]:
    """Return the samples of a copy, and their rate."""
    silence = np.zeros((LATER_S * rate, samples.shape[1]), np.float32)
    match kind:
        case "quiet":
            return samples * np.float32(10 ** (-8 / 20)), rate
        case "rate":
            return resampled(samples, rate, 22_050), 22_050
        case "later":
            return samples[len(silence) :], rate
        case "lead":
            return np.concatenate([silence, samples]), rate
        case "band":
            return resampled(resampled(samples, rate, 8_000), 8_000, rate), rate
    return samples, rate


def resampled(samples: Samples, rate: int, new: int) -> Samples:
    """Return the samples at another rate."""
    return soxr.resample(samples, rate, new).astype(np.float32)


def write_copy(path: Path, samples: Samples, rate: int, kind: str) -> None:
    """Write a piece as one kind of copy; the five encodings are as strong as they are usual."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "aac":
        return write_aac(path, samples, rate)
    if kind in CODECS:
        if kind == "opus":
            rate, samples = 48_000, resampled(samples, rate, 48_000)
        with soundfile.SoundFile(path, "w", rate, samples.shape[1], **CODECS[kind]) as file:
            for start in range(0, len(samples), rate):
                file.write(samples[start : start + rate])
        return None
    samples, rate = changed(samples, rate, kind)
    return write(path, samples, rate, kind)


def write_aac(path: Path, samples: Samples, rate: int) -> None:
    """Write AAC of 96 kbit/s, as M4A."""
    layout = "stereo" if samples.shape[1] == 2 else "mono"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=rate, layout=layout)
        stream.bit_rate = 96_000
        for start in range(0, len(samples), FRAME):
            block = np.ascontiguousarray(samples[start : start + FRAME].T)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def sung_and_not(data: Path, *, chosen: bool) -> dict[str, list[tuple[str, Any, int]]]:
    """Return songs that are known with and without their voice, by singer or folder."""
    found = defaultdict(list)
    for name, versions, rate in known_apart(data):
        if len(versions["sung"]) >= LEAST_S * rate:
            singer = name.rpartition("_")[0] if name.startswith("mir1k") else name.partition("/")[0]
            found[singer].append((name, versions, rate))
    singers = sorted(name for name in found if name.startswith("mir1k"))
    half = singers[::2] if chosen else [*singers[1::2], *sorted(found.keys() - set(singers))]
    return {name: found[name] for name in half}


def make_library(music: Path, data: Path, work: Path, *, chosen: bool) -> Library:
    """Write the audio of the library, and extract it."""
    made = in_turn(corpora(music, data, chosen=chosen), SONGS)
    for number, (corpus, source) in enumerate(made):
        folder = work / "audio" / corpus / source.stem
        kinds = [KINDS[(number + step) % len(KINDS)] for step in (0, 3, 6)]
        for kind in ["flac", *(kinds if number < COPIED else [])]:
            path = folder / f"{kind}{SUFFIX.get(kind, '.flac')}"
            if not path.exists():
                with soundfile.SoundFile(source) as file:
                    rate = file.samplerate
                    samples = file.read(round(LENGTH_S * rate), dtype="float32", always_2d=True)
                write_copy(path, samples[:, :2], rate, kind)
    for _, (name, versions, rate) in in_turn(sung_and_not(data, chosen=chosen), VERSIONS):
        for version, kind in (("sung", "flac"), ("instrumental", "mp3")):
            path = work / "audio" / "versions" / name / f"{version}{SUFFIX.get(kind, '.flac')}"
            if not path.exists():
                write_copy(path, versions[version], rate, kind)
    config = ExtractorConfig(attributes=True, sound=True)
    outputs = make_outputs(work / "vecs.parquet")
    run(find_songs([work / "audio"]), outputs, config=config, options=RunOptions(jobs=1))
    return Library.open(work / "vecs.parquet")


def judge_library(store: Library) -> dict[str, object]:
    """Count what is taken for one recording, and what stands together in the lists."""
    row_of = {str(Path(song).with_suffix("")): row for row, song in enumerate(store.ids)}
    codes = store.recordings.codes
    found: Counter[str] = Counter()
    there: Counter[str] = Counter()
    original: dict[int, int] = {}  # of the copies
    for name, row in row_of.items():
        folder, _, kind = name.rpartition("/")
        if kind == "sung":
            other = row_of[f"{folder}/instrumental"]
            there["sung and instrumental"] += 1
            found["sung and instrumental"] += codes[row] >= 0 and codes[row] == codes[other]
        elif kind in KINDS:
            original[row] = other = row_of[f"{folder}/flac"]
            there[kind] += 1
            found[kind] += codes[row] >= 0 and codes[row] == codes[other]
    one = [original.get(row, row) for row in range(len(store))]
    pairs = [(a, b) for a, b in combinations(np.flatnonzero(codes >= 0), 2) if codes[a] == codes[b]]
    return {
        "songs": len(store),
        "copies_found": {kind: f"{found[kind]} of {there[kind]}" for kind in there},
        "other_pairs": sorted(
            {(store.ids[one[a]], store.ids[one[b]]) for a, b in pairs if one[a] != one[b]}
        ),
        **together_in_lists(store, one),
    }


def together_in_lists(store: Library, one: Sequence[int]) -> dict[str, object]:
    """Count copies of one recording within the 20 songs near each song; the hard kinds apart."""
    hard = {row for row, song in enumerate(store.ids) if Path(song).stem in HARD}
    pairs = hard_pairs = 0
    for row, song in enumerate(store.ids):
        listed = [row, *store.similar(song, 20, minimum=-1).rows.tolist()]
        for a, b in combinations(listed, 2):
            if one[a] == one[b]:
                hard_pairs += a in hard or b in hard
                pairs += a not in hard and b not in hard
    return {"copies_in_one_list": pairs, "of_hard_kinds": hard_pairs}


def tagged(store: Library, path: Path) -> Library:
    """Return a copy of a store in which the pieces have their names as titles, and an artist."""
    table = store.table()
    folders = [Path(song).parent for song in store.ids]
    texts = {
        "title": [folder.name for folder in folders],
        "artist": [folder.parent.name for folder in folders],
    }
    for name, values in texts.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, pa.string()))
    write_table(path, table, store.metadata)
    update_links(path)
    return Library.open(path)


def repeated(store: Library, path: Path, songs: int) -> Library:
    """Return a store of so many songs: those of another, changed a little more than copies are."""
    rng = np.random.default_rng(0)
    rows = np.arange(songs) % len(store)
    table = store.table().take(pa.array(rows))
    embedding = np.asarray(store.read_list("embedding")[1], np.float32)[rows]
    embedding *= 1 + 0.3 * rng.standard_normal(embedding.shape, np.float32)
    columns = {
        "song_id": pa.array([f"{n:07}" for n in range(songs)]),
        "content_hash": pa.array([rng.bytes(16).hex() for _ in range(songs)]),
        "title": pa.array([f"Song {n} (remastered)" for n in range(songs)]),
        "artist": pa.array([f"Artist {n}" for n in rng.integers(0, ARTISTS, songs)]),
        "duration_s": pa.array(np.clip(rng.normal(230, 70, songs), 30, 900), pa.float32()),
        "embedding": list_column("embedding", embedding.astype(np.float16)),
        "sound": list_column("sound", shipped_sound().project(embedding)),
    }
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), values)
    write_table(path, table, store.metadata)
    return Library.open(path)


def list_column(name: str, values: Any) -> Any:
    """Return the rows of a matrix as one of the store's columns of lists."""
    offsets = pa.array(np.arange(len(values) + 1, dtype=np.int32) * values.shape[1])
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel()), list_type(name))


def costs(store: Library) -> dict[str, object]:
    """Return the CPU seconds and peak of memory of comparing all songs, a few new ones and none."""
    found: dict[str, object] = {"songs": len(store)}
    for name, count in (("all", len(store)), ("1", 1), ("10", 10), ("100", 100), ("0", 0)):
        if count < len(store):
            forget(store, np.arange(0, len(store), len(store) // count) if count else [])
        cost = Cost.started()
        assert update_links(store.path) == count
        found[f"cpu_s_{name}"] = round(cost.lap(), 2)
        found[f"peak_mb_{name}"] = round(peak_bytes() / 1e6)
    for count in (1, 10, 100):
        found[f"cpu_ms_{count}_in_passing"] = in_passing(store, count)
    cost = Cost.started()
    links = read_links(store)
    assert links is not None
    found |= {"cpu_s_to_read": round(cost.lap(), 2), "links": len(links.pairs)}
    return {**found, **adding(store)}


def in_passing(store: Library, count: int) -> list[float]:
    """Return the CPU time of comparing so many new songs as rows pass by, of three tries, in ms."""
    batches = store.table().to_batches()
    rows = np.arange(count) * (len(store) // count) + 1
    tries = []
    for _ in range(3):
        forget(store, rows)
        newcomers = Newcomers(store.path)
        new = store.table().take(pa.array(rows))
        cost = Cost.started()
        for _ in newcomers.pass_by(new, batches, store.metadata):
            pass
        assert update_links(store.path, newcomers) == count
        tries.append(round(1000 * cost.lap(), 1))
    return tries


def adding(store: Library) -> dict[str, float]:
    """Return the CPU seconds in which the store itself takes up one song, without copies."""
    outputs = Outputs(vectors=store.path, errors=store.path.with_name("errors.parquet"))
    cost = Cost.started()
    with Journal.open(outputs, store.metadata) as journal:
        song = store.row(store.ids[0])
        changes = {"song_id": "new", "content_hash": "f" * 32, "title": "New"}
        journal.append_copy(song["content_hash"], changes)
        opened = cost.lap()
        journal.commit()
    return {"cpu_s_store_opened": round(opened, 2), "cpu_s_store_written": round(cost.lap(), 2)}


def forget(store: Library, rows: Sequence[int]) -> None:
    """Take some audio out of the file beside a store, as if it were new."""
    path = links_path(store.path)
    table = pq.read_table(path)
    hashes = store.column("content_hash").take(pa.array(rows, pa.int64()))
    gone = pa.array(numbers_of(hashes))
    ends = (pc.is_in(table[name], value_set=gone) for name in ("audio", "other"))
    write_plain(path, table.filter(pc.invert(pc.or_(*ends))))


def joined(work: Path, name: str, folder: Path) -> Path:
    """Write the rows of all encodings to one file; ids are ``<encoding>/<part>``."""
    tables = []
    for encoding in ENCODINGS:
        table = pq.read_table(work / encoding / name)
        ids = [f"{encoding}/{Path(i).with_suffix('')}" for i in table["song_id"].to_pylist()]
        at = table.schema.get_field_index("song_id")
        field = table.schema.field(at)
        tables.append(table.set_column(at, field, pa.array(ids)))
    whole = pa.concat_tables(tables)
    metadata = StoreMetadata.from_json(whole.schema.metadata[METADATA_KEY])
    write_table(folder / name, whole, metadata)
    return folder / name


def judge_parts(store: Library) -> dict[str, object]:
    """Count true and false pairs, over all pairs within a group that was found."""
    parts = [song_id.partition("/")[2] for song_id in store.ids]
    songs = [part.rpartition("/")[0] for part in parts]
    true = sum(n * (n - 1) // 2 for n in np.unique(parts, return_counts=True)[1])
    good = of_one_song = 0
    others: set[tuple[str, str]] = set()
    for group in find_duplicates(store):
        for i, a in enumerate(group.rows):
            for b in group.rows[:i]:
                good += parts[a] == parts[b]
                of_one_song += parts[a] != parts[b] and songs[a] == songs[b]
                if songs[a] != songs[b]:
                    others.add((min(songs[a], songs[b]), max(songs[a], songs[b])))
    return {
        "songs": len(store),
        "true_pairs": int(true),
        "found": int(good),
        "other_parts_of_one_song": int(of_one_song),
        "two_songs": sorted(others),
    }


def main() -> None:
    """Run one of the three parts, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="part", required=True)
    of_library = commands.add_parser("library")
    of_library.add_argument("music", type=Path)
    of_library.add_argument("data", type=Path)
    of_library.add_argument("--work", type=Path, required=True)
    of_library.add_argument("--chosen", action="store_true")
    of_size = commands.add_parser("size")
    of_size.add_argument("store", type=Path)
    of_size.add_argument("--songs", type=int, default=100_000)
    commands.add_parser("parts").add_argument("work", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if args.part == "library":
            store = make_library(args.music, args.data, args.work, chosen=args.chosen)
            for tags, one in (
                ("none", store),
                ("title, artist", tagged(store, folder / "t.parquet")),
            ):
                say("library", tags=tags, **judge_library(one))
        elif args.part == "size":
            say(
                "size",
                **costs(repeated(Library.open(args.store), folder / "s.parquet", args.songs)),
            )
        else:
            say("parts", **judge_parts(Library.open(joined(args.work, "vecs.parquet", folder))))


def say(part: str, **figures: object) -> None:
    """Print one JSON line."""
    print(json.dumps({"bench": "duplicates", "part": part, **figures}), flush=True)


if __name__ == "__main__":
    main()

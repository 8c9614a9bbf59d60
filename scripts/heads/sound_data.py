"""Pieces of music, whole, cut and changed: what the projection of sound learns and is judged by.

A piece is one file of a soundtrack, in a folder of unpacked packages (`unpack_packages.sh`), or one
song of the labelled corpora; clips of GTZAN only judge. The parts of a piece are 30 s long, do not
overlap, and count as songs of their own: each is brought to one loudness by itself. A change is
what may happen to a recording on its way to a library: another encoding, band, level or beginning.

What a network says of a piece is computed once and kept as npy, one file per piece, change and
network: one row per part, the columns of `COLUMNS`. The name of the file carries the checksums of
the network and the spec, so that a stale one is never read.
"""

import hashlib
import io
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import head_augment as augment
import numpy as np
import numpy.typing as npt
import soundfile
from head_data import OTHER, SAMPLE_RATE, Channel, read_channel, version_clips
from head_packages import MUSIC, SOUNDTRACKS
from head_voices import voice_clips

from audiorec.audio.segment import segments
from audiorec.spec import FeatureSpec
from audiorec.tagger.backbone import load_backbone, open_session
from audiorec.tagger.features import OUTPUT_WIDTHS, in_batches
from audiorec.tagger.heads import Head, Heads, shipped_heads
from audiorec.tagger.vectors import summarise
from audiorec.tagger.weights import MSD
from audiorec.types import Features, FloatArray

SPEC = FeatureSpec()
PART_S = 30.0
LATER_S = 2.0
MAX_PARTS = 8  # of one piece
SUFFIXES = (".ogg", ".opus", ".mp3", ".flac", ".wav")
MIN_BYTES = 200_000  # below, it is a sound of a game
MOST_S = 900.0  # of a piece
# Packages by which spaces are judged: those of decision 0006.
JUDGED = (
    "asc-music", "domino-chain-music", "drascula-music", "fretsonfire-songs-muldjord",
    "fretsonfire-songs-sectoid", "hyperrogue-music", "lincity-ng-data", "marsshooter-data",
    "planetblupi-music-ogg", "singularity-music", "warzone2100-music", "wesnoth-1.18-music",
)  # fmt: skip
MOST_PIECES = 24  # of a package that is only learnt from
MOST_CHANGED = 8  # of a package whose first part is changed as well
FEW_PARTS, FEW_S = 3, 95.0  # of each of its pieces
# Finished songs with a voice, below `version2`; all others there are shorter than two parts.
SUNG = {
    "ultrastar_coulton": "*.ogg",
    "everything_is_free_cc0": "*_mix.ogg",
    "jingju_arias": "*_mix.ogg",
}
UNKNOWN = ("tune", "waivops_loops")  # may hold cuts of songs that judge, and what lies beside them
HALF_MINUTES, SHORT = "gtzan", "gtzan_actcv"
VECTOR = "vector"
# The columns of a row, and their number: means over the segments, and the vector.
COLUMNS = {
    "msd": {"penultimate": 200, "mean_pool": 753, "max_pool": 753, "tags": 50, VECTOR: 84},
    "mtt": {"penultimate": 200},
}
# Not shipped: `python scripts/musicnn/convert_musicnn.py --network mtt --out CACHE` makes it.
MTT_FILE = "musicnn_mtt.onnx"
SHA256 = {
    "msd": MSD.sha256,
    "mtt": "3380f0a9ed5685dd19de6c90473767930dca12a2ddf422920392be3e49a55cf0",
}

Change = Callable[[FloatArray, np.random.Generator], FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One recording.

    Attributes
    ----------
    corpus : str
        Package or folder that it comes from.
    name : str
        Unique among all pieces.
    path : Path
    channel : {"mix", "left", "right"}
    parts : int
        At most, of those that it is cut into.
    most_s : float
        Of its beginning that is read.
    """

    corpus: str
    name: str
    path: Path
    channel: Channel = "mix"
    parts: int = MAX_PARTS
    most_s: float = MOST_S


def judged_pieces(music: Path) -> list[Piece]:
    """Return all pieces of the twelve packages by which spaces are judged, by name."""
    return [piece for piece in _pieces(music) if piece.corpus in JUDGED]


def other_pieces(music: Path, data: Path) -> list[Piece]:
    """Return pieces that are only learnt from: of other packages, and songs with a voice."""
    found = spread([piece for piece in _pieces(music) if piece.corpus not in JUDGED])
    for corpus, pattern in SUNG.items():
        for path in sorted((data / "version2" / corpus).glob(pattern)):
            found.append(Piece(corpus=corpus, name=f"{corpus}/{path.stem}", path=path))
    return [replace(piece, parts=FEW_PARTS, most_s=FEW_S) for piece in found]


def short_pieces(data: Path) -> list[Piece]:
    """Return clips of voices and instruments, one part each: what numbers are usual in music."""
    labelled = [*version_clips(data), *voice_clips(data)]
    kept = [c for c in labelled if c.label != OTHER and c.corpus not in {*SUNG, *UNKNOWN}]
    return [
        Piece(corpus=c.corpus, name=f"{c.corpus}/{c.path.stem}", path=c.path, parts=1, most_s=FEW_S)
        for c in kept
        if c.corpus != "mir1k" or c.channel == "mix"
    ]


def clips(data: Path) -> list[Piece]:
    """Return the clips that judge by genre and never teach: half minutes, then short ones."""
    folders = {HALF_MINUTES: data / "gtzan" / "audio", SHORT: data / "genre2" / "gtzan_actcv"}
    return [
        Piece(corpus=corpus, name=f"{corpus}/{path.parent.name}/{path.stem}", path=path)
        for corpus, folder in folders.items()
        for path in sorted(folder.rglob("*.ogg"))
    ]


def spread(pieces: Sequence[Piece], most: int = MOST_PIECES) -> list[Piece]:
    """Return at most so many of each package, spread over all."""
    by_package = defaultdict(list)
    for piece in pieces:
        by_package[piece.corpus].append(piece)
    return [p for own in by_package.values() for p in own[:: -(-len(own) // most)]]


def once(pieces: Sequence[Piece]) -> list[Piece]:
    """Return a few pieces of each package, of which only the first part is taken."""
    return [replace(piece, parts=1) for piece in spread(pieces, MOST_CHANGED)]


def songs(music: Path) -> Iterator[tuple[Path, float]]:
    """Yield every song once, by soundtrack and file name, with its length in seconds."""
    seen = set()
    for path in sorted(music.rglob("*")):
        key = (path.relative_to(music).parts[0], path.name)
        if path.suffix not in SUFFIXES or path.stat().st_size < MIN_BYTES or key in seen:
            continue
        seen.add(key)
        try:
            yield path, soundfile.info(path).duration
        except soundfile.LibsndfileError:
            continue


def _pieces(music: Path) -> list[Piece]:
    """Return the pieces of all packages; stop if one is absent, for another file would come out."""
    sources = {corpus.folder for corpus in MUSIC} | set(SOUNDTRACKS)
    if absent := sorted(name for name in sources if not (music / name).is_dir()):
        sys.exit(f"error: {music} lacks the unpacked packages {', '.join(absent)}")
    found = []
    for path, length in songs(music):
        package = path.relative_to(music).parts[0]
        if package in sources and length >= PART_S + LATER_S:
            found.append(Piece(corpus=package, name=f"{package}/{path.stem}", path=path))
    return found


def vorbis(samples: FloatArray, _rng: np.random.Generator) -> FloatArray:
    """Return what is left after Ogg Vorbis at 44.1 kHz."""
    peak = max(float(np.abs(samples).max()), 1e-6)
    wide = augment.soxr.resample(samples / peak, SAMPLE_RATE, augment.SHOP_RATE, quality="HQ")
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", augment.SHOP_RATE, 1, format="OGG", subtype="VORBIS"
    ) as file:
        for start in range(0, len(wide), augment.SHOP_RATE):  # libsndfile fails on long writes
            file.write(wide[start : start + augment.SHOP_RATE])
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    narrow = augment.soxr.resample(decoded, augment.SHOP_RATE, SAMPLE_RATE, quality="HQ")
    return augment.fit(narrow * peak, len(samples))


def clipped(samples: FloatArray, decibels: float) -> FloatArray:
    """Return a copy that is that much too loud for its file."""
    peak = max(float(np.abs(samples).max()), 1e-6)
    return np.clip(samples / peak * 10 ** (decibels / 20), -1, 1).astype(np.float32)


def at_random(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Change the encoding, band or level, in one of six ways."""
    ways: Sequence[Callable[[], FloatArray]] = (
        lambda: augment.mp3(samples, int(rng.choice([40, 48, 64, 96, 128]))),
        lambda: augment.aac(samples, int(rng.integers(24, 97))),
        lambda: vorbis(samples, rng),
        lambda: augment.low_pass(samples, float(np.exp(rng.uniform(np.log(3000), np.log(7500))))),
        lambda: augment.telephone(samples),
        lambda: clipped(samples, float(rng.uniform(3, 12))),
    )
    return ways[rng.integers(len(ways))]()


CHANGES: dict[str, Change] = {
    "as it is": lambda x, _: x,
    "at random": at_random,
    "-10 dB": lambda x, _: (x * 10 ** (-10 / 20)).astype(np.float32),
    "+6 dB": lambda x, _: clipped(x, 6.0),
    "mp3 128": lambda x, _: augment.mp3(x, 128),
    "mp3 40": lambda x, _: augment.mp3(x, 40),
    "vorbis": vorbis,
    "aac 64": lambda x, _: augment.aac(x, 64),
    "4 kHz": lambda x, _: augment.low_pass(x, 4000.0),
    "phone": lambda x, _: augment.telephone(x),
}
LATER = "2 s later"  # a change of the cut, not of the samples
WHOLE = "whole"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """What the networks say of n recordings, row by row.

    Attributes
    ----------
    corpus, piece : ndarray, shape (n,), str
    part : ndarray, shape (n,), int64
        Number of the part within its piece.
    said : mapping of str to ndarray, shape (n, width), float32
        By column, for example "msd.penultimate".
    """

    corpus: npt.NDArray[np.str_]
    piece: npt.NDArray[np.str_]
    part: npt.NDArray[np.int64]
    said: Mapping[str, FloatArray]

    def __len__(self) -> int:
        return len(self.piece)

    def take(self, which: npt.NDArray[np.generic]) -> "Rows":
        """Return some rows, chosen by a mask or by their numbers."""
        said = {column: values[which] for column, values in self.said.items()}
        corpus, piece, part = self.corpus[which], self.piece[which], self.part[which]
        return Rows(corpus=corpus, piece=piece, part=part, said=said)

    def joined(self, *others: "Rows") -> "Rows":
        """Return these rows and those of others; of the columns, those that all have."""
        every = (self, *others)
        shared = [c for c in self.said if all(c in rows.said for rows in others)]
        return Rows(
            corpus=np.concatenate([rows.corpus for rows in every]),
            piece=np.concatenate([rows.piece for rows in every]),
            part=np.concatenate([rows.part for rows in every]),
            said={c: np.concatenate([rows.said[c] for rows in every]) for c in shared},
        )


def read_rows(
    pieces: Sequence[Piece], change: str, cache: Path, networks: Sequence[str] = ("msd",)
) -> Rows:
    """Return the rows of all parts of pieces under a change, from the cache or the audio."""
    extractors = [Extractor(cache, network) for network in networks]
    found: dict[str, list[FloatArray]] = defaultdict(list)
    counts = []
    for piece in pieces:
        for extractor in extractors:
            rows = extractor.rows(piece, change)
            bounds = np.cumsum(list(extractor.columns.values()))[:-1]
            for column, block in zip(extractor.columns, np.split(rows, bounds, 1), strict=True):
                found[f"{extractor.network}.{column}"].append(block)
        counts.append(len(rows))
    return Rows(
        corpus=np.repeat([piece.corpus for piece in pieces], counts),
        piece=np.repeat([piece.name for piece in pieces], counts),
        part=np.concatenate([np.arange(count) for count in counts]),
        said={column: np.concatenate(blocks) for column, blocks in found.items()},
    )


class Extractor:
    """Computes what one network says of pieces, and keeps it.

    Parameters
    ----------
    cache : Path
    network : {"msd", "mtt"}
    """

    def __init__(self, cache: Path, network: str) -> None:
        cache.mkdir(parents=True, exist_ok=True)
        self.cache, self.network = cache, network
        self.columns = COLUMNS[network]
        self._features = _features_of(network, cache)
        self._heads = Heads([Head.load(path) for path in shipped_heads()])

    def rows(self, piece: Piece, change: str) -> FloatArray:
        """Return one row a part of the piece under the change: (P, columns), float32.

        "whole" has one row: the piece from its first second to its last.
        """
        target = self.cache / f"{self._key(piece, change)}.npy"
        if target.exists():
            kept: FloatArray = np.load(target)
            return kept
        found = np.stack([self.row(samples) for samples in cuts(piece, change)])
        partial = target.with_suffix(".partial.npy")
        np.save(partial, found)
        partial.rename(target)
        return found

    def row(self, samples: FloatArray) -> FloatArray:
        """Return the row of one recording: (columns,), float32."""
        mels = np.stack([segment.log_mel for segment in segments([samples], SPEC)])
        said = self._features(mels)
        blocks = [
            summarise(self._heads.scores({self.network: said}))
            if column == VECTOR
            else getattr(said, column).mean(axis=0, dtype=np.float64)
            for column in self.columns
        ]
        return np.concatenate(blocks).astype(np.float32)

    def _key(self, piece: Piece, change: str) -> str:
        known = [piece.name, piece.channel, piece.path.stat().st_size, change, PART_S, LATER_S]
        known += [piece.parts, piece.most_s, SPEC.fingerprint, list(self.columns)]
        known += [SHA256[self.network]]
        if VECTOR in self.columns:
            known += [head.sha256 for head in self._heads]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]


def _features_of(network: str, cache: Path) -> Callable[[FloatArray], Features]:
    """Return the function from segments to the features of a network."""
    if network == MSD.name:
        return load_backbone(MSD.name).features
    session = open_session(str(cache / MTT_FILE))
    names = list(OUTPUT_WIDTHS)
    return lambda mels: in_batches(
        lambda batch: Features(*session.run(names, {"log_mel": batch})), mels, batch_size=4
    )


def cuts(piece: Piece, change: str) -> Iterator[FloatArray]:
    """Yield the parts of a piece under a change: (N,), float32, at 16 kHz."""
    samples = _samples(piece)
    if change == WHOLE:
        yield samples
        return
    later, length = round(LATER_S * SAMPLE_RATE), round(PART_S * SAMPLE_RATE)
    count = max(1, min(piece.parts, (len(samples) - later) // length))
    for i in range(count):
        start = i * length + (later if change == LATER else 0)
        part = samples[start : start + length]
        seed = hashlib.sha256(f"{piece.name}:{i}:{change}".encode()).digest()[:8]
        rng = np.random.default_rng(int.from_bytes(seed, "little"))
        yield part if change == LATER else CHANGES[change](part, rng)


@lru_cache(maxsize=1)  # decoding takes longer than what follows
def _samples(piece: Piece) -> FloatArray:
    return read_channel(piece.path, piece.channel, skip_s=0.0, max_s=piece.most_s)

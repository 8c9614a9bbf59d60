"""The songs among which sentences are judged: clips of GTZAN and of many kinds, with what they are.

    DATA ──clips_of_pool──▶ `PoolClip`: file, what it is {"jazz"}  ──write_pool──▶ FOLDER/<corpus>/*

What a clip is comes from folders, file names and manifests of the corpora; nobody listened. GTZAN
has only genres, so that a voice or an instrument in its clips counts neither way.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

MOST = 14  # clips of a corpus that are the same
MOST_S = 30.0
GTZAN = "gtzan"
STREET = (
    "aircon", "horn", "children", "dog", "drill", "engine", "gunshot", "jackhammer", "siren",
)  # fmt: skip
# The hundred sounds of Hu: the last number of each kind.
HU = {
    17: "crowd", 29: "machine", 43: "alarm", 46: "traffic", 55: "animal", 69: "water", 78: "wind",
    82: "bell", 85: "cough", 86: "clap", 87: "snore", 88: "click", 90: "laugh", 92: "yawn",
    93: "cry", 94: "water", 95: "brush", 97: "steps", 98: "door", 100: "phone",
}  # fmt: skip
KIND = {"V": "voice", "I": "instrumental", "M": "accompanied", "O": "speech"}
MORE = {
    "torah_chant": "chant", "beatbox": "beatbox", "svqtd_tenor": "opera tenor", "m4singer": "",
    "jingju_arias": "opera jingju", "gtsinger": "", "svcc2023_nnsvs": "", "mpop600_golf": "",
    "csd_child_song": "", "everything_is_free_cc0": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolClip:
    """One song of the pool: its file, one of its channels (or all), and what it is."""

    corpus: str
    path: Path
    what: frozenset[str]
    channel: int | None = None

    @property
    def name(self) -> str:
        """Its id in the store."""
        side = "" if self.channel is None else f"-{self.channel}"
        parent = f"{self.path.parent.name}." if self.corpus == GTZAN else ""
        return f"{self.corpus}/{parent}{self.path.stem}{side}.flac"


def clips_of_pool(data: Path) -> list[PoolClip]:
    """Return the pool: all of GTZAN's clips, and at most `MOST` of each kind of other corpora."""
    groups = defaultdict(list)
    for clip in _others(data):
        groups[clip.corpus, clip.what].append(clip)
    kept = [clip for group in groups.values() for clip in group[:: -(-len(group) // MOST)]]
    return [*_gtzan(data), *kept]


def write_pool(clips: list[PoolClip], folder: Path) -> None:
    """Write the clips that are not there yet as FLAC, at most half a minute of each."""
    for clip in clips:
        target = folder / clip.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with soundfile.SoundFile(clip.path) as file:
                rate = file.samplerate
                samples = file.read(int(MOST_S * rate), dtype="float32", always_2d=True)
            one = samples if clip.channel is None else samples[:, clip.channel]
            soundfile.write(target, np.clip(one, -1, 1), rate)


def _gtzan(data: Path) -> Iterator[PoolClip]:
    for path in sorted((data / "gtzan" / "audio").rglob("*.ogg")):
        yield PoolClip(corpus=GTZAN, path=path, what=frozenset([path.parent.name]))


def _others(data: Path) -> Iterator[PoolClip]:
    version = data / "version"
    for path in sorted((version / "urbansound8k").rglob("*.ogg")):
        yield _clip("urbansound8k", path, f"noise {STREET[int(path.stem.split('-')[1])]}")
    for path in sorted((version / "noises").rglob("Nonspeech_n*.ogg")):
        number = int(path.stem.rpartition("n")[2])
        kind = next(name for last, name in HU.items() if number <= last)
        yield _clip("noises", path, f"noise {kind}")
    for path in sorted((version / "kitchen20").rglob("*.ogg")):
        yield _clip("kitchen20", path, "noise")
    for path in sorted((version / "cmu_arctic").rglob("*.ogg")):
        yield _clip("cmu_arctic", path, "speech")
    for path in sorted((version / "superpowers_cc0").rglob("*.ogg")):
        yield _clip("superpowers_cc0", path, "instrumental game")
    for path in sorted((version / "mir1k").rglob("*.ogg"))[::8]:
        yield _clip("mir1k", path, "accompanied mandarin")
        yield _clip("mir1k", path, "instrumental", 0)
        yield _clip("mir1k", path, "voice mandarin", 1)
    for path in sorted((data / "genre2" / "waivops_loops").rglob("*.ogg")):
        kind = "trap" if "_trp_" in path.stem else "house"
        yield _clip("waivops_loops", path, f"instrumental {kind}")
    for path in sorted((data / "version2" / "ultrastar_coulton").glob("*.ogg")):
        yield _clip("ultrastar_coulton", path, "accompanied")
    yield from _by_manifests(data / "version2")


def _by_manifests(root: Path) -> Iterator[PoolClip]:
    for corpus, more in {**MORE, "rap": ""}.items():
        with (root / corpus / "manifest.csv").open() as file:
            for row in csv.DictReader(file):
                own = KIND.get(row["cls"], "")
                if corpus == "rap":
                    own += {"V": " rap", "I": " beat"}.get(row["cls"], "")
                if corpus in ("m4singer", "mpop600_golf"):
                    own += " mandarin"
                if own and not (corpus == "jingju_arias" and row["cls"] == "I"):
                    yield _clip(corpus, root / corpus / row["file"], f"{own} {more}")


def _clip(corpus: str, path: Path, what: str, channel: int | None = None) -> PoolClip:
    return PoolClip(corpus=corpus, path=path, what=frozenset(what.split()), channel=channel)

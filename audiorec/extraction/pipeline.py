"""Extract one song through all stages: audio, tagger and statistics.

    path ──decode──▶ blocks ──levelled──▶ (T, 187, 96) ──backbones──▶ features
         ──heads──▶ scores (T, 14) ──summarise──▶ vector (84,)

Samples stream; of a song of up to two hours its mel power waits in memory (173 MB), a longer one
is decoded twice. An `Extractor` holds the loaded networks; create one and reuse it for many songs.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from audiorec.audio.attributes import METHODS, AttributeMeter
from audiorec.audio.decode import content_hash, decode
from audiorec.audio.readers import captured_stderr
from audiorec.audio.segment import Segment, levelled, segments
from audiorec.audio.tags import SongTags, read_tags
from audiorec.errors import AudiorecError, InputError, SongError, SpecMismatchError
from audiorec.extraction.backbones import BACKBONES, backbone_of, installed, own_backbone
from audiorec.runs.timing import Stopwatch
from audiorec.spec import DecodeSpec, FeatureSpec, fingerprint
from audiorec.tagger.backbone import load_backbone
from audiorec.tagger.features import Backbone, split_input
from audiorec.tagger.networks import Networks, PackagedNetwork, ShippedNetworks
from audiorec.tagger.vectors import summarise
from audiorec.tagger.weights import MSD, WEIGHTS, mood_columns
from audiorec.types import AnyFeatures, AudioInfo, Float64Array, FloatArray, Numbers, ScoreSeries

if TYPE_CHECKING:  # a worker needs no Arrow, which takes 24 MB
    from audiorec.store.schema import StoreMetadata
    from audiorec.tagger.reading import Reading

R = TypeVar("R")

BATCH_SIZE = 16  # segments: the heads cost less at once, and the network the same


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractorConfig:
    """Picklable configuration of an `Extractor`.

    Attributes
    ----------
    heads : tuple of path
        Head files in the order of their scores; empty for the two shipped heads, or for the own
        scores of `backbone`.
    backbone : str or None
        The name of a network that an installed package brings (`audiorec.extraction.backbones`),
        to use instead of the shipped one; `spec` is then its front end, as `extractor_config`
        finds it.
    batch_size : int
        Segments per batch; affects speed only: no score changes by more than 1e-6.
    max_duration_s : float
        A longer song is refused, not cut.
    attributes, sound : bool
        Also compute tempo, key and moods, where the network's sample rate allows; and the lists
        of `audiorec.store.schema.LISTS`, where the network has an embedding. Vectors do not change.
    """

    heads: tuple[Path, ...] = ()
    backbone: str | None = None
    batch_size: int = BATCH_SIZE
    max_duration_s: float = 14_400.0
    attributes: bool = False
    sound: bool = False
    spec: FeatureSpec = field(default_factory=FeatureSpec)


def extractor_config(
    heads: Sequence[Path] = (),
    backbone: str | None = None,
    *,
    hop_s: float | None = None,
    **own: Any,
) -> ExtractorConfig:
    """Return an extractor configuration for the given heads and backbone.

    Parameters
    ----------
    heads : sequence of path
        Head files; empty for the two shipped heads, or for a network's own scores.
    backbone : str, optional
        A network that an installed package brings, by name or as ``module:attribute``; by default
        the one that the heads were trained on.
    hop_s : float, optional
        Seconds between segments; by default that of the front end.
    own
        Other fields of `ExtractorConfig`.

    Raises
    ------
    InputError
        If there is no such network.
    WeightsError
        If a head cannot be read, or no installed package brings its network.
    """
    name = backbone_of(heads) if backbone is None else backbone
    if name in WEIGHTS:  # the shipped one
        name = None
    spec = FeatureSpec() if name is None else own_backbone(name).features
    if hop_s is not None:
        spec = replace(spec, segment=replace(spec.segment, hop_s=hop_s))
    return ExtractorConfig(heads=tuple(heads), backbone=name, spec=spec, **own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """Results of extracting one song.

    Attributes
    ----------
    vector : ndarray, shape (V,), float32
    series : ScoreSeries
        Scores (T, H) with their times.
    features : mapping of str to ndarray, shape (T, D), float32
        The requested backbone outputs, by name (``msd.penultimate``).
    info : AudioInfo
    tags : SongTags
    content_hash : str
    loudness_lufs : float or None
        Loudness of the mono mix before it was normalised; None if undefined.
    attributes : mapping of str to object
        Columns of ``vecs.parquet`` with tempo, key and moods; empty unless requested.
    lists : mapping of str to ndarray
        The lists beside the vector, by column; empty unless requested.
    cpu_s : mapping of str to float
        CPU seconds of each stage: load (once per process), decode, attributes, mel, backbone,
        heads, and read (tags and content hash).
    """

    vector: FloatArray
    series: ScoreSeries
    features: Mapping[str, FloatArray]
    info: AudioInfo
    tags: SongTags
    content_hash: str
    loudness_lufs: float | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    lists: Mapping[str, Numbers] = field(default_factory=dict)
    cpu_s: Mapping[str, float] = field(default_factory=dict)

    def reading(self, *, is_talk: bool = False) -> "Reading":
        """Return its labels; without `lists` its genre is that of its scores, and not clear."""
        from audiorec.tagger.reading import read_scores
        from audiorec.tagger.song_labels import SongLabels, tagged_genre

        labels, label = SongLabels.shipped(), None
        if labels.fits(self.series.classes) and "heard_tags" in self.lists:
            result = labels.of(self.lists["embedding"][None], self.lists["heard_tags"][None])
            label = labels.label(result.heard_long(np.array([len(self.series)])), 0)
        tagged = tagged_genre(self.tags.genre)
        return read_scores(
            self.series,
            self.info.status,
            label=label,
            tagged=tagged,
            heavy=self.heavy,
            is_talk=is_talk,
        )

    @property
    def heavy(self) -> float:
        """How heavy it is (`audiorec.tagger.reading.heaviness`); 0 where no shipped tags are."""
        from audiorec.tagger.reading import heaviness

        tags = self.lists.get("heard_tags", np.zeros(0))
        return float(heaviness(tags[None])[0]) if len(tags) == len(MSD.tags) else 0.0


class _Sounding(NamedTuple):
    """Results computed from a song's audio."""

    series: ScoreSeries
    features: dict[str, FloatArray]
    loudness_lufs: float | None
    attributes: dict[str, Any]
    lists: dict[str, Numbers]


@dataclass(frozen=True, slots=True)
class KnownContent:
    """Content hash and current tags of a file with audio that the store already has."""

    content_hash: str
    tags: SongTags


class Extractor:
    """Loaded networks and heads that turn audio files into scores and vectors."""

    def __init__(self, config: ExtractorConfig | None = None) -> None:
        self.config = config or ExtractorConfig()
        name, spec = self.config.backbone, self.config.spec
        self.networks: Networks = (
            ShippedNetworks(spec) if name is None else PackagedNetwork(own_backbone(name), spec)
        )
        self.heads = self.networks.scorer(self.config.heads)
        self.sound = self.networks.sound if self.config.sound else None
        # The meters of tempo and key are made for this rate.
        is_metered = spec.decode.sample_rate == DecodeSpec().sample_rate
        self._moods = (
            mood_columns(self.heads.backbones) if self.config.attributes and is_metered else None
        )
        self._loaded: dict[str, Backbone] = {}  # by name, when first needed

    @classmethod
    def for_store(
        cls, metadata: "StoreMetadata", *, heads: tuple[Path, ...] = (), sound: bool = False
    ) -> "Extractor":
        """Return the extractor of a store: its spec and network, with `heads` or the default ones.

        With `sound`, it also makes the lists beside the vector, by which songs are compared, and
        tempo and key, if the store has them.

        Raises
        ------
        SpecMismatchError
            If this audiorec with these heads computes other numbers than the store contains.
        """
        made = f"the store was made by extractor {metadata.extractor_id}"
        try:
            spec = FeatureSpec.from_dict(metadata.spec)
        except InputError:  # of another audiorec version; the ids below will differ
            spec = FeatureSpec()
        backbone = _backbone_of_store(metadata)
        metered = sound and bool(metadata.attributes)
        extractor = cls(
            ExtractorConfig(
                heads=heads, backbone=backbone, spec=spec, sound=sound, attributes=metered
            )
        )
        if extractor.extractor_id != metadata.extractor_id:
            raise SpecMismatchError(
                f"{made}; this audiorec with {'these' if heads else 'its own'} heads is "
                f"{extractor.extractor_id}: pass the store's heads (`head`), or extract it again"
            )
        if sound and (extractor.sound is None or extractor.sound.id != metadata.sound_id):
            raise SpecMismatchError(
                f"the sound of the store was made by {metadata.sound_id}, not by this audiorec: "
                "compare by vector, or make it again (audiorec extract FOLDER --overwrite)"
            )
        return extractor

    @property
    def classes(self) -> tuple[str, ...]:
        """Column names of the scores, as ``head/class``."""
        return self.heads.classes

    @cached_property
    def extractor_id(self) -> str:
        """Short hash of everything that changes numbers: spec, weights, heads, statistics."""
        return fingerprint(
            {
                "spec": self.config.spec.to_dict(),
                "weights": self.weights,
                "classes": self.classes,
                "statistics": self.heads.statistics,
            }
        )

    @cached_property
    def weights(self) -> list[dict[str, str]]:
        """Name, sha256 and licence of every weights file that the scores depend on."""
        backbones = [self.networks.origin(name) for name in self.heads.backbones]
        heads = [
            {"name": f"head_{h.task}", "sha256": h.sha256, "licence": h.licence} for h in self.heads
        ]
        return backbones + heads

    def weights_with(self, outputs: Sequence[str]) -> list[dict[str, str]]:
        """Return `weights`, and the backbones that only `outputs` need."""
        names = [n for n in self._networks(outputs) if n not in self.heads.backbones]
        return self.weights + [self.networks.origin(name) for name in names]

    @property
    def attributes(self) -> dict[str, str]:
        """Columns that `ExtractorConfig.attributes` adds, with their methods; empty without it."""
        if self._moods is None:
            return {}
        return {**METHODS, **{name: f"tag of {at[0]}" for name, at in self._moods.items()}}

    @property
    def sound_id(self) -> str:
        """What makes `sound` of the features; empty without it."""
        return "" if self.sound is None else self.sound.id

    @property
    def lists(self) -> dict[str, int]:
        """Lists that `ExtractorConfig.sound` adds, with their widths; empty without it."""
        return {} if self.sound is None else dict(self.sound.lists)

    def song(
        self,
        path: str | os.PathLike[str],
        *,
        outputs: Sequence[str] = (),
        known_hash: str = "",
    ) -> Song:
        """Extract one song.

        Parameters
        ----------
        path : path
            An audio file.
        outputs : sequence of str
            Backbone outputs to keep in `Song.features`, for example ``msd.penultimate``. A
            backbone that no head reads is run for them as well.
        known_hash : str
            The content hash, if the caller has computed it.

        Raises
        ------
        SongError
            If the file cannot be used; has the status code and the reason.
        """
        watch = Stopwatch()
        with watch.stage("decode"):
            heard, info = decode(
                path,
                lambda blocks: self._heard(blocks, outputs, watch),
                spec=self.config.spec,
                max_duration_s=self.config.max_duration_s,
            )
        with watch.stage("heads"):
            vector = summarise(heard.series.scores, self.heads.statistics)
        with watch.stage("read"):
            tags = read_tags(path)
            found_hash = known_hash or info.content_hash or content_hash(path)
        return Song(
            vector=vector,
            series=heard.series,
            features=heard.features,
            info=info,
            tags=tags,
            content_hash=found_hash,
            loudness_lufs=heard.loudness_lufs,
            attributes=heard.attributes,
            lists=heard.lists,
            cpu_s=watch.seconds,
        )

    def _heard(
        self, blocks: Iterable[FloatArray], outputs: Sequence[str], watch: Stopwatch
    ) -> "_Sounding":
        """Run the networks; pools are dropped unless requested: 30 MB for two hours."""
        with watch.stage("load"):
            backbones = [self._backbone(name) for name in self._networks(outputs)]
        starts: list[float] = []
        scores: list[FloatArray] = []
        kept: dict[str, list[FloatArray]] = {name: [] for name in outputs}
        means = _Means(self._averaged())
        decoded = watch.each("decode", blocks)
        listened = None if self._moods is None else AttributeMeter(decoded)
        with watch.stage("mel"):
            track = levelled(
                watch.each("attributes", listened) if listened else decoded,
                self.config.spec,
                filterbank=self.networks.filterbank,
                heard=watch.timed("attributes", listened.add) if listened else None,
            )
        batches = _batched(track.segments, self.config.batch_size)
        for batch in watch.each("mel", batches):
            starts.extend(segment.start_s for segment in batch)
            stacked = np.stack([segment.log_mel for segment in batch])
            with watch.stage("backbone"):
                result: dict[str, AnyFeatures] = {b.name: b.features(stacked) for b in backbones}
            with watch.stage("heads"):
                scores.append(self.heads.scores(result))
                means.add(result)
            for name, parts in kept.items():
                backbone, output = split_input(name)
                # A copy: a view would keep the whole batch in memory.
                parts.append(np.array(getattr(result[backbone], output), np.float32))
        heard = means.result(len(starts))
        attributes: dict[str, Any] = {}
        if listened is not None:
            with watch.stage("attributes"):
                moods = {
                    name: float(heard[f"{of}.tags"][tag])
                    for name, (of, tag) in (self._moods or {}).items()
                }
                attributes = {**asdict(listened.attributes()), **moods}
        with watch.stage("heads"):
            lists = {} if self.sound is None else self.sound.of_means(heard)
        return _Sounding(
            ScoreSeries(np.concatenate(scores), np.asarray(starts, np.float32), self.classes),
            {name: np.concatenate(parts) for name, parts in kept.items()},
            track.loudness_lufs,
            attributes,
            lists,
        )

    def _averaged(self) -> set[str]:
        """Return the outputs of which a song's mean is needed."""
        of_sound = () if self.sound is None else self.sound.inputs
        return {*of_sound, *(f"{of}.tags" for of, _tag in (self._moods or {}).values())}

    def _networks(self, outputs: Sequence[str]) -> tuple[str, ...]:
        asked = (split_input(name)[0] for name in (*outputs, *sorted(self._averaged())))
        return tuple(dict.fromkeys((*self.heads.backbones, *asked)))

    def _backbone(self, name: str) -> Backbone:
        if name not in self._loaded:
            self._loaded[name] = self.networks.load(name)
        return self._loaded[name]


def _backbone_of_store(metadata: "StoreMetadata") -> str | None:
    """Return the name of the package's network that made a store; None if the shipped one did."""
    made = {str(entry.get("name", "")) for entry in metadata.weights}
    return None if any(name.startswith("musicnn_") for name in made) else installed(made)


def extractor_by_id(extractor_id: str, spec: FeatureSpec) -> ExtractorConfig | None:
    """Return the extractor configuration with an id; None if there is none on this machine.

    Tries the shipped network and those of packages, each with its default scores.
    """
    for name in (None, *(entry.name for entry in BACKBONES.others())):
        config = ExtractorConfig(backbone=name, spec=spec)
        with suppress(AudiorecError):  # one that cannot be opened, or has another front end
            if Extractor(config).extractor_id == extractor_id:
                return config
    return None


class _Means:
    """Running sums of backbone outputs over the segments of a song."""

    def __init__(self, outputs: Iterable[str]) -> None:
        self._sums: dict[str, Any] = dict.fromkeys(outputs, 0.0)

    def add(self, found: Mapping[str, Any]) -> None:
        for name in self._sums:
            backbone, output = split_input(name)
            self._sums[name] += getattr(found[backbone], output).sum(axis=0, dtype=np.float64)

    def result(self, segments: int) -> dict[str, Float64Array]:
        return {name: total / segments for name, total in self._sums.items()}


def backbone_tags(path: str | os.PathLike[str]) -> ScoreSeries:
    """Return the same as `audiorec.taggram`, but decode in this process."""
    network = _network(MSD.name)

    def consume(blocks: Iterable[FloatArray]) -> tuple[FloatArray, FloatArray]:
        starts: list[float] = []
        rows: list[FloatArray] = []
        for batch in _batched(segments(blocks), BATCH_SIZE):
            starts.extend(segment.start_s for segment in batch)
            rows.append(network.features(np.stack([s.log_mel for s in batch])).tags)
        return np.asarray(starts, np.float32), np.concatenate(rows)

    (start_s, tags), _info = decode(path, consume)
    return ScoreSeries(tags, start_s, network.tag_names)


def song_handler(
    config: ExtractorConfig | None, known_hashes: frozenset[str], outputs: tuple[str, ...]
) -> "Callable[[str], Song | KnownContent]":
    """Return the function that a worker runs: path to `Song`, or to `KnownContent`.

    A song with a content hash in `known_hashes` is not decoded: the caller copies its existing
    vector.
    """
    extractor = Extractor(config)

    def handle(path: str) -> Song | KnownContent:
        found = content_hash(path) if known_hashes else ""
        if found in known_hashes:
            return KnownContent(found, read_tags(path))
        return extractor.song(path, outputs=outputs, known_hash=found)

    return _with_remarks(handle)


def taggram_handler() -> Callable[[str], ScoreSeries]:
    """Return the function that a worker runs: path to taggram."""
    return _with_remarks(backbone_tags)


def _with_remarks(handle: Callable[[str], R]) -> Callable[[str], R]:
    """Keep decoders' output off the terminal; add its last line to a song's error."""

    def quiet(path: str) -> R:
        with captured_stderr() as chatter:
            try:
                return handle(path)
            except SongError as error:
                last = chatter.last_line
                if not last or last in error.reason:
                    raise
                path, failure, reason, *where = error.args
                reason = f"{reason} (decoder: {last})"
                raise type(error)(path, failure, reason, *where) from error

    return quiet


_network = cache(load_backbone)


def _batched(items: Iterable[Segment], size: int) -> Iterator[list[Segment]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch

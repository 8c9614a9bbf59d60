"""Base class of channels. A channel is one way to propose songs.

    Channel(recipe) ──fit(data)──▶ itself ──recall(queries, k)──▶ `Candidates`
                                   ──save──▶ a bundle ──load──▶ the same channel
    `Refitted` ──Trained.of──▶ validation figures, epochs, steps, for the model card

For use in many processes (`audiorec.recall.contract.batch_recall`), a fitted channel can be pickled
and works with read-only arrays.
"""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypedDict, TypeVar, Unpack

import numpy as np
import numpy.typing as npt

from audiorec.distribution import version_of
from audiorec.errors import AudiorecError, InputError, WeightsError
from audiorec.files.user_files import as_type, from_table
from audiorec.files.visible import visible
from audiorec.learning.bundle import (
    Bundle,
    Card,
    Figure,
    read_bundle,
    texts_as_arrays,
    texts_of_arrays,
    write_bundle,
)
from audiorec.learning.machine import import_torch
from audiorec.listening.sequences import By, Sequences
from audiorec.recall.contract.candidates import Candidates, ReasonKind
from audiorec.recall.contract.data import Queries, RecallData, mask_of
from audiorec.recall.contract.warm import Parent, Start
from audiorec.types import BoolArray, FloatArray, Int64Array, LineProgress

if TYPE_CHECKING:
    from audiorec.learning.fit import Refitted

PACKAGES = ("audiorec", "numpy", "torch")  # torch last
METRICS_FILE = "metrics.jsonl"
OF_TIME = ("epoch", "loss", "steps", "seconds")  # not validation figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Result of a training; empty for a channel without iterative training.

    Attributes
    ----------
    figures : mapping of str to float
        Validation figures of the best epoch.
    judged_on : str
        Description of the validation part.
    epochs, steps : int
        Length of the training that produced the weights.
    lines : sequence of mapping
        Metrics of each epoch, for ``metrics.jsonl``.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    judged_on: str = ""
    epochs: int = 0
    steps: int = 0
    lines: Sequence[Mapping[str, Any]] = ()

    def __bool__(self) -> bool:
        return bool(self.figures) or self.is_network

    @property
    def is_network(self) -> bool:
        """Whether a network was trained; what only counts has figures alone."""
        return bool(self.epochs or self.steps)

    @classmethod
    def of(cls, done: "Refitted[Any]", *, judged_on: str) -> "Trained":
        """Build from the result of a finished `audiorec.learning.fit.fit_refit`."""
        chosen, whole = done.chosen, done.refit or done.chosen
        best = chosen.history[chosen.best] if chosen.history else {}
        result = {n: v for n, v in best.items() if n not in OF_TIME and isinstance(v, (int, float))}
        return cls(
            figures=result,
            judged_on=judged_on if result else "",
            epochs=whole.best_epoch,
            steps=whole.steps,
            lines=done.history,
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, without `lines`."""
        return {
            "validation": dict(self.figures),
            "judged_on": self.judged_on,
            "epochs": self.epochs,
            "steps": self.steps,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Trained":
        """Restore from the result of `to_json`; missing fields stay empty."""
        return cls(
            figures=content.get("validation", {}),
            judged_on=content.get("judged_on", ""),
            epochs=content.get("epochs", 0),
            steps=content.get("steps", 0),
        )

    def files(self) -> dict[str, str]:
        """Return ``metrics.jsonl`` as a bundle file, or nothing if `lines` is empty.

        Times are left out, so that the same training writes the same bytes.
        """
        kept = [{n: v for n, v in line.items() if n != "seconds"} for line in self.lines]
        lines = "".join(json.dumps(line) + "\n" for line in kept)
        return {METRICS_FILE: lines} if lines else {}

    def words(self) -> str:
        """Return the length of the training as a sentence for the model card."""
        if not self.is_network:
            return ""
        chosen = any(line.get("phase") == "choose" and line["epoch"] for line in self.lines)
        if self.lines and not chosen:  # a model that went on was judged at epoch 0
            return f"{self.epochs} epochs on all data: {self.steps:,} steps."
        return (
            f"{self.epochs} epochs (the best number on the validation part), retrained on all "
            f"data for as many epochs: {self.steps:,} steps."
        )


def versions(trained: Trained) -> dict[str, str]:
    """Return the versions of the packages that made a model; torch only if it was used."""
    result = {}
    for name in PACKAGES if trained.is_network else PACKAGES[:-1]:
        with suppress(PackageNotFoundError):  # a model may be saved again without torch
            result[name] = version_of(name)
    return result


Serves = Literal["history", "profile", "cold_song"]
Horizon = Literal["long", "short"]
Tensors = Mapping[str, npt.NDArray[Any]]
# What a model raises whose settings and arrays do not fit together.
UNFIT = (AudiorecError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
MOST_SAID = 300  # characters of such an error
KIND = "recall/"  # before the channel's name in the kind of a bundle
CELLS = 1 << 25  # similarities in memory at a time: 128 MB
DEPTH = 128  # songs per strand; only the largest similarity of a strand is compared at first
MOST_ROWS = 2_000  # maximum queries per block, even for a small catalogue


class FitRun(TypedDict):
    """How `Channel.fit` runs; without a `stop`, it changes no result."""

    work: Path | None
    progress: LineProgress | None
    stop: Event | None


class Channel(ABC):
    """Base class of channels: `fit` to listening, `recall` candidates, `save` and `load`.

    The contract, which `audiorec.recall.contract.checks` tests for every channel:

    * The constructor takes only the recipe, `fit` only the data; a second `fit` starts from
      scratch.
    * A song that a channel cannot judge is not proposed: its similarity is -inf.
    * A query gets the same list alone and in a batch. Songs of equal similarity are sorted by id.
    * `exclude` and `allowed` are exact; a list is short only where no more songs qualify.
    * Songs that were never played are ranked separately, after the others, and only on request.
    * A bundle contains no user id.

    Attributes
    ----------
    name : str
        As on the command line.
    serves : frozenset of {"history", "profile", "cold_song"}
        Supported uses: users with a history, users with only a profile, songs without a play.
    horizon : {"long", "short"}
        Whether it models long-term taste or what fits the last plays.
    light : bool
        Whether it loads and recalls without torch.
    goes_on : bool
        Whether a training can start from a trained channel.
    together : bool
        Whether several processes can train it, with the same weights as one process.
    needs_torch : bool
        Whether its training needs torch, of the extra ``train``.
    people : str
        Personal data in its bundle, as stated in the model card.
    waived : mapping of str to str
        Rules of `check_channel` that do not apply to it, and why.
    song_ids : tuple of str, length S
        The catalogue, once fitted.
    is_cold : ndarray, shape (S,), bool
        Which songs were never played.
    by : {"user", "session", "list"}
        What each training sequence was (`to_sequences`). One that learnt from lists should be
        asked with lists, any other with the plays of users.
    trained : Trained
        The result of an iterative training, written to ``model.json``, the model card and
        ``metrics.jsonl``. Set by `_fit`.
    newest_play : float
        Time of the newest play that it has learnt from, in seconds; NaN if unknown.
    parent : Parent, optional
        The channel that the training started from.
    """

    name: ClassVar[str]
    serves: ClassVar[frozenset[Serves]] = frozenset({"history"})
    horizon: ClassVar[Horizon] = "long"
    reason: ClassVar[ReasonKind]
    light: ClassVar[bool] = True
    goes_on: ClassVar[bool] = False
    together: ClassVar[bool] = False
    needs_torch: ClassVar[bool] = False
    people: ClassVar[str] = "Counts and weights of songs: no id and no history of a user."
    waived: ClassVar[Mapping[str, str]] = MappingProxyType({})
    song_ids: tuple[str, ...] = ()
    is_cold: BoolArray
    logs: tuple[str, ...] = ()
    model_id: str = ""
    by: By = "user"
    trained: Trained = Trained()
    newest_play: float = float("nan")
    parent: Parent | None = None

    def fit(
        self,
        data: RecallData,
        *,
        start: "Channel | None" = None,
        work: Path | None = None,
        progress: LineProgress | None = None,
        stop: Event | None = None,
    ) -> Self:
        """Learn from listening, discarding whatever was learnt before.

        Parameters
        ----------
        data : RecallData
        start : Channel, optional
            A trained channel of the same kind and recipe whose weights training starts from.
            `data` may be all plays or only those since; songs of `start` stay in the catalogue.
        work : Path, optional
            Folder for checkpoints of a long training, from which it resumes.
        progress : callable, optional
            Called with the metrics of each epoch.
        stop : threading.Event, optional
            Once set, training ends soon.

        Raises
        ------
        InputError
            If the data holds nothing that this channel can learn from, or it cannot go on from
            `start`.
        MissingExtraError
            If it needs torch, and torch does not load.
        """
        data.require_plays(self.name)
        if self.needs_torch:
            import_torch(f"training {self.name}")
        run = FitRun(work=work, progress=progress, stop=stop)
        begun = None if start is None else Start.of(self, start, data)
        data = data if begun is None else begun.data
        self.song_ids, self.is_cold = data.song_ids, data.is_cold
        self.logs, self.by, self.newest_play = data.logs, data.by, data.newest_play
        self.trained, self.parent = Trained(), None
        if start is None or begun is None:
            self._fit(data, **run)
            return self
        self.is_cold, self.parent = data.is_cold & ~begun.learnt, begun.parent
        # What it learnt from both must be named, or forgetting a user would miss the model.
        self.logs = tuple(dict.fromkeys((*start.logs, *data.logs)))
        self.newest_play = float(np.fmax(start.newest_play, data.newest_play))
        self._fit(begun.data, start=begun, **run)
        if self.trained and not self.trained.figures:
            older = start.trained  # for the card
            judged_on = f"the model that this one goes on from: {older.judged_on}"
            self.trained = replace(self.trained, figures=older.figures, judged_on=judged_on)
        return self

    def recall(
        self,
        queries: Queries,
        k: int,
        *,
        exclude: Sequences | None = None,
        allowed: Collection[str] | None = None,
        cold: int = 0,
    ) -> Candidates:
        """Propose songs to Q users.

        Parameters
        ----------
        queries : Queries
        k : int
            Songs per query.
        exclude : Sequences, optional
            Songs that must not be proposed, one list per query; pass the histories to exclude
            everything that the user has played.
        allowed : collection of str, optional
            The only songs that may be proposed.
        cold : int
            Number of never-played songs to add after the `k` others.

        Raises
        ------
        InputError
            If the channel is not fitted, `k` is below 1, or `exclude` does not have Q lists.
        """
        if k < 1 or cold < 0:
            raise InputError(f"k must be at least 1 and cold at least 0, got {k} and {cold}")
        parts: list[tuple[Int64Array, FloatArray]] = []
        for similar in self.blocks(queries, exclude=exclude, allowed=allowed):
            best = [top_songs(similar, self.is_cold, cold)]
            if self.is_cold.any():
                np.copyto(similar, np.float32(-np.inf), where=self.is_cold)
            most = min(k, int((~self.is_cold).sum()))
            best.insert(0, top_songs(similar, np.ones_like(self.is_cold), most))
            parts.append(tuple(np.concatenate(side, axis=1) for side in zip(*best, strict=True)))  # type: ignore[arg-type]
        width = min(k, int((~self.is_cold).sum())) + min(cold, int(self.is_cold.sum()))
        song = np.concatenate([np.empty((0, width), np.int64), *(s for s, _ in parts)])
        similarity = np.concatenate([np.empty((0, width), np.float32), *(v for _, v in parts)])
        asked = replace(queries, histories=queries.histories.among(self.song_ids))
        return Candidates(
            song_ids=self.song_ids,
            song=song,
            similarity=similarity,
            evidence=self._told(asked, song),
            interest=self._interest(asked, song),
            cold=(song >= 0) & self.is_cold[song],
            reason=self.reason,
        )

    def blocks(
        self,
        queries: Queries,
        *,
        exclude: Sequences | None = None,
        allowed: Collection[str] | None = None,
    ) -> Iterator[FloatArray]:
        """Yield the similarities of each block of queries with all songs, (q, S) float32.

        -inf marks songs that are not proposed, excluded or not allowed.
        """
        self._require_fitted()
        if exclude is not None and len(exclude) != len(queries):
            raise InputError(f"exclude has {len(exclude)} lists for {len(queries)} queries")
        asked = replace(queries, histories=queries.histories.among(self.song_ids))
        hidden = None if exclude is None else exclude.among(self.song_ids)
        closed = None if allowed is None else ~mask_of(self.song_ids, tuple(allowed))
        step = block_rows(len(self.song_ids))
        for first in range(0, len(queries), step):
            rows = np.arange(first, min(first + step, len(queries)))
            similar = self._answers(asked.take(rows))
            if hidden is not None:
                block = hidden.take(rows)
                similar[block.owner, block.song] = -np.inf
            if closed is not None:
                np.copyto(similar, np.float32(-np.inf), where=closed)
            yield similar

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the channel as a bundle and return its `Bundle.model_id`."""
        self._require_fitted()
        tensors, config = self._state()
        kept = {
            **tensors,
            **texts_as_arrays("catalogue", self.song_ids),
            "is_cold": self.is_cold.astype(np.uint8),
        }
        about = {"kind": f"{KIND}{self.name}", "songs": len(self.song_ids), **config}
        about |= {"by": self.by} if self.by != "user" else {}
        about |= {} if np.isnan(self.newest_play) else {"newest_play": self.newest_play}
        about |= {"parent": asdict(self.parent)} if self.parent is not None else {}
        if not type(self).__module__.startswith("audiorec."):
            about |= {"class": f"{type(self).__module__}:{type(self).__qualname__}"}
        about |= {"log_fingerprints": list(self.logs)} if self.logs else {}
        about |= {"versions": versions(self.trained)}
        about |= {"figures": self.trained.to_json()} if self.trained else {}
        self.model_id = write_bundle(
            path, tensors=kept, config=about, card=self._card(), files=self.trained.files()
        )
        return self.model_id

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Load a channel from a bundle written by `save`.

        Raises
        ------
        WeightsError
            If the bundle is missing, damaged, or of another channel.
        """
        bundle = read_bundle(path, kind=f"{KIND}{cls.name}")
        try:
            return cls._loaded(bundle)
        except UNFIT as error:
            said = str(error) if isinstance(error, AudiorecError) else repr(error)
            reason = visible(said[:MOST_SAID])
            raise WeightsError(f"{path}: not a valid model of {cls.name}: {reason}") from error

    @classmethod
    def _loaded(cls, bundle: Bundle) -> Self:
        channel = cls._from_state(bundle)
        channel.song_ids = texts_of_arrays("catalogue", bundle.tensors)
        channel.is_cold = bundle.tensors["is_cold"].astype(np.bool_)
        channel.by = as_type(By, "by", bundle.config.get("by", "user"))
        channel.logs = tuple(bundle.config.get("log_fingerprints", ()))
        newest = bundle.config.get("newest_play", float("nan"))
        channel.newest_play = as_type(float, "newest_play", newest)
        if "parent" in bundle.config:
            channel.parent = from_table(Parent, bundle.config["parent"], "parent")
        channel.trained = Trained.from_json(bundle.config.get("figures", {}))
        channel.model_id = bundle.model_id
        return channel

    @abstractmethod
    def _fit(self, data: RecallData, *, start: Start | None = None, **run: Unpack[FitRun]) -> None:
        """Learn from `data`, which has at least one play.

        A channel that `goes_on` may get a `start`: training begins with the weights of its channel.
        """

    @abstractmethod
    def _similarities(self, queries: Queries) -> FloatArray:
        """Return the similarities with all songs as a new array, (q, S) float32.

        A larger number is a nearer song; -inf is one that this channel never proposes. Histories
        number their songs by `song_ids`.
        """

    @abstractmethod
    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        """Return the learnt arrays, and the recipe as JSON values."""

    @classmethod
    @abstractmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        """Restore a channel from the result of `_state`."""

    def _interest(self, queries: Queries, song: Int64Array) -> Int64Array | None:  # noqa: ARG002
        """Return the interest that found each song, (Q, k), -1 for none; None without interests."""
        return None

    def _answers(self, queries: Queries) -> FloatArray:
        """Return similarities like `_similarities`; subclasses may use given user embeddings."""
        return self._similarities(queries)

    def _told(self, queries: Queries, song: Int64Array) -> Int64Array:
        """Return the evidence for each song; by default from the histories alone."""
        return self._evidence(queries.histories, song)

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:  # noqa: ARG002
        """Return, for each song (Q, k), the song of the history that explains it; -1 for none."""
        return np.full(song.shape, -1, np.int64)

    def _card(self) -> str:
        about = (type(self).__doc__ or self.name).strip().splitlines()[0]
        learnt_from = {"songs": len(self.song_ids), "never played": int(self.is_cold.sum())}
        since = {} if self.parent is None else self.parent.facts()
        recipe = getattr(self, "recipe", None)
        settings = asdict(recipe) if is_dataclass(recipe) else {}  # type: ignore[arg-type]
        sections = {
            "Recipe": "\n".join(f"- {name}: {visible(str(v))}" for name, v in settings.items()),
            "Training": self.trained.words(),
            "Versions": ", ".join(
                f"{name} {number}" for name, number in versions(self.trained).items()
            ),
        }
        return Card(
            title=self.name,
            about=about,
            learnt_from={**learnt_from, **since},
            figures=tuple(Figure(name, value) for name, value in self.trained.figures.items()),
            judged_on=self.trained.judged_on,
            people=self.people,
            sections=sections,
        ).markdown()

    def _require_fitted(self) -> None:
        if not self.song_ids:
            raise InputError(f"{self.name}: not fitted; call fit first")


def nearest_played(histories: Sequences, song: Int64Array, rows: FloatArray) -> Int64Array:
    """Return the song of each history whose row is nearest to each candidate: (Q, k), -1 for none.

    `rows` (S, d) are compared by dot product; the first of equals counts.
    """
    evidence = np.full(song.shape, -1, np.int64)
    for row in np.flatnonzero(histories.lengths).tolist():
        own, there = histories[row], song[row] >= 0
        near = rows[song[row, there]] @ rows[own].T
        evidence[row, there] = own[near.argmax(axis=1)]
    return evidence


def block_rows(n_songs: int) -> int:
    """Return the number of queries per block of `Channel.blocks`, for a catalogue of this size."""
    return min(MOST_ROWS, max(1, CELLS // max(1, n_songs)))


def top_songs(similar: FloatArray, mask: BoolArray, k: int) -> tuple[Int64Array, FloatArray]:
    """Return the top-k songs within a mask (S,) by similarity (q, S), ties by song number.

    Both results have shape (q, k): song numbers, -1 where there are fewer, and similarities.
    """
    songs = np.flatnonzero(mask)
    k = min(k, len(songs))
    if k == 0:
        return np.empty((len(similar), 0), np.int64), np.empty((len(similar), 0), np.float32)
    values = similar if mask.all() else similar[:, songs]
    result = np.full((len(similar), k), -1, np.int64)
    best = np.full((len(similar), k), np.nan, np.float32)
    for row, near in enumerate(_likely(values, k)):
        line = values[row, near]
        if len(near) > k:
            kth = np.partition(line, len(near) - k)[len(near) - k]
            near, line = near[line >= kth], line[line >= kth]  # keep ties with the last one
        order = np.lexsort((near, -line))[:k]
        result[row, : len(order)], best[row, : len(order)] = songs[near[order]], line[order]
    return result, best


def _likely(values: FloatArray, k: int) -> Iterator[Int64Array]:
    """Yield, for each row, columns that include its `k` largest values and ties with the last.

    A row is divided into strands of `DEPTH` columns at equal distances. The k-th largest strand
    maximum is a lower bound of the k-th largest value, so strands below it are skipped: of a
    million songs, ten thousand remain.
    """
    n = values.shape[1]
    n_strands = n // DEPTH
    if n_strands < 4 * k:
        for line in values:
            yield np.flatnonzero(line > -np.inf)
        return
    in_strands, rest = n_strands * DEPTH, np.arange(n_strands * DEPTH, n)
    strands = values[:, :in_strands].reshape(len(values), DEPTH, n_strands)
    highest = strands.max(axis=1)
    for row, line in enumerate(highest):
        bound = np.partition(line, n_strands - k)[n_strands - k]
        strand = np.flatnonzero((line >= bound) & (line > -np.inf))
        near = (np.arange(DEPTH)[:, None] * n_strands + strand).ravel()
        near = np.concatenate([near, rest])
        own = values[row, near]
        yield near[(own >= bound) & (own > -np.inf)]


R = TypeVar("R")


class CountingChannel(Channel, Generic[R]):
    """A channel whose whole state is a recipe and a few arrays.

    Attributes
    ----------
    Recipe : type
        A dataclass with a default for every field.
    ARRAYS : tuple of str
        Attributes that `_count` sets and a bundle stores.
    """

    Recipe: ClassVar[type]
    ARRAYS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, recipe: R | None = None) -> None:
        self.recipe: R = self.Recipe() if recipe is None else recipe

    @abstractmethod
    def _count(self, data: RecallData) -> None:
        """Compute the attributes named in `ARRAYS` from the plays of U owners, of S songs."""

    def _fit(self, data: RecallData, **_: Any) -> None:
        self._count(data)

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        recipe: Any = self.recipe
        return {name: getattr(self, name) for name in self.ARRAYS}, {"recipe": asdict(recipe)}

    @classmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        channel = cls(cls.Recipe(**bundle.config["recipe"]))
        for name in cls.ARRAYS:
            setattr(channel, name, bundle.tensors[name])
        return channel

"""Judge a metric model on songs and artists that it never heard, beside what it has to beat.

    model, features, log, users  ──evaluate_metric──▶  `Evaluation`: a comparison a panel

Two panels: *artists* that the training never met, and *new songs* of artists that it did. The
parts are those that the model itself wrote down, so they cannot be mixed up.

All methods are judged on the same users: those with an embedding, a liked song that was
learnt from (there is no centroid without one), and a liked song in the panel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.evaluation.baselines import artist_likes, centroids, fit_projection, unit
from audiorec.evaluation.comparison import Comparison, Method, compare
from audiorec.listening.interactions import read_interactions
from audiorec.listening.preferences import to_preferences
from audiorec.listening.rule import Rule
from audiorec.recall.audio.data import make_panel, sides_of
from audiorec.recall.audio.held_out import Parts, SplitPart, assign_parts, find_store, groups_of
from audiorec.recall.audio.model import MetricModel
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.features import FeatureFile
from audiorec.types import BoolArray, FloatArray, IdMap, Int64Array, Pairs

PANELS = {"artists": SplitPart.TEST, "new_songs": SplitPart.NEW_SONG}
COMPONENTS = 40  # of the PCA baseline: as many numbers as an embedding has
MAX_SEGMENTS = 60  # of a song that are heard when it is judged
TOP_K = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """Figures of a model."""

    # ``artists`` and ``new_songs``, those of them that anybody can be judged on
    panels: Mapping[str, Comparison]
    simulated: bool  # the log is made up

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        panels = {name: found.to_dict() for name, found in self.panels.items()}
        return {"panels": panels, "simulated": self.simulated}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationFiles:
    """What a model is judged with."""

    features: Path  # a ``features.parquet`` of all songs
    interactions: Path
    # their embeddings, in the model's space. Their history must not hold the songs that are judged
    # on; see `audiorec.recall.audio.held_out`
    users: Path
    # a ``vecs.parquet``: artists and 84-d vectors; by default the one beside the features
    store: Path | None = None
    # embeddings of the songs that the model made before; needed of an end-to-end model
    embeddings: Path | None = None
    # embeddings by which the user model itself knows songs: an upper bound
    warm: Path | None = None


def evaluate_metric(
    model: MetricModel,
    files: EvaluationFiles,
    *,
    rule: Rule | None = None,
    k: int = TOP_K,
    all_songs: bool = False,
    seed: int = 0,
) -> Evaluation:
    """Judge a model beside baselines.

    Parameters
    ----------
    model : MetricModel
    files : EvaluationFiles
    rule : Rule, optional
        From events to liked and disliked songs.
    k : int
        Length of lists.
    all_songs : bool
        The model heard none of these songs: judge on artists of another seed's split, and
        take the others for the users' known songs.
    seed : int
        Of the bootstrap, the random baseline and the shuffle.

    Raises
    ------
    InputError
        If nothing was held out of the training, or nobody can be judged.
    SpecMismatchError
        If features or users are of another extractor or space.
    StoreError
        If a file is not what it should be.
    """
    work = _Work(model, files, rule or Rule(), seed)
    if not (all_songs or model.split.test or model.split.new_songs):
        raise InputError(
            "the model was trained on all artists: train one with --test-share 0.2 to judge it, "
            "or say --all-songs if it heard none of these"
        )
    parts = work.parts(all_songs)
    panels: dict[str, Comparison] = {}
    for number, (name, part) in enumerate(PANELS.items()):
        songs = np.flatnonzero(parts == part)
        known = np.flatnonzero(parts == SplitPart.TRAIN)
        rng = np.random.default_rng([seed, number])
        found = work.panel(songs, known, k=k, rng=rng) if len(songs) and len(known) else None
        if found is not None:
            panels[name] = found
    if not panels:
        raise InputError(
            "nobody can be judged: too few users have an embedding, a liked song that was "
            "learnt from and a liked song that was held out"
        )
    return Evaluation(panels=panels, simulated=work.simulated)


class _Work:
    """Everything read: songs, users and their pairs, numbered."""

    def __init__(self, model: MetricModel, files: EvaluationFiles, rule: Rule, seed: int) -> None:
        self.model, self.seed = model, seed
        self.file = FeatureFile.open(
            files.features, None if model.end_to_end else model.spec.inputs
        )
        model.check_extractor(self.file.extractor_id, str(files.features))
        self.ids = self.file.ids
        self.store = find_store(files.store, files.features)
        self.groups = groups_of(self.ids, self.store)
        log = read_interactions(files.interactions)
        self.simulated = log.simulated
        preferences = to_preferences(log, rule, song_ids=self.ids)
        self.pairs = sides_of(preferences, self.ids)
        self.users, self.has_user = _users(files.users, preferences.user_ids, model)
        songs = self.file.read(np.arange(len(self.ids)), max_segments=MAX_SEGMENTS)
        self.means = songs.means()
        if files.embeddings is not None:
            self.songs = _table(files.embeddings, self.ids, model.model_id)
        elif model.end_to_end:
            raise InputError("a model that was trained end to end needs its songs' embeddings")
        else:
            self.songs = model.embed(songs)
        self.warm = None
        if files.warm is not None:  # zeros of songs that the user model does not know
            warm = EmbeddingTable.open(files.warm, kind="songs")
            self.warm = _or_zeros(warm.embeddings, warm.row_numbers(list(self.ids)))

    def parts(self, all_songs: bool) -> Parts:
        """Say what each song was in the training."""
        split = self.model.split
        if all_songs:
            split = type(split)(valid=0.0, test=0.5, seed=split.seed + 1)
        return assign_parts(self.ids, self.groups, split)

    def panel(
        self, songs: Int64Array, known: Int64Array, *, k: int, rng: np.random.Generator
    ) -> Comparison | None:
        """Compare all methods on some songs; None if too few users can be judged."""
        likes_known = np.zeros(len(self.users), np.bool_)
        history = self.pairs["liked"].take(np.isin(self.pairs["liked"].song, known))
        likes_known[history.user] = True
        panel = make_panel(self.pairs, len(self.users), songs, users=likes_known & self.has_user)
        if panel is None:
            return None
        return compare(panel, self._methods(songs, known, history, panel.likes), k=k, rng=rng)

    def _methods(
        self, songs: Int64Array, known: Int64Array, history: Pairs, likes: Int64Array
    ) -> dict[str, Method]:
        users, embedded = self.users, self.songs[songs]
        methods: dict[str, Method] = {
            "metric": lambda who: users[who] @ embedded.T,
            "shuffled audio": lambda who: _shuffled(users[who] @ embedded.T, who, self.seed),
            "random": lambda who: _random(who, len(songs), self.seed),
            "popularity in hindsight": lambda who: np.tile(likes.astype(float), (len(who), 1)),
        }
        numbers = np.unique(np.asarray(self.groups), return_inverse=True)[1]
        of_artist = artist_likes(numbers, history, numbers[songs])
        if of_artist.any():
            methods["popularity of the artist"] = lambda who: np.tile(of_artist, (len(who), 1))
        spaces: dict[str, tuple[FloatArray, int | None]] = {
            "centroid, mean features": (self.means, None),
            f"centroid, PCA-{COMPONENTS}": (self.means, COMPONENTS),
        }
        if self.store is not None:
            name = f"centroid, {self.store.metadata.dimension}-d vector"
            vectors = _or_zeros(self.store.vectors, IdMap(self.store.id_array).rows(self.ids))
            spaces[name] = (vectors, None)
        for name, (features, components) in spaces.items():
            methods[name] = _centroid(features, components, songs, known, history, len(users))
        if self.warm is not None:
            warm = self.warm[songs]
            methods["songs known to the user model"] = lambda who: users[who] @ warm.T
        return methods


def _centroid(
    features: FloatArray,
    components: int | None,
    songs: Int64Array,
    known: Int64Array,
    history: Pairs,
    n_users: int,
) -> Method:
    everything = fit_projection(features[known], components=components)(features)
    tastes = centroids(everything, history, n_users)
    return lambda who: tastes[who] @ everything[songs].T


def _random(who: Int64Array, n_songs: int, seed: int) -> npt.NDArray[np.floating]:
    return np.stack([np.random.default_rng([seed, 1, int(u)]).random(n_songs) for u in who])


def _shuffled(
    similarities: npt.NDArray[np.floating], who: Int64Array, seed: int
) -> npt.NDArray[np.floating]:
    """Give every user the songs' audio in an order of chance, each user another one."""
    rngs = [np.random.default_rng([seed, 2, int(user)]) for user in who]
    return np.stack([rng.permutation(row) for rng, row in zip(rngs, similarities, strict=True)])


def _users(path: Path, ids: tuple[str, ...], model: MetricModel) -> tuple[FloatArray, BoolArray]:
    """Return the users' unit embeddings, and which users have one."""
    table = EmbeddingTable.open(path, kind="users")
    model.check_space({table.model_id, table.metadata.space}, str(path))
    found = _or_zeros(table.embeddings, table.row_numbers(list(ids)))
    return unit(found), (found != 0).any(axis=1)


def _table(path: Path, ids: tuple[str, ...], model_id: str) -> FloatArray:
    table = EmbeddingTable.open(path, kind="songs")
    if table.model_id != model_id:
        raise InputError(f"{path}: was made by model {table.model_id}, not by {model_id}")
    rows = table.row_numbers(list(ids))
    if (rows < 0).any():
        missing = ids[int(np.flatnonzero(rows < 0)[0])]
        raise InputError(f"{path}: has no embedding of {missing!r}; embed all songs")
    return table.embeddings[rows]


def _or_zeros(values: FloatArray, rows: Int64Array) -> FloatArray:
    """Return rows of values, zeros for a row of -1."""
    found = np.zeros((len(rows), values.shape[1]), np.float32)
    found[rows >= 0] = values[rows[rows >= 0]]
    return found

"""The songs of a ``features.parquet`` as a PyTorch dataset.

    features.parquet ──FeatureDataset──▶ (T, D) of one song, with its label
                     ──DataLoader, pad_songs──▶ (B, T, D), lengths (B,), labels (B,)

What the backbones said of each segment is stored once; a probe or a head of one's own learns from
it without decoding a file. The file is opened when the first song is asked for, by each worker
process for itself.
"""

import os
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from audiorec.errors import InputError, MissingExtraError, ShapeError, UnknownSongError
from audiorec.store.features import FeatureFile
from audiorec.store.names import near_names
from audiorec.store.segments import SongSegments
from audiorec.types import FloatArray, IdMap, Int64Array

try:
    from torch.utils.data import Dataset
except (ImportError, OSError) as _error:  # the class can be named and read about without torch
    Dataset = object  # type: ignore[misc, assignment]
    _absent: Exception | None = _error
else:
    _absent = None

Segments = Literal["all", "mean"] | int

CACHE_BYTES = 1 << 30  # of features that a process keeps


class FeatureDataset(Dataset):  # type: ignore[type-arg]
    """A map-style dataset: one item a song.

    Parameters
    ----------
    path : path
        A ``features.parquet``, which ``audiorec extract --features`` writes.
    ids : sequence of str, optional
        Songs, in this order; by default all that the file has, or all that have a label.
    labels : mapping of str to object, or sequence, optional
        A label for each id, or one for each of `ids` in their order. With labels an item is
        ``(features, label)``, else the features alone.
    segments : "all", "mean" or int
        All segments, (T, D) with T the song's own; their mean, (D,); or so many evenly spread
        ones, (segments, D), of which a shorter song repeats some.
    inputs : sequence of str, optional
        Columns of the file, side by side in this order (``msd_penultimate``); all by default.
    cache_bytes : int
        Features of songs that a process keeps in memory. A file that needs more is read again
        and again where its songs are drawn in random order.

    Attributes
    ----------
    ids : tuple of str, length n
    labels : tuple or None

    Raises
    ------
    UnknownSongError
        If the file does not have one of `ids`.
    InputError
        If a song has no label, or `segments` is none of those above.
    ShapeError
        If there are not as many labels as ids.
    StoreError
        As `FeatureFile.open`.
    MissingExtraError
        Without torch.

    Examples
    --------
    >>> import audiorec
    >>> path = "fixtures/formats/features-v1.parquet"
    >>> songs = audiorec.FeatureDataset(path, segments=4, labels=[0, 1, 0, 1, 0])
    >>> songs[0][0].shape, songs[1][1]
    (torch.Size([4, 8]), 1)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        ids: Sequence[str] | None = None,
        labels: Mapping[str, Any] | Sequence[Any] | None = None,
        segments: Segments = "all",
        inputs: Sequence[str] | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        if _absent is not None:
            raise MissingExtraError("FeatureDataset", "train", str(_absent)) from _absent
        if segments not in ("all", "mean") and not (isinstance(segments, int) and segments > 0):
            raise InputError(f"segments must be 'all', 'mean' or at least 1, got {segments!r}")
        self.path = Path(path)
        self.segments: Segments = segments
        self.inputs = None if inputs is None else tuple(inputs)
        self.cache_bytes = cache_bytes
        self._opened: _Opened | None = None
        file = FeatureFile.open(self.path, self.inputs)
        self.ids: tuple[str, ...] = _chosen_ids(file.ids, ids, labels)
        self.labels = _chosen_labels(self.ids, labels)
        self.width: int = file.width
        self._rows = IdMap(file.id_array).rows(self.ids)
        if (self._rows < 0).any():
            unknown = self.ids[int(np.flatnonzero(self._rows < 0)[0])]
            raise UnknownSongError(unknown, near_names(file.id_array, unknown))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, number: int) -> Any:
        """Return a song's features (T, D), float32, or these and its label."""
        from torch import from_numpy

        n = len(self)
        if not -n <= number < n:
            raise IndexError(f"there are {n} songs, no number {number}")
        values = from_numpy(self._file.song(int(self._rows[number]), self.segments))
        return values if self.labels is None else (values, self.labels[number])

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open file out: a worker process opens its own."""
        return {**self.__dict__, "_opened": None}

    def __repr__(self) -> str:
        return f"FeatureDataset({str(self.path)!r}: {len(self)} songs of {self.width} features)"

    @property
    def _file(self) -> "_Opened":
        if self._opened is None or self._opened.pid != os.getpid():  # a fork shares its parent's
            file = FeatureFile.open(self.path, self.inputs)
            self._opened = _Opened(file, np.unique(self._rows), self.cache_bytes)
        return self._opened


def pad_songs(items: Sequence[Any]) -> tuple[Any, ...]:
    """Collate songs of several lengths: a ``collate_fn`` for `torch.utils.data.DataLoader`.

    Parameters
    ----------
    items : sequence of tensor (T, D), or of (tensor, label)

    Returns
    -------
    features : tensor, shape (B, T, D)
        Zeros after the end of a song; T is that of the longest.
    lengths : tensor, shape (B,), int64
        Segments of each song.
    labels : tensor, shape (B, ...)
        If the items have labels.

    Examples
    --------
    >>> import torch
    >>> features, lengths = pad_songs([torch.ones(2, 3), torch.ones(5, 3)])
    >>> features.shape, lengths.tolist()
    (torch.Size([2, 5, 3]), [2, 5])
    """
    import torch
    from torch.utils.data import default_collate

    with_labels = isinstance(items[0], tuple)
    songs = [item[0] for item in items] if with_labels else list(items)
    features = torch.nn.utils.rnn.pad_sequence(songs, batch_first=True)
    lengths = torch.tensor([len(song) for song in songs])
    if not with_labels:
        return features, lengths
    return features, lengths, default_collate([item[1] for item in items])


class _Opened:
    """The file in one process, and the row groups that it has read."""

    def __init__(self, file: FeatureFile, rows: Int64Array, cache_bytes: int) -> None:
        self.pid = os.getpid()
        self._open = file
        self._rows = rows  # that anybody will ask for
        self._starts = np.asarray(file.group_starts, np.int64)
        self._cache_bytes = cache_bytes
        self._groups: OrderedDict[int, tuple[Int64Array, SongSegments]] = OrderedDict()
        self._means: FloatArray | None = None

    def song(self, row: int, segments: Segments) -> FloatArray:
        if segments == "mean":
            if self._means is None:
                self._means = self._open.means()
            means: FloatArray = self._means[row].copy()
            return means
        rows, songs = self._group(row, 0 if segments == "all" else int(segments))
        place = int(np.searchsorted(rows, row))
        start, stop = songs.offsets[place : place + 2]
        values = np.asarray(songs.values[start:stop], np.float32)
        if segments == "all":
            return values.copy()
        return values[np.arange(segments) * len(values) // int(segments)]

    def _group(self, row: int, most: int) -> tuple[Int64Array, SongSegments]:
        """Return the songs of the row group that a row is in, and their rows."""
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        if group in self._groups:
            self._groups.move_to_end(group)
            return self._groups[group]
        start, stop = self._starts[group : group + 2]
        rows = self._rows[(self._rows >= start) & (self._rows < stop)]
        self._groups[group] = rows, self._open.read(rows, max_segments=most)
        while len(self._groups) > 1 and self._bytes() > self._cache_bytes:
            self._groups.popitem(last=False)
        return self._groups[group]

    def _bytes(self) -> int:
        return sum(songs.values.nbytes for _, songs in self._groups.values())


def _chosen_ids(
    known: Sequence[str],
    ids: Sequence[str] | None,
    labels: Mapping[str, Any] | Sequence[Any] | None,
) -> tuple[str, ...]:
    if isinstance(ids, str):
        raise InputError(f"ids must be a sequence of ids, got the text {ids!r}")
    if ids is not None:
        return tuple(ids)
    if isinstance(labels, Mapping):
        return tuple(song_id for song_id in known if song_id in labels)
    return tuple(known)


def _chosen_labels(
    ids: Collection[str], labels: Mapping[str, Any] | Sequence[Any] | None
) -> tuple[Any, ...] | None:
    if labels is None:
        return None
    if isinstance(labels, Mapping):
        missing = [song_id for song_id in ids if song_id not in labels]
        if missing:
            raise InputError(f"no label for {missing[0]!r} and {len(missing) - 1} more")
        return tuple(labels[song_id] for song_id in ids)
    if len(labels) != len(ids):
        raise ShapeError(f"there are {len(ids)} songs and {len(labels)} labels")
    return tuple(labels)

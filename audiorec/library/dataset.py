"""The songs of a ``features.parquet`` as a PyTorch dataset.

    features.parquet ──FeatureDataset──▶ (T, D) of one song, with its label
                     ──DataLoader, pad_songs──▶ (B, T, D), lengths (B,), labels (B,)

Backbone outputs are stored once per segment, so probes and custom heads can train without decoding
audio. Each worker process opens the file itself, on first access.
"""

import os
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from audiorec.errors import InputError, MissingExtraError, ShapeError, UnknownSongError
from audiorec.store.features import FeatureFile, SongSegments
from audiorec.store.store import near_names
from audiorec.types import FloatArray, IdMap, Int64Array

try:
    from torch.utils.data import Dataset
except (ImportError, OSError) as _error:  # keeps the class importable and documented without torch
    Dataset = object  # type: ignore[misc, assignment]
    _absent: Exception | None = _error
else:
    _absent = None

Segments = Literal["all", "mean"] | int

CACHE_BYTES = 1 << 30  # features cached per process


class FeatureDataset(Dataset):  # type: ignore[type-arg]
    """A map-style dataset with one item per song.

    Parameters
    ----------
    path : path
        A ``features.parquet``, written by ``audiorec extract --features``.
    ids : sequence of str, optional
        Songs, in this order; by default all songs of the file, or all that have a label.
    labels : mapping of str to object, or sequence, optional
        Labels by id, or in the order of `ids`. With labels an item is ``(features, label)``, else
        only the features.
    segments : "all", "mean" or int
        All segments, (T, D) with T of the song; their mean, (D,); or this many evenly spaced
        segments, (segments, D), where shorter songs repeat some.
    inputs : sequence of str, optional
        Columns of the file, concatenated in this order (``msd_penultimate``); all by default.
    cache_bytes : int
        Features cached in memory per process. If the file is larger, row groups are read
        repeatedly when songs are drawn in random order.

    Attributes
    ----------
    ids : tuple of str, length n
    labels : tuple or None

    Raises
    ------
    UnknownSongError
        If one of `ids` is not in the file.
    InputError
        If a song has no label, or `segments` is invalid.
    ShapeError
        If the numbers of labels and ids differ.
    StoreError
        As for `FeatureFile.open`.
    MissingExtraError
        If torch is not installed.

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
        """Return a song's features (T, D), float32; with labels, a pair (features, label)."""
        from torch import from_numpy

        n = len(self)
        if not -n <= number < n:
            raise IndexError(f"song {number} is out of range: there are {n} songs")
        values = from_numpy(self._file.song(int(self._rows[number]), self.segments))
        return values if self.labels is None else (values, self.labels[number])

    def __getstate__(self) -> dict[str, Any]:
        """Drop the open file: each worker process opens its own."""
        return {**self.__dict__, "_opened": None}

    def __repr__(self) -> str:
        return f"FeatureDataset({str(self.path)!r}: {len(self)} songs of {self.width} features)"

    @property
    def _file(self) -> "_Opened":
        if self._opened is None or self._opened.pid != os.getpid():  # a forked parent's
            file = FeatureFile.open(self.path, self.inputs)
            self._opened = _Opened(file, np.unique(self._rows), self.cache_bytes)
        return self._opened


def pad_songs(items: Sequence[Any]) -> tuple[Any, ...]:
    """Collate songs of different lengths: a ``collate_fn`` for `torch.utils.data.DataLoader`.

    Parameters
    ----------
    items : sequence of tensor (T, D), or of (tensor, label)

    Returns
    -------
    features : tensor, shape (B, T, D)
        Zero-padded at the end; T is the length of the longest song.
    lengths : tensor, shape (B,), int64
        Number of segments of each song.
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
    """The open file of one process, with a cache of row groups."""

    def __init__(self, file: FeatureFile, rows: Int64Array, cache_bytes: int) -> None:
        self.pid = os.getpid()
        self._open = file
        self._rows = rows  # all rows of the dataset
        self._starts = np.asarray(file.group_starts, np.int64)
        self._cache_bytes = cache_bytes
        self._groups: OrderedDict[int, tuple[Int64Array, SongSegments]] = OrderedDict()
        self._means: FloatArray | None = None

    def song(self, row: int, segments: Segments) -> FloatArray:
        if segments == "mean":
            if self._means is None:
                self._means = self._open.means()
            return self._means[row].copy()
        rows, songs = self._group(row, 0 if segments == "all" else int(segments))
        place = int(np.searchsorted(rows, row))
        start, stop = songs.offsets[place : place + 2]
        values = np.asarray(songs.values[start:stop], np.float32)
        if segments == "all":
            return values.copy()
        return values[np.arange(segments) * len(values) // int(segments)]

    def _group(self, row: int, most: int) -> tuple[Int64Array, SongSegments]:
        """Return the dataset's rows in the row group that contains `row`, and their segments."""
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
        raise InputError(f"ids must be a sequence of ids, got the string {ids!r}")
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
        raise ShapeError(f"got {len(labels)} labels for {len(ids)} songs")
    return tuple(labels)

"""Where a song is most itself: the part that is most like the rest of the song.

    ScoreSeries ──typical_part──▶ start and end in seconds, of 20 s

A moment is typical if it is like most other moments of the song, and alive if it is unlike silence
and noise: intros, breaks and endings lose. Two moments are alike by the product of the roots of
their scores (Bhattacharyya), of which the mean over the song is taken.
"""

import numpy as np

from audiorec.errors import InputError
from audiorec.tagger.reading import NOT_MUSIC
from audiorec.types import Float64Array, ScoreSeries

PART_S = 20.0
ALIVE = 0.5  # what the score of silence, speech and noise takes away


def typical_part(
    series: ScoreSeries, *, duration_s: float, part_s: float = PART_S
) -> tuple[float, float]:
    """Return the part of a song that is most like the whole, in seconds.

    Parameters
    ----------
    series : ScoreSeries
    duration_s : float
        Of the song.
    part_s : float
        Length of the part; the whole song if it is shorter.

    Returns
    -------
    start_s, end_s : float
        The earliest part among equals.

    Raises
    ------
    InputError
        If `part_s` is not positive.

    Examples
    --------
    >>> rows = [[1.0, 0.0]] * 2 + [[0.2, 0.8]] * 8
    >>> song = ScoreSeries(
    ...     np.array(rows, np.float32), 3 * np.arange(10, dtype=np.float32), ("g/a", "g/b")
    ... )
    >>> typical_part(song, duration_s=30.0, part_s=12.0)
    (6.0, 18.0)
    """
    if not part_s > 0:
        raise InputError(f"a part must be longer than 0 seconds, got {part_s}")
    starts = series.start_s.astype(np.float64)
    last = max(0.0, duration_s - part_s)
    begins = starts[starts <= last + 1e-6]
    if not len(begins):
        return 0.0, min(part_s, duration_s)
    inside = (starts >= begins[:, None] - 1e-6) & (starts < begins[:, None] + part_s - 1e-6)
    worth = inside @ _worth(series) / inside.sum(axis=1)
    best = begins[int(np.argmax(worth.round(9)))]
    return float(best), float(min(best + part_s, duration_s))


def _worth(series: ScoreSeries) -> Float64Array:
    """Return how typical and alive each segment is: (T,)."""
    roots = np.sqrt(series.scores.astype(np.float64).clip(0))
    noise = [i for i, name in enumerate(series.classes) if name.endswith(f"/{NOT_MUSIC}")]
    found: Float64Array = roots @ roots.mean(axis=0) - ALIVE * series.scores[:, noise].sum(axis=1)
    return found

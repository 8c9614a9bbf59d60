"""Similarity search over a store: nearest songs, with filters, limits and explanations.

::

    store ──`SearchableStore`──▶ `Space`: unit vectors (m, W) of the songs
          query ──prepare──▶ unit (W,) ──search, near──▶ `Neighbours`
                                         │ topk: the nearest songs, exactly
                                         │ choice: which songs are eligible (filters, music)
                                         └ diversify: limits per artist or album, diversity
          `Neighbours` ──explain──▶ reasons
"""

from audiorec.exports import lazy

__getattr__, __dir__ = lazy(__name__)

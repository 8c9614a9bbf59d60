"""Similarity search over a store: nearest songs, with filters, limits and explanations.

::

    store ──`SearchableStore`──▶ `Space`: unit vectors (m, W) of the songs
          query ──prepare──▶ unit (W,) ──search, near──▶ `Neighbours`
                                         │ topk: the nearest songs, exactly
                                         │ choice: which songs are eligible (filters, music)
                                         └ diversify: limits per artist or album, diversity
          `Neighbours` ──explain──▶ reasons
"""

from typing import TYPE_CHECKING

from audiorec.exports import lazy

if TYPE_CHECKING:
    from audiorec.search.atlas import MapKind as MapKind
    from audiorec.search.atlas import project as project
    from audiorec.search.atlas import write_atlas as write_atlas
    from audiorec.search.copies import Group as Group
    from audiorec.search.copies import Recordings as Recordings
    from audiorec.search.copies import find_duplicates as find_duplicates
    from audiorec.search.explain import Closeness as Closeness
    from audiorec.search.explain import Reason as Reason
    from audiorec.search.explain import SureFacts as SureFacts
    from audiorec.search.explain import Usual as Usual
    from audiorec.search.explain import reasons_for as reasons_for
    from audiorec.search.explain import sentence as sentence
    from audiorec.search.filters import matching as matching
    from audiorec.search.filters import parse_conditions as parse_conditions
    from audiorec.search.music import is_music as is_music
    from audiorec.search.music import why_not_music as why_not_music
    from audiorec.search.near import all_pairs as all_pairs
    from audiorec.search.near import near_seeds as near_seeds
    from audiorec.search.questions import Also as Also
    from audiorec.search.questions import Choice as Choice
    from audiorec.search.questions import FindQuestion as FindQuestion
    from audiorec.search.questions import PathQuestion as PathQuestion
    from audiorec.search.questions import PlaylistQuestion as PlaylistQuestion
    from audiorec.search.questions import Question as Question
    from audiorec.search.questions import SimilarQuestion as SimilarQuestion
    from audiorec.search.scaling import By as By
    from audiorec.search.searchable import SearchableStore as SearchableStore
    from audiorec.search.similar import SimilarSongs as SimilarSongs
    from audiorec.search.space import Neighbour as Neighbour
    from audiorec.search.space import Neighbours as Neighbours
    from audiorec.search.space import Space as Space
    from audiorec.search.space import SpaceChoice as SpaceChoice
    from audiorec.search.space import mean_direction as mean_direction
    from audiorec.search.topk import top_k as top_k

# The names above once more, for the import on first use.
HOMES = {
    "audiorec.search.atlas": ("MapKind", "project", "write_atlas"),
    "audiorec.search.copies": ("Group", "Recordings", "find_duplicates"),
    "audiorec.search.explain": (
        "Closeness",
        "Reason",
        "SureFacts",
        "Usual",
        "reasons_for",
        "sentence",
    ),
    "audiorec.search.filters": ("matching", "parse_conditions"),
    "audiorec.search.music": ("is_music", "why_not_music"),
    "audiorec.search.near": ("all_pairs", "near_seeds"),
    "audiorec.search.questions": (
        "Also",
        "Choice",
        "FindQuestion",
        "PathQuestion",
        "PlaylistQuestion",
        "Question",
        "SimilarQuestion",
    ),
    "audiorec.search.scaling": ("By",),
    "audiorec.search.searchable": ("SearchableStore",),
    "audiorec.search.similar": ("SimilarSongs",),
    "audiorec.search.space": ("Neighbour", "Neighbours", "Space", "SpaceChoice", "mean_direction"),
    "audiorec.search.topk": ("top_k",),
}

__getattr__, __dir__ = lazy(__name__, HOMES)

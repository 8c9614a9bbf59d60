"""A head for whole songs that is worked by hand, and stores whose songs it labels."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from made_sound import add_lists

from audiorec.store.schema import TAGS as TAG_COLUMNS
from audiorec.store.schema import StoreMetadata, write_table
from audiorec.tagger.song_labels import EMBEDDING, TAGS, WIDTH, SongLabels
from audiorec.tagger.vectors import shipped_sound
from audiorec.tagger.weights import MSD

GENRES, STYLES = ("jazz", "metal", "pop"), ("disco",)  # the genres of `made_library`
SENSES = {"jazz": "jazz", "metal": "metal", "pop": "pop", "disco": "dance", "none": "sad"}
STRENGTH = 10.0  # logit of a class whose tag has the root 1


def hand_head(**changes):
    """Return a head whose logit of a class is ten times the root of one tag."""
    weight = np.zeros((WIDTH, len(SENSES)), np.float32)
    for output, tag in enumerate(SENSES.values()):
        weight[EMBEDDING + MSD.tags.index(tag), output] = STRENGTH
    known = {
        "genres": GENRES,
        "styles": STYLES,
        "backbone_sha256": MSD.sha256,
        "front_end": "of a test",
        "centre": np.zeros(WIDTH, np.float32),
        "scale": np.ones(WIDTH, np.float32),
        "weight": weight,
        "bias": np.zeros(len(SENSES), np.float32),
        "genre_limit": 0.7,
        "style_limits": np.array([0.8], np.float32),
    }
    return SongLabels(**(known | changes))


def tags(**values):
    """Return the tags (50,) of a song that is heard as some classes; a value is a tag's root."""
    found = np.zeros(TAGS)
    for name, root in values.items():
        found[MSD.tags.index(SENSES[name])] = root**2
    return found


def add_labels(path, songs):
    """Give each song of a store the tags of some classes, or None for no lists."""
    add_lists(
        path,
        sound_id=shipped_sound().sha256[:16],
        sound=[None if one is None else [0.6, 0.8] for one in songs],
        embedding=[None if one is None else np.zeros(EMBEDDING) for one in songs],
        heard_tags=[None if one is None else tags(**one) for one in songs],
    )
    return path


def add_genre_tags(path, genres, *, year=1998, languages=None):
    """Give each song of a store, in order, the genre and language of its tags; all one year."""
    table = pq.read_table(path)
    about = StoreMetadata.from_json(table.schema.metadata[b"audiorec"])
    table = table.append_column("genre_tag", pa.array(genres, pa.string()))
    table = table.append_column("year", pa.array([year] * len(genres), pa.int32()))
    spoken = languages or [None] * len(genres)
    table = table.append_column("language", pa.array(spoken, pa.string()))
    write_table(path, table, replace(about, tags=dict.fromkeys(TAG_COLUMNS, "tags 1")))
    return path


def use_hand_head(monkeypatch):
    """Label songs by the head of `hand_head`."""
    head = hand_head()
    monkeypatch.setattr("audiorec.tagger.song_labels._shipped", lambda: head)
    return head

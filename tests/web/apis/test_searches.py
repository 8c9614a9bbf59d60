"""`audiorec.web.apis.messages`: answers by sound, and songs that lack it."""

import numpy as np
import pytest
from made_sound import add_lists, random_sound
from served_library import asked, document, server_id, snapshot_of, write_served

from audiorec.errors import InputError
from audiorec.search.questions import SimilarQuestion
from audiorec.web.apis.audiomuse import similar_tracks
from audiorec.web.apis.messages import near, way
from audiorec.web.apis.own import user_vector

LACKING = 3
NINE = SimilarQuestion(k=9)


@pytest.fixture
def sounding(tmp_path):
    """Eight songs of which the fourth has no sound; all others lie in the positive corner."""
    store = write_served(tmp_path)
    sound = [None if n == LACKING else row for n, row in enumerate(np.abs(random_sound(8)))]
    return snapshot_of(add_lists(store, sound=sound))


def named(snapshot, *numbers):
    return [snapshot.names.find(server_id(n)) for n in numbers]


def test_the_nearest_are_by_sound_and_none_is_without(sounding):
    found = near(sounding, named(sounding, 0), NINE)
    space = sounding.library.space("sound")
    expected = space.matrix @ space.units([0])[0]
    order = space.rows[np.argsort(-expected)]
    assert found.rows.tolist() == [r for r in order.tolist() if r != 0 and r < 7]
    assert LACKING not in found.rows


def test_a_seed_without_a_sound_is_left_out_of_several_and_refused_alone(sounding):
    alone = near(sounding, named(sounding, 0), NINE)
    both = near(sounding, named(sounding, 0, LACKING), NINE)
    np.testing.assert_array_equal(both.similarities, alone.similarities)
    with pytest.raises(InputError, match="has no sound, as it was extracted without"):
        near(sounding, named(sounding, LACKING), NINE)
    with pytest.raises(InputError, match="has no sound"):
        way(sounding, *named(sounding, 0, LACKING), 4)


def test_audiomuse_gets_one_minus_the_cosine_of_sounds(sounding):
    reply = similar_tracks(sounding, asked("/api/similar_tracks", {"item_id": server_id(0)}))
    tracks = document(reply)
    found = near(sounding, named(sounding, 0), SimilarQuestion(k=10))
    assert [t["distance"] for t in tracks] == [
        round(1 - s, 6) for s in found.similarities.tolist()[: len(tracks)]
    ]


def test_the_vector_of_a_history_is_a_place_of_sound(sounding):
    values = {"history": [server_id(0), server_id(LACKING)], "channel": "sound"}
    answer = user_vector(sounding, values)
    assert answer["used"] == 1
    assert (answer["dimension"], answer["model_id"].rpartition("/")[2]) == (8, "sound")
    np.testing.assert_allclose(answer["vectors"][0], sounding.library.space().units([0])[0])

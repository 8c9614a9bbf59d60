"""What crosses in an alignment and a training: no id, no feature and no play of anybody."""

import itertools
import json

import numpy as np
import pytest
from needs import needs

needs("torch")

from two_parties import RECIPE, USERS, Music, mmoe, partner, people, plays, shared

from audiorec_federated.halves import ItemSide, UserSide
from audiorec_federated.noise import Defence
from audiorec_federated.protocol import FIELDS, MessageKind, decode


def crossed(folder, recipe, **options):
    heard = []
    agreed = shared(recipe)
    music = Music(folder / "m", agreed, defence=Defence())
    half, _ = partner(lambda: music, folder / "p", agreed, observer=heard.append, **options)
    music.join()
    return heard, half


@pytest.fixture(scope="module", params=["two-tower", "mmoe"])
def training(request, tmp_path_factory):
    recipe = RECIPE if request.param == "two-tower" else mmoe()
    return crossed(tmp_path_factory.mktemp("t"), recipe)


def test_no_id_and_no_value_of_anybody_is_in_the_transcript(training):
    whole = b"".join(training[0])
    assert len(whole) > 30_000
    known = people()
    texts = [*USERS, *plays().song_ids, *known.categories["taste"]]
    texts += itertools.chain.from_iterable(t.split("|") for t in known.categories["bought"])
    texts += [str(age) for age in known.numbers["age"]]
    for text in set(texts):
        assert text.encode() not in whole, text


def test_no_row_of_features_or_plays_is_in_the_transcript(training):
    whole = b"".join(training[0])
    users, songs = UserSide.of(people(), USERS, RECIPE), ItemSide.of(plays(), USERS)
    looked = 0
    for age in people().numbers["age"]:
        assert np.float64(age).tobytes() not in whole
        assert np.float32(age).tobytes() not in whole
    for row in range(len(USERS)):
        for array in (users.features.dense[row], users.features.dense[row].astype(np.float64)):
            assert array.tobytes() not in whole
        for side in (
            songs.plays.take(np.array([row])),
            *users.features.take(np.array([row])).bags.values(),
        ):
            # Lengths in a frame are small numbers as well, so a row of a few counts only whole.
            for kind, least in ((np.int64, 2), (np.int32, 3)):
                if len(side.code) >= least and side.code.all():
                    looked += 1
                    assert side.code.astype(kind).tobytes() not in whole
    assert looked > 100


def test_no_row_number_of_a_batch_is_in_the_transcript(training):
    from audiorec_federated.towers import split_rows, steps_of

    whole = b"".join(training[0])
    learnt, _ = split_rows(len(USERS), RECIPE, "choose")
    for step in steps_of(learnt, RECIPE, 1):
        for kind in (np.int64, np.int32, np.int16):
            assert step.rows[:4].astype(kind).tobytes() not in whole


def test_only_the_kinds_of_a_training_cross_and_only_their_fields(training):
    messages = [decode(data) for data in training[0]]
    kinds = {message.kind for message in messages}
    asked = ("HELLO", "BEGIN", "VECTORS", "TABLE", "SAVE", "FINISH")
    answers = ("WELCOME", "NOTED", "GRADIENTS")
    assert kinds == {MessageKind[name] for name in (*asked, *answers)}
    for message in messages:
        assert set(message.fields) == set(FIELDS[message.kind])
    hello = messages[0]
    assert set(hello["settings"]) >= {"model", "batch_size", "users"}
    assert len(json.dumps(hello["settings"])) < 2_000


def test_neither_secret_crosses(training):
    whole = b"".join(training[0])
    for secret in (11, 12):  # of the music side and of the partner
        assert np.int64(secret).tobytes() not in whole


def test_the_partner_s_own_labels_and_items_never_leave(tmp_path):
    """Of an mmoe: its own task's vectors are not among those that are sent."""
    heard, half = crossed(tmp_path, mmoe(own_weight=0.7))
    assert "own.weight" in half.model.state_dict()
    sent = [decode(data) for data in heard]
    vectors = [message for message in sent if message.kind == MessageKind.VECTORS]
    steps = {(m["epoch"], m["step"]) for m in vectors}
    assert len(vectors) == len(steps)  # one table a step, of the task of the other side
    own = half.model.state_dict()["own.weight"].numpy()
    whole = b"".join(heard)
    assert all(row.tobytes() not in whole for row in own)


def test_vectors_may_cross_as_float16(tmp_path):
    heard, _ = crossed(tmp_path, RECIPE, defence=Defence(rounding="float16"))
    vectors = [m for m in map(decode, heard) if m.kind == MessageKind.VECTORS]
    assert {m["dtype"] for m in vectors} == {"float16"}
    assert all(len(m.payload) == 2 * m["rows"] * m["width"] for m in vectors)

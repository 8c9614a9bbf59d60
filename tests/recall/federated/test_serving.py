"""Vectors after training: ONNX equals numpy, noise is the same each time, files say whose."""

import numpy as np
import pytest
from needs import needs

needs("onnx")
needs("torch")

import onnx
import pyarrow.parquet as pq
from two_parties import RECIPE, USERS, mmoe, people

from audiorec.errors import InputError
from audiorec.recall.federated.alignment import Alignment, write_alignment
from audiorec.recall.federated.keys import make_keys
from audiorec.recall.federated.plan import PartyPlan
from audiorec.recall.federated.serving import (
    OnnxTower,
    inputs_of,
    tower_bytes,
    user_table,
    write_tower,
)
from audiorec.recall.federated.sides import UserSide
from audiorec.recall.federated.user_model import UserModel, space_of, weights_of
from audiorec.store.embeddings import EmbeddingTable


def model_of(recipe):
    side = UserSide.of(people(), USERS, recipe)
    half = side.half(recipe, "refit", secret=1)
    weights = weights_of(half.model.state_dict())
    return UserModel(recipe=recipe, encoder=side.encoder, weights=weights, space="ab" * 8)


@pytest.mark.parametrize(
    "recipe", [RECIPE, mmoe(item_weights=(1.0, 0.5))], ids=["two-tower", "mmoe"]
)
def test_a_tower_as_onnx_gives_the_vectors_of_numpy(recipe):
    model = model_of(recipe)
    everybody = model.encoder.encode(people())
    tower = OnnxTower(tower_bytes(model))
    found = tower.vectors(everybody)
    for business in range(model.businesses):
        np.testing.assert_allclose(found[:, business], model.embed(people(), business), atol=1e-6)
    one, nobody = everybody.take(np.array([3])), everybody.take(np.arange(0))
    np.testing.assert_allclose(tower.vectors(one), found[3:4], atol=1e-6)
    assert tower.vectors(nobody).shape == (0, *found.shape[1:])
    stranger = model.encoder.encode(people().for_users(["unknown"]))
    assert not tower.vectors(stranger).any()


def test_the_graph_is_one_file_of_plain_operators():
    graph = onnx.load_from_string(tower_bytes(model_of(mmoe())))
    assert {node.domain for node in graph.graph.node} == {""}
    assert not [t for t in graph.graph.initializer if t.external_data]
    named = {one.name for one in graph.graph.input}
    assert named == set(inputs_of(model_of(mmoe()).encoder.encode(people())))


@pytest.fixture
def party(tmp_path):
    """A partner's folder with a model; returns what makes its plan."""
    known = people()
    rows = zip(USERS, known.categories["taste"], known.categories["bought"],
               known.numbers["age"].tolist(), strict=True)  # fmt: skip
    text = "\n".join(["user_id,taste,bought,age", *(",".join(map(str, row)) for row in rows)])
    (tmp_path / "profiles.csv").write_text(text)
    write_alignment(tmp_path / "aligned.parquet", Alignment((*USERS[:9], "", "ghost"), ("a" * 64,)))
    make_keys(tmp_path / "keys", "partner")
    model_of(RECIPE).save(tmp_path / "model")

    def plan(**defence):
        shown = ", ".join(f"{name} = {value!r}" for name, value in defence.items())
        (tmp_path / "partner.toml").write_text(
            '[federated]\nrole = "partner"\nkeys = "keys"\npeers = ["m.pem"]\n'
            'addresses = ["127.0.0.1:1"]\nprofiles = "profiles.csv"\n'
            f"defence = {{ {shown} }}\n"
        )
        return PartyPlan.read(tmp_path / "partner.toml")

    return plan


def vectors(path):
    table = EmbeddingTable.open(path, kind="users")
    return dict(zip(table.ids, np.asarray(table.embeddings), strict=True)), table.metadata


def test_a_table_has_the_users_that_the_other_side_knows(party, tmp_path):
    found = user_table(party(), tmp_path / "v.parquet")
    assert (found["users"], found["unknown"]) == (9, 1)  # of the ghost nothing is known
    kept, about = vectors(tmp_path / "v.parquet")
    assert set(kept) == set(USERS[:9])
    assert about.space == "ab" * 8
    user_table(party(), tmp_path / "all.parquet", everybody=True)
    assert set(vectors(tmp_path / "all.parquet")[0]) == set(USERS)


def test_noise_on_vectors_is_the_same_each_time_and_follows_from_the_key(party, tmp_path):
    plain, noised, again = (tmp_path / f"{name}.parquet" for name in ("p", "n", "a"))
    user_table(party(), plain)
    user_table(party(vector_noise=0.5), noised)
    user_table(party(vector_noise=0.5), again, everybody=True)
    first, second, third = (vectors(path)[0] for path in (plain, noised, again))
    for user in USERS[:9]:
        away = np.linalg.norm(second[user] - first[user])
        assert 0.05 < away < 2
        # The same noise, so nothing to average away; another batch moves a sum's last digit.
        np.testing.assert_allclose(third[user], second[user], atol=1e-6)
    for name in ("key", "certificate"):
        (tmp_path / "keys" / f"{name}.pem").unlink()
    make_keys(tmp_path / "keys", "partner")
    user_table(party(vector_noise=0.5), again)
    assert not np.array_equal(vectors(again)[0][USERS[0]], second[USERS[0]])


def test_a_changed_profile_gets_other_noise(party, tmp_path):
    """The difference of two vectors of a user would otherwise be free of noise."""
    found = []
    for age in ("39.5", "21.5"):
        plan = party(vector_noise=0.5)
        lines = (tmp_path / "profiles.csv").read_text().splitlines()
        lines[1] = f"{lines[1].rpartition(',')[0]},{age}"
        (tmp_path / "profiles.csv").write_text("\n".join(lines))
        for name, defended in (("plain", party()), ("noised", plan)):
            user_table(defended, tmp_path / name)
            found.append(vectors(tmp_path / name)[0])
    noise = [noised[USERS[0]] - plain[USERS[0]] for plain, noised in (found[:2], found[2:])]
    assert np.linalg.norm(noise[0] - noise[1]) > 0.1
    others = [noised[USERS[1]] - plain[USERS[1]] for plain, noised in (found[:2], found[2:])]
    np.testing.assert_allclose(*others, atol=1e-6)


def test_vectors_may_be_rounded(party, tmp_path):
    user_table(party(rounding="float16"), tmp_path / "v.parquet")
    for vector in vectors(tmp_path / "v.parquet")[0].values():
        np.testing.assert_array_equal(vector, vector.astype(np.float16).astype(np.float32))


def test_a_tower_is_written_whole(party, tmp_path):
    found = write_tower(party(), tmp_path / "tower.onnx")
    assert found["bytes"] == (tmp_path / "tower.onnx").stat().st_size
    onnx.checker.check_model(str(tmp_path / "tower.onnx"))


def test_an_item_side_has_no_tower(party, tmp_path):
    plan = party()
    text = (tmp_path / "partner.toml").read_text().replace('"partner"', '"music"')
    (tmp_path / "music.toml").write_text(text)
    with pytest.raises(InputError, match="the partner has the user tower"):
        user_table(PartyPlan.read(tmp_path / "music.toml"), tmp_path / "v.parquet")
    assert plan.role == "partner"


def test_each_business_has_a_space_of_its_own():
    names = [space_of("ab" * 8, number) for number in range(3)]
    assert names[0] == "ab" * 8
    assert len(set(names)) == 3
    assert all(len(name) == 16 for name in names)


def test_tables_hold_no_row_of_a_profile(party, tmp_path):
    user_table(party(), tmp_path / "v.parquet")
    assert set(pq.read_table(tmp_path / "v.parquet").column_names) == {"user_id", "embedding"}

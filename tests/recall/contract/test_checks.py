"""The contract holds for every channel, and the checks go red on channels that break it."""

import numpy as np
import pytest
from needs import needs

from audiorec.errors import ContractError, InputError, WeightsError
from audiorec.recall.contract.checks import CHECKS, check_channel, made_up_listening
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.registry import CHANNELS, channel_class, load_channel
from audiorec.recall.simple.popular import Popular
from audiorec.recall.simple.rules import Rules
from audiorec.recall.simple.vs_knn import VsKnn

TRAINED = ("youtube-dnn", "user-audio")  # with torch


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("rule", CHECKS)
def test_a_channel_keeps_the_contract(name, rule):
    if name in TRAINED:
        needs("torch")
    assert CHECKS[rule](channel_class(name), made_up_listening())


@pytest.mark.parametrize("name", CHANNELS)
def test_a_channel_is_called_as_it_is_registered_and_says_what_it_is(name):
    kind = channel_class(name)
    assert kind.name == name
    assert kind.serves
    assert kind.horizon in ("long", "short")
    assert kind.__doc__.strip().splitlines()[0].endswith(".")


class ForgetsNothing(Popular):
    """Adds to what it learnt before."""

    name = "forgets-nothing"

    def _count(self, data):
        before = self.weights if hasattr(self, "weights") else 0
        super()._count(data)
        if np.ndim(before) and len(before) == len(self.weights):
            self.weights = self.weights + 3 * before[::-1]


class KeepsUsers(VsKnn):
    """Keeps the names of its users."""

    name = "keeps-users"
    ARRAYS = (*VsKnn.ARRAYS, "users")

    def _count(self, data):
        super()._count(data)
        self.users = np.frombuffer("".join(data.sequences.owner_ids).encode(), np.uint8)


class LooksAtTheBatch(Rules):
    """Compares a query with the others."""

    name = "looks-at-the-batch"

    def _similarities(self, queries):
        found = super()._similarities(queries)
        best = np.where(np.isfinite(found), found, 0).sum(axis=0).argmax()
        found[:, best] = 99
        return found


class ForgetsWeights(Rules):
    """Saves half of what it knows."""

    name = "forgets-weights"

    @classmethod
    def _from_state(cls, bundle):
        channel = super()._from_state(bundle)
        channel.weights = np.ones_like(channel.weights)
        return channel


class ProposesWhatIsNew(Popular):
    """Takes songs that nobody played for the most popular."""

    name = "proposes-what-is-new"

    def recall(self, queries, k, *, exclude=None, allowed=None, cold=0):
        self.is_cold = np.zeros_like(self.is_cold)
        self.weights = self.weights.max() - self.weights
        return super().recall(queries, k, exclude=exclude, allowed=allowed, cold=cold)


class IgnoresExclude(Popular):
    """Proposes what it likes."""

    name = "ignores-exclude"

    def blocks(self, queries, *, exclude=None, allowed=None):  # noqa: ARG002
        return super().blocks(queries, allowed=allowed)


class CountsLessForAFew(Popular):
    """Has another opinion where few songs are allowed."""

    name = "counts-less-for-a-few"

    def blocks(self, queries, *, exclude=None, allowed=None):
        for block in super().blocks(queries, exclude=exclude, allowed=allowed):
            yield block if allowed is None else np.where(np.isfinite(block), -block, block)


BROKEN = {
    ForgetsNothing: "a second fit begins anew",
    KeepsUsers: "a bundle holds no id of a user",
    LooksAtTheBatch: "one query gets the same alone and in a batch",
    ForgetsWeights: "save and load change nothing",
    ProposesWhatIsNew: "songs never played come only if asked for",
    IgnoresExclude: "exclude holds",
    CountsLessForAFew: "allowed holds, and changes nothing else",
}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.name)
def test_the_checks_go_red(kind):
    with pytest.raises(ContractError) as found:
        check_channel(kind)
    assert BROKEN[kind] in str(found.value)
    assert str(found.value).startswith(f"{kind.name} breaks the contract of recall: ")


def test_a_channel_of_ones_own_passes():
    class Alphabet(Popular):
        """Songs by their names."""

        name = "alphabet"

        def _count(self, data):
            self.weights = -np.arange(len(data.song_ids), dtype=np.float32)

    check_channel(Alphabet)


def test_a_model_is_loaded_whatever_it_is(tmp_path):
    data = made_up_listening()
    for name in ("rules", "popular"):
        channel_class(name)().fit(data).save(tmp_path / name)
        assert load_channel(tmp_path / name).name == name
    with pytest.raises(WeightsError, match="holds a recall/rules, not a recall/popular"):
        Popular.load(tmp_path / "rules")
    with pytest.raises(InputError, match="no channel 'sasrex'; there are: popular, "):
        channel_class("sasrex")


def test_what_is_asked_wrongly_is_refused():
    data = made_up_listening()
    channel = Popular().fit(data)
    queries = Queries(data.sequences)
    with pytest.raises(InputError, match="k must be at least 1"):
        channel.recall(queries, 0)
    with pytest.raises(InputError, match="exclude has 2 lists for 60 queries"):
        channel.recall(queries, 3, exclude=data.sequences.take(np.arange(2)))
    with pytest.raises(InputError, match="popular: there is no finished play to learn from"):
        Popular().fit(RecallData(data.sequences.keep(np.zeros(len(data.sequences.song), bool))))

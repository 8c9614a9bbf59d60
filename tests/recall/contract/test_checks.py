"""The contract holds for every channel, and the checks go red on channels that break it."""

import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from needs import needs

from audiorec.errors import ContractError, InputError, WeightsError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.checks import CHECKS, K, Trial, check_channel, synthetic_listening
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.contract.space import SharedSpace
from audiorec.recall.registry import CHANNELS, channel_class, load_channel
from audiorec.recall.simple.counts import Popular, Rules
from audiorec.recall.simple.external import External
from audiorec.recall.simple.knn import VSKNN

GRAPH = ("song2vec", "eges", "graphsage")
FEDERATED = ("two-tower", "mmoe")
SEQUENCE = ("youtube-dnn", "sasrec", "mind", "comirec-sa", "user-audio")
TRAINED = (*SEQUENCE, *GRAPH, *FEDERATED)  # with torch
OTHERS = tuple(name for name in CHANNELS if name not in TRAINED)
LIGHT = "what says that it is light loads without torch"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Return a table of candidates for the users of the checks, with songs that nobody played."""
    data = synthetic_listening()
    path = tmp_path_factory.mktemp("external") / "theirs.parquet"
    rng = np.random.default_rng(5)
    drawn = [rng.permutation(data.song_ids)[:25].tolist() for _ in data.sequences.owner_ids]
    columns = {
        "user_id": np.repeat(data.sequences.owner_ids, 25),
        "song_id": [song for songs in drawn for song in songs],
        "rank": np.tile(np.arange(1, 26), len(drawn)),
    }
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture(scope="module")
def trials(table):
    """Return a function that returns the trial of a channel: each is fitted once, and soon."""

    @cache
    def trial(name):
        kind = channel_class(f"external:{table}" if name == "external" else name)
        make = partial(kind, kind.Recipe(max_epochs=2)) if name in TRAINED else kind
        return Trial(make, synthetic_listening())

    return trial


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("rule", [rule for rule in CHECKS if rule != LIGHT])
def test_a_channel_keeps_the_contract(name, rule, trials):
    if name in TRAINED:
        needs("torch")
    trial = trials(name)
    assert rule in trial.fitted.waived or CHECKS[rule](trial)


@pytest.mark.parametrize("names", [OTHERS, TRAINED], ids=["others", "trained"])
def test_what_says_that_it_is_light_loads_without_torch(names, trials, tmp_path):
    """All in one process; the first of them as anybody's channel is checked, in one of its own."""
    if names is TRAINED:
        needs("torch")
    fitted = [(name, trials(name).fitted) for name in names]
    light = [name for name, one in fitted if one.light and LIGHT not in one.waived]
    assert CHECKS[LIGHT](trials(light[0]))
    for name in light[1:]:
        trials(name).fitted.save(tmp_path / name)
    code = f"""
import sys
from audiorec.recall.registry import load_channel
for name in {light[1:]}:
    load_channel({str(tmp_path)!r} + "/" + name)
    if "torch" in sys.modules:
        sys.exit(name)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_external_waives_what_needs_a_bundle_and_nothing_else(table, tmp_path):
    kind = channel_class(f"external:{table}")
    check_channel(kind)
    assert set(External.waived) == {
        "save and load change nothing",
        "a bundle holds no id of a user",
        LIGHT,
    }
    assert not any(channel_class(name).waived for name in CHANNELS if name != "external")
    channel = kind().fit(synthetic_listening())
    with pytest.raises(InputError, match="is its own model and cannot be saved"):
        channel.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    with pytest.raises(InputError, match="external: name the table of candidates"):
        External().fit(synthetic_listening())


def test_external_proposes_by_user_and_rank(tmp_path):
    (tmp_path / "t.csv").write_text("user_id,song_id,rank\nu,b,2\nu,a,1\nu,new,3\nv,a,1\n")
    plays = Sequences.from_lists([["a", "b"], ["b"]], ["u", "w"])
    kind = channel_class(f"external:{tmp_path / 't.csv'}")
    assert kind.name == f"external:{tmp_path / 't.csv'}"
    found = kind().fit(RecallData(plays)).recall(Queries(plays), 5, cold=1)
    assert found.of(0) == ["a", "b", "new"]
    assert found.cold[0][found.song[0] >= 0].tolist() == [False, False, True]
    assert found.of(1) == []
    assert found.reason == "external"


def test_a_waived_rule_has_to_be_one():
    class Waives(Popular):
        """Waives what is no rule."""

        waived = {"must be nice": "is not"}  # noqa: RUF012

    with pytest.raises(ContractError, match="waives an unknown rule: 'must be nice'"):
        check_channel(Waives)


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


class KeepsUsers(VSKNN):
    """Keeps the names of its users."""

    name = "keeps-users"
    ARRAYS = (*VSKNN.ARRAYS, "users")

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


class CutsTiesByChance(Popular):
    """Takes the last of equal songs where a list is cut among them."""

    name = "cuts-ties-by-chance"

    def _count(self, data):
        super()._count(data)
        self.weights = np.ones_like(self.weights)

    def recall(self, queries, k, *, exclude=None, allowed=None, cold=0):
        found = super().recall(queries, 10**6, exclude=exclude, allowed=allowed, cold=cold)
        if k > found.song.shape[1]:
            return found
        song = np.sort(found.song[:, -k:], axis=1)
        sides = (found.similarity, found.evidence, found.cold)
        similarity, evidence, is_cold = (side[:, :k] for side in sides)
        return replace(found, song=song, similarity=similarity, evidence=evidence, cold=is_cold)


class ServesOtherLists(Popular):
    """Turns its lists over once they are ranked."""

    name = "serves-other-lists"

    def recall(self, queries, k, *, exclude=None, allowed=None, cold=0):
        self.weights = -self.weights
        try:
            return super().recall(queries, k, exclude=exclude, allowed=allowed, cold=cold)
        finally:
            self.weights = -self.weights


class WatchesSignals(Popular):
    """Listens for an interrupt while it learns."""

    name = "watches-signals"

    def _count(self, data):
        signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT))
        super()._count(data)


class PropsUpWhatIsLeft(Popular):
    """Has another order where songs are excluded."""

    name = "props-up-what-is-left"

    def blocks(self, queries, *, exclude=None, allowed=None):
        for block in super().blocks(queries, exclude=exclude, allowed=allowed):
            yield block if exclude is None else np.where(np.isfinite(block), -block, block)


class GrowsTired(Popular):
    """Turns its order round each time it is asked."""

    name = "grows-tired"

    def blocks(self, queries, *, exclude=None, allowed=None):
        if hasattr(self, "weights"):
            self.weights = self.weights.max() - self.weights
        return super().blocks(queries, exclude=exclude, allowed=allowed)


class MixesQueriesUp(Rules):
    """Leaves what it was asked where another thread finds it."""

    name = "mixes-queries-up"

    def _similarities(self, queries):
        self.queries_of = queries.histories.take(np.roll(np.arange(len(queries)), self.turns))
        self.turns += 1
        time.sleep(0.01)
        return super()._similarities(replace(queries, histories=self.queries_of))

    turns = 0


class TurnsTiesRound(Popular):
    """Orders equal songs from the last id to the first."""

    name = "turns-ties-round"

    def _count(self, data):
        super()._count(data)
        self.weights = np.ones_like(self.weights)

    def recall(self, queries, k, *, exclude=None, allowed=None, cold=0):
        found = super().recall(queries, k, exclude=exclude, allowed=allowed, cold=cold)
        n = int((found.song[0] >= 0).sum()) if len(found) else 0
        found.song[:, :n] = found.song[:, :n][:, ::-1]
        return found


class SpellsUsersWide(VSKNN):
    """Keeps the names of its users, four bytes a letter."""

    name = "spells-users-wide"
    ARRAYS = (*VSKNN.ARRAYS, "users")

    def _count(self, data):
        super()._count(data)
        self.users = np.array(data.sequences.owner_ids).view(np.uint8)


class NamesFilesByUsers(Popular):
    """Writes a file for each user."""

    name = "names-files-by-users"

    def save(self, path):
        made = super().save(path)
        (path / "listener-0007.json").write_text("{}")
        return made


class RanksNewAmongOthers(Popular):
    """Puts new songs between the others once they are asked for."""

    name = "ranks-new-among-others"

    def recall(self, queries, k, *, exclude=None, allowed=None, cold=0):
        found = super().recall(queries, k, exclude=exclude, allowed=allowed, cold=0)
        if cold and len(found):
            found.song[:, 1] = np.flatnonzero(self.is_cold)[0]
            found.cold[:, 1] = True
        return found


class TunesItself(Popular):
    """Changes its recipe while it learns."""

    name = "tunes-itself"

    def _count(self, data):
        self.recipe = replace(self.recipe, half_life_days=7.0)
        super()._count(data)


@dataclass
class LooseRecipe:
    """Can be changed by whoever has it."""

    strength: float = 1.0


class HasALooseRecipe(Popular):
    """Has a recipe that is not frozen."""

    name = "has-a-loose-recipe"
    Recipe = LooseRecipe

    def _count(self, data):
        self.weights = data.counts.astype(np.float32)


class SortsWhatItReads(Popular):
    """Brings the plays into another order."""

    name = "sorts-what-it-reads"

    def _count(self, data):
        data.sequences.song.sort()
        super()._count(data)


class PromisesNewSongs(Popular):
    """Says that it serves new songs, and proposes none."""

    name = "promises-new-songs"
    serves = frozenset({"history", "cold_song"})


class PromisesProfiles(Rules):
    """Says that a profile is enough, and reads none."""

    name = "promises-profiles"
    serves = frozenset({"history", "profile"})


class ServesTea(Popular):
    """Serves what nobody knows."""

    name = "serves-tea"
    serves = frozenset({"tea"})


class MakesEvidenceUp(Popular):
    """Gives the first song of all as the reason."""

    name = "makes-evidence-up"

    def _evidence(self, histories, song):  # noqa: ARG002
        return np.zeros(song.shape, np.int64)


class Counts(SharedSpace):
    """Songs by how often the songs of the history stand with them."""

    hears = "nothing"
    name = "counts"
    serves = frozenset({"history"})

    def _fit(self, data, *, work, progress, stop):  # noqa: ARG002
        together = np.zeros((len(data.plays), len(data.song_ids)), np.float32)
        np.add.at(together, (data.plays.owner, data.plays.song), 1)
        self.table = (together.T @ together)[:, : K * 4]

    def _similarities(self, queries):
        found = self.embed_users(queries) @ self.table.T
        found[queries.histories.lengths == 0] = -np.inf
        found[:, self.is_cold] = -np.inf
        return found

    def embed_users(self, queries):
        histories = queries.histories.among(self.song_ids)
        found = np.zeros((len(queries), self.table.shape[1]), np.float32)
        np.add.at(found, histories.owner, self.table[histories.song])
        return found

    def song_embeddings(self):
        return self.table

    def embed_sound(self, sound):  # noqa: ARG002
        raise InputError("counts: knows no sound")

    def _state(self):
        return {"table": self.table}, {}

    @classmethod
    def _from_state(cls, bundle):
        channel = cls()
        channel.table = bundle.tensors["table"]
        return channel


class LosesItsSpace(Counts):
    """Turns its space round once it is loaded, songs and users alike."""

    name = "loses-its-space"

    @classmethod
    def _from_state(cls, bundle):
        channel = super()._from_state(bundle)
        channel.table = np.ascontiguousarray(channel.table[:, ::-1])
        return channel


def test_a_channel_of_a_shared_space_keeps_the_contract():
    check_channel(Counts)


SPACE = "users and songs of a shared space are finite, and the same once loaded"

BROKEN = {
    GrowsTired: "what was asked before changes nothing",
    MixesQueriesUp: "fits in a thread, and threads agree",
    TurnsTiesRound: "lists are ordered by similarity, equals by id",
    SpellsUsersWide: "a bundle holds no id of a user",
    NamesFilesByUsers: "a bundle holds no id of a user",
    RanksNewAmongOthers: "songs never played come only if asked for, behind the others, marked",
    TunesItself: "fit returns the channel, and its recipe stays as it was",
    HasALooseRecipe: "fit returns the channel, and its recipe stays as it was",
    SortsWhatItReads: "what it learns from stays as it was",
    PromisesNewSongs: "what says that it serves new songs proposes some",
    PromisesProfiles: "what says that it serves profiles answers to one alone",
    ServesTea: "it says what it proposes, what it serves and for how long",
    MakesEvidenceUp: "evidence is a song of the history",
    LosesItsSpace: SPACE,
    CutsTiesByChance: "a shorter list is the beginning of a longer one",
    ServesOtherLists: "what recall proposes is what the judge ranks",
    WatchesSignals: "fits in a thread, and threads agree (it raised ValueError",
    PropsUpWhatIsLeft: "exclude holds, and changes nothing else",
    ForgetsNothing: "a second fit begins anew",
    KeepsUsers: "a bundle holds no id of a user",
    LooksAtTheBatch: "one query gets the same alone and in a batch",
    ForgetsWeights: "save and load change nothing",
    ProposesWhatIsNew: "songs never played come only if asked for",
    IgnoresExclude: "exclude holds",
    CountsLessForAFew: "allowed holds, and changes nothing else",
}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.name)
def test_the_checks_go_red(kind, monkeypatch):
    monkeypatch.delitem(CHECKS, LIGHT)  # a new process cannot import what is defined here
    with pytest.raises(ContractError) as found:
        check_channel(kind)
    assert BROKEN[kind] in str(found.value)
    assert str(found.value).startswith(f"{kind.name} violates the recall contract: ")


def test_a_channel_of_ones_own_passes():
    class Alphabet(Popular):
        """Songs by their names."""

        name = "alphabet"

        def _count(self, data):
            self.weights = -np.arange(len(data.song_ids), dtype=np.float32)

    check_channel(Alphabet)


def test_a_model_is_loaded_whatever_it_is(tmp_path):
    data = synthetic_listening()
    for name in ("rules", "popular"):
        channel_class(name)().fit(data).save(tmp_path / name)
        assert load_channel(tmp_path / name).name == name
    with pytest.raises(
        WeightsError, match="expected a model of kind recall/popular, got recall/rules"
    ):
        Popular.load(tmp_path / "rules")
    with pytest.raises(InputError, match="unknown channel 'sasrex'; there are: als, comirec-sa, "):
        channel_class("sasrex")


def test_what_is_asked_wrongly_is_refused():
    data = synthetic_listening()
    channel = Popular().fit(data)
    queries = Queries(data.sequences)
    with pytest.raises(InputError, match="k must be at least 1"):
        channel.recall(queries, 0)
    with pytest.raises(InputError, match="exclude has 2 lists for 60 queries"):
        channel.recall(queries, 3, exclude=data.sequences.take(np.arange(2)))
    with pytest.raises(InputError, match="popular: the log has no finished play to learn from"):
        Popular().fit(RecallData(data.sequences.keep(np.zeros(len(data.sequences.song), bool))))


@pytest.mark.parametrize("name", [name for name in TRAINED if name != "user-audio"])
def test_a_trained_channel_says_how_good_it_is_and_how_it_was_made(name, tmp_path):
    needs("torch")
    channel = channel_class(name)().fit(synthetic_listening())
    channel.save(tmp_path / "model")
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text()
    figure, value = next(iter(channel.trained.figures.items()))
    assert f"{figure.replace('_', ' ')}: {value:.3f}" in card.replace("_", " ")
    assert channel.trained.judged_on in card
    assert "seed: 0" in card
    assert "torch" in card
    assert load_channel(tmp_path / "model").trained.figures == pytest.approx(
        dict(channel.trained.figures)
    )
    lines = (tmp_path / "model" / "metrics.jsonl").read_text()
    assert '"epoch"' in lines
    assert "seconds" not in lines

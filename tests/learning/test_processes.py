"""`audiorec.learning.processes`: two processes take the steps of one."""

import os

import numpy as np
import pytest
from needs import needs

torch = needs("torch")

from made_learner import MadeLearner, largest_difference, save_weights
from two_processes import in_two

from audiorec.errors import InputError, LostPeerError, LostProcessError, ProtocolError
from audiorec.learning.fit import fit
from audiorec.learning.processes import ALONE, Processes, join_processes

EPOCHS = 7  # of 15 steps: 105
STEPS = 15 * EPOCHS


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder of what two processes came to."""
    out = tmp_path_factory.mktemp("two")

    def target(processes):
        for loss, name in (("in-batch", "float64"), ("shared", "float64"), ("in-batch", "float32")):
            learner = MadeLearner(loss, getattr(torch, name), processes)
            with torch.no_grad():  # the first process's start is everybody's
                learner.model["users"].weight += 0.5 * processes.rank
            told = []
            found = fit(
                learner,
                max_epochs=EPOCHS,
                patience=99,
                clip=0.3,
                processes=processes,
                tell=told.append,
                checkpoint=out / f"{loss}-{name}.safetensors",
                fingerprint=name,
            )
            last = found.history[-1]["loss"]
            save_weights(out / f"{loss}-{name}-{processes.rank}.npz", learner)
            (out / f"{loss}-{name}-{processes.rank}.txt").write_text(
                f"{processes.size} {found.steps} {last!r} {len(told)} {learner.judged}"
            )

    assert in_two(out, target) == ["None", "None"]
    return out


def read(path):
    with np.load(path) as found:
        return dict(found)


def one(loss, dtype):
    learner = MadeLearner(loss, dtype)
    return learner, fit(learner, max_epochs=EPOCHS, patience=99, clip=0.3)


@pytest.mark.parametrize("loss", ["in-batch", "shared"])
def test_two_processes_equal_one(two, loss):
    alone, done = one(loss, torch.float64)
    assert done.steps == STEPS >= 100
    for rank in (0, 1):
        found = read(two / f"{loss}-float64-{rank}.npz")
        assert largest_difference(found, alone.weights()) < 1e-6
        size, steps, mean_loss, *_ = (two / f"{loss}-float64-{rank}.txt").read_text().split()
        assert (size, steps) == ("2", str(STEPS))
        assert float(mean_loss) == pytest.approx(done.history[-1]["loss"], abs=1e-9)
    moved = largest_difference(alone.weights(), MadeLearner(loss).weights())
    assert moved > 0.3  # there was something to agree on


def test_in_float32_they_agree_to_a_hundred_thousandth(two):
    """Sums in another order differ in the last digit, and 105 steps carry that on."""
    alone, _ = one("in-batch", torch.float32)
    found = [read(two / f"in-batch-float32-{rank}.npz") for rank in (0, 1)]
    assert largest_difference(found[0], found[1]) == 0
    difference = largest_difference(found[0], alone.weights())
    assert 0 < difference < 1e-5  # 2.4e-7 when it was written


def test_the_first_process_judges_tells_and_writes(two):
    told = [(two / f"shared-float64-{rank}.txt").read_text().split()[3:] for rank in (0, 1)]
    assert told == [[str(EPOCHS + 1), str(EPOCHS + 1)], ["0", "0"]]
    assert (two / "shared-float64.safetensors").exists()


def test_one_process_resumes_what_two_began(two):
    learner = MadeLearner("shared", torch.float64)
    state = two / "shared-float64.safetensors"
    done = fit(
        learner, max_epochs=EPOCHS, patience=99, clip=0.3, checkpoint=state, fingerprint="float64"
    )
    assert learner.norms == []
    assert done.steps == STEPS


@pytest.mark.parametrize(("n", "size"), [(0, 2), (1, 2), (17, 2), (5, 8), (64, 3)])
def test_parts_are_the_batch(n, size):
    rows = np.arange(n)
    parts = [rows[Processes(rank, size).part(n)] for rank in range(size)]
    assert np.concatenate(parts).tolist() == rows.tolist()
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_alone_nothing_happens():
    with join_processes() as processes:
        assert processes is ALONE
    losses = torch.tensor([1.0, 2.0, 6.0], requires_grad=True)
    assert ALONE.mean(losses).item() == 3.0
    assert ALONE.gather(losses) is losses
    assert ALONE.total(2.5) == 2.5
    assert ALONE.any(True) is True
    assert ALONE.agree(1, 2)
    assert ALONE.from_first(lambda: None) is None


def test_gradients_go_back_to_the_process_they_came_from(tmp_path):
    def target(processes):
        # Rank 0 has one row and rank 1 two. Loss of rank r: (r + 1) * sum of k * row k.
        rows = torch.ones(processes.rank + 1, 1, dtype=torch.float64, requires_grad=True)
        gathered = processes.gather(rows * 2)
        weight = torch.arange(1.0, 4.0, dtype=torch.float64)[:, None]
        ((processes.rank + 1) * (gathered * weight).sum()).backward()
        return gathered.flatten().tolist(), rows.grad.flatten().tolist()

    # d/d row k = 2 * k * (1 + 2)
    assert in_two(tmp_path, target) == [
        "([2.0, 2.0, 2.0], [6.0])",
        "([2.0, 2.0, 2.0], [12.0, 18.0])",
    ]


def test_a_parameter_that_one_process_did_not_use_counts_and_an_unused_one_stays_out(tmp_path):
    def target(processes):
        used, sometimes, unused = (torch.zeros(2, requires_grad=True) for _ in range(3))
        used.sum().backward()
        if processes.is_first:
            (3 * sometimes.sum()).backward()
        processes.sum_gradients([used, sometimes, unused])
        return used.grad.tolist(), sometimes.grad.tolist(), unused.grad

    assert in_two(tmp_path, target) == ["([2.0, 2.0], [3.0, 3.0], None)"] * 2


def test_of_sparse_gradients_the_rows_travel_that_some_process_reached(tmp_path):
    def target(processes):
        table, other, unused = (torch.zeros(9, 2, requires_grad=True) for _ in range(3))
        rows = torch.tensor([[7, 2], [2, 5]][processes.rank])
        read = torch.nn.functional.embedding(rows, table, sparse=True)
        (read * (processes.rank + 1)).sum().backward()
        if processes.is_first:
            torch.nn.functional.embedding(rows, other, sparse=True).sum().backward()
        processes.sum_gradients([table, other, unused])
        given = [table.grad, other.grad]
        return [(g.indices()[0].tolist(), g.values()[:, 0].tolist()) for g in given], unused.grad

    both = [([2, 5, 7], [3.0, 2.0, 1.0]), ([2, 7], [1.0, 1.0])]
    assert in_two(tmp_path, target) == [repr((both, None))] * 2


def test_a_stop_in_one_process_stops_both_and_lines_are_those_of_the_first(tmp_path):
    def target(processes):
        line = processes.from_first(lambda: {"epoch": processes.rank, "é": None})
        return (
            processes.any(processes.rank == 1),
            processes.any(False),
            line,
            processes.from_first(lambda: None),
        )

    assert in_two(tmp_path, target) == ["(True, False, {'epoch': 0, 'é': None}, None)"] * 2


def test_a_checkpoint_that_only_one_process_sees_is_refused(tmp_path):
    learner = MadeLearner()
    fit(learner, max_epochs=1, patience=1, checkpoint=tmp_path / "0.state", fingerprint="a")

    def target(processes):
        state = tmp_path / f"{processes.rank}.state"
        fit(
            MadeLearner(processes=processes),
            max_epochs=2,
            patience=2,
            checkpoint=state,
            fingerprint="a",
            processes=processes,
        )

    for found in in_two(tmp_path, target):
        assert "StoreError" in found
        assert "the processes found different checkpoints" in found


def test_an_error_of_the_first_is_raised_in_all_and_they_go_on_together(tmp_path):
    kinds = [InputError("no"), ProtocolError("vectors 7", "number 7", "6"), LostPeerError("gone")]

    def target(processes):
        seen = []
        for kind in kinds:

            def make(kind=kind):
                raise kind

            try:
                processes.from_first(make)
            except (InputError, ProtocolError, LostPeerError) as error:
                seen.append(error.args == kind.args and type(error) is type(kind))
        return seen, processes.from_first(lambda: {"n": 3})

    assert in_two(tmp_path, target) == [repr(([True] * 3, {"n": 3}))] * 2


def test_a_process_that_dies_ends_the_others_with_an_error_that_says_what_to_do(tmp_path):
    def target(processes):
        processes.total(1.0)  # they have met
        if not processes.is_first:
            os._exit(1)
        try:
            processes.total(1.0)
        except LostProcessError as error:
            return str(error)

    said = in_two(tmp_path, target, dies=1)[0]
    assert "another training process has ended or cannot be reached; start all" in said

"""A party in two processes: the numbers of one, whoever dies meanwhile."""

from collections import Counter

import numpy as np
import pytest
from needs import needs

needs("torch")
needs("cryptography")

from direct_transport import Dying, DyingDesk, KilledError
from two_parties import (
    RECIPE,
    Music,
    mmoe,
    partner,
    shared,
    weights,
)
from two_processes import in_two

from audiorec.recall.federated.noise import Defence

# Sums in another order differ in the last digit, and up to 36 steps of Adam carry that on:
# 1.2e-7 when it was written.
CLOSE = 2e-6
GUARDED = Defence(noise=2.0, vector_noise=0.1)


@pytest.fixture(autouse=True)
def known_noise(monkeypatch):
    """Let each side's noise follow from the number of its message in a training."""
    drawn = Counter()

    def noised(rows, norm, seed=None):
        drawn[norm] += 1
        rng = np.random.default_rng(drawn[norm])
        return (rows + norm / 3 * rng.normal(size=rows.shape)).astype(np.float32)

    monkeypatch.setattr("audiorec.recall.federated.noise._noised", noised)
    return drawn


def differences(first, second):
    """Return the largest difference of a weight."""
    assert set(first) == set(second)
    return max(float(np.abs(first[n] - second[n]).max(initial=0.0)) for n in first)


def keep(path, half):
    np.savez(path, **weights(half))


def kept(path):
    with np.load(path) as found:
        return dict(found)


def partner_in_two(folder, agreed, *, dies_after=0, **options):
    """Let two processes be the partner; the music side is a thread of the first one.

    It dies once it has answered `dies_after` questions, and is started again.
    """
    notes = []

    def target(processes):
        now = []

        def desk():
            if not now or not now[0].thread.is_alive():
                dying = DyingDesk(dies_after, answered=True) if dies_after and not now else None
                now[:] = [Music(folder / "music", agreed, desk=dying, **options)]
            return now[0].desk

        half, lines, fitted = partner(
            [desk], folder / "partner", agreed, processes=processes, say=notes.append, **options
        )
        keep(folder / f"partner-{processes.rank}.npz", fitted.learner.half)
        if processes.is_first:
            keep(folder / "music.npz", now[0].join().half)
        return len(lines), half is not None, sum("resumes from" in note for note in notes)

    folder.mkdir()
    return in_two(folder, target)


def music_in_two(folder, agreed, *, dies_after=0, **options):
    """Let two processes be the music side; the partner is a thread of the first one.

    It dies before it has sent message number `dies_after`, and is started again.
    """
    notes = []

    def target(processes):
        music = Music(folder / "music", agreed, processes=processes, say=notes.append, **options)
        if processes.is_first:
            ways = [lambda: music.desk], folder / "partner", agreed
            if dies_after:
                Dying.left, Dying.heard = dies_after, False
                with pytest.raises(KilledError):
                    partner(*ways, wrap=Dying, **options)
            half, _, _ = partner(*ways, **options)
            keep(folder / "partner.npz", half)
        keep(folder / f"music-{processes.rank}.npz", music.join().fitted.learner.half)
        return len(music.lines), music.half is not None, sum("resumes from" in n for n in notes)

    folder.mkdir()
    return in_two(folder, target)


@pytest.mark.parametrize(
    ("recipe", "options"),
    [(RECIPE, {}), (mmoe(), {"defence": GUARDED})],
    ids=["two-tower", "mmoe, noised"],
)
def test_a_party_in_two_processes_equals_one(recipe, options, tmp_path, known_noise):
    agreed = shared(recipe)
    music = Music(tmp_path / "one" / "music", agreed, **options)
    half, lines, _ = partner([lambda: music.desk], tmp_path / "one" / "partner", agreed, **options)
    expected = {"partner": weights(half), "music": weights(music.join().half)}
    for name, run in (("partner", partner_in_two), ("music", music_in_two)):
        known_noise.clear()
        folder = tmp_path / name
        # The first of them tells the epochs, and writes.
        assert run(folder, agreed, **options) == [f"({len(lines)}, True, 0)", "(0, False, 0)"]
        ranks = [kept(folder / f"{name}-{rank}.npz") for rank in (0, 1)]
        assert differences(*ranks) == 0
        other = "music" if name == "partner" else "partner"
        found = [
            differences(expected[name], ranks[0]),
            differences(expected[other], kept(folder / f"{other}.npz")),
        ]
        assert max(found) < CLOSE, found


@pytest.mark.parametrize("run", [partner_in_two, music_in_two])
def test_both_processes_resume_where_the_other_party_does(run, tmp_path):
    name = run.__name__.partition("_")[0]
    run(tmp_path / "good", shared())
    told = run(tmp_path / "bad", shared(), dies_after=22)
    assert [text[-3:] for text in told] == [" 1)", " 0)"]  # the first says it
    for path in sorted((tmp_path / "good").glob("*.npz")):
        assert differences(kept(path), kept(tmp_path / "bad" / path.name)) == 0, name

"""Implementation of a party's commands: align and train, from its plan.

::

    plan ──align──▶ aligned.parquet ──train──▶ model/ (music: songs; partner: the user tower)

After training, `audiorec.recall.federated.serving` computes vectors of the partner's users.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from audiorec.errors import LostPeerError, SpecMismatchError
from audiorec.files.own_files import RunFolder, run_folder_path
from audiorec.learning.bundle import check_target
from audiorec.listening.profiles import read_profiles
from audiorec.recall.federated.alignment import (
    Alignment,
    Normalised,
    read_alignment,
    write_alignment,
)
from audiorec.recall.federated.flight import callers_of, connected, listening
from audiorec.recall.federated.keys import fingerprint_of, read_certificate, read_keys
from audiorec.recall.federated.ledger import note_ids
from audiorec.recall.federated.link import Desk
from audiorec.recall.federated.plan import PartyPlan, music_data
from audiorec.recall.federated.plan_audit import write_leaks
from audiorec.recall.federated.psi import (
    CPU_S,
    align_music,
    align_partner,
    buckets_for,
)
from audiorec.recall.federated.recipe import OneWayRecipe, TwoTowerRecipe
from audiorec.recall.federated.send_once import exchange_once
from audiorec.recall.federated.session import PartyRun, Shared
from audiorec.types import LineProgress, StageProgress

if TYPE_CHECKING:
    from audiorec.learning.fit import Refitted
    from audiorec.recall.federated.channel import Towers
    from audiorec.recall.federated.party import PartyWork

Say = Callable[[str], None]
RETRY_S = 0.5
WAITS = 10  # consecutive answers that a process may wait for between two collective calls
JUDGED_ON = (
    "all plays of {share:.0%} of the aligned users, by their vectors alone, full rank; also used "
    "to choose the number of epochs"
)
BYTES_AN_ID = 35 + 2 * 35  # the item side's ids, and the partner's ids there and back


def alignment_plan(plan: PartyPlan, ids: Normalised) -> dict[str, Any]:
    """Return what an alignment would send and cost, for people to agree to before it runs."""
    return {
        "role": plan.role,
        "ids": len(ids),
        "merged": ids.merged,
        "peers": len(plan.peers),
        "buckets": buckets_for(len(ids)),
        "megabytes": round(len(ids) * BYTES_AN_ID * len(plan.peers) / 1e6, 1),
        "cpu_s": round(len(ids) * CPU_S * len(plan.peers), 1),
        "jobs": plan.jobs,
    }


def align(
    plan: PartyPlan,
    ids: Normalised,
    *,
    progress: StageProgress | None = None,
    say: Say | None = None,
    stop: Event | None = None,
) -> Alignment | None:
    """Align with the other parties and write the alignment; None if stopped.

    Raises
    ------
    LostPeerError
        If the other party is unreachable for longer than ``wait_s``.
    PeerError
        If it violates the protocol.
    """
    heard = _until(stop, progress)
    try:
        if plan.role == "partner":
            found = _align_partner(plan, ids, heard, say, stop)
        else:
            with listening(plan, say, stop) as desk:
                found = _align_music(desk, plan, ids, heard, say, stop)
    except LostPeerError:
        if stop is not None and stop.is_set():
            return None
        raise
    write_alignment(plan.alignment, found)
    return found


def _until(stop: Event | None, progress: StageProgress | None) -> StageProgress:
    """Return a progress callback that raises once `stop` is set."""

    def hear(what: str, done: int, total: int) -> None:
        if stop is not None and stop.is_set():
            raise LostPeerError("this side was asked to stop")
        if progress is not None:
            progress(what, done, total)

    return hear


def _align_partner(
    plan: PartyPlan,
    ids: Normalised,
    progress: StageProgress | None,
    say: Say | None,
    stop: Event | None,
) -> Alignment:
    since, said = time.monotonic(), ""
    while True:
        try:
            with connected(plan) as callers:
                for caller in callers:
                    caller.hello("align")
                since, said = time.monotonic(), ""
                _note(say, "aligning")
                return align_partner(
                    callers, ids, jobs=plan.jobs, progress=progress, say=say, admit=_admitting(plan)
                )
        except LostPeerError as error:
            if (stop is not None and stop.is_set()) or time.monotonic() - since > plan.wait_s:
                raise
            if str(error) != said:
                said = str(error)
                _note(say, f"{error}; retrying for up to {plan.wait_s:g} s")
            time.sleep(RETRY_S)


def _align_music(
    desk: Desk,
    plan: PartyPlan,
    ids: Normalised,
    progress: StageProgress | None,
    say: Say | None,
    stop: Event | None,
) -> Alignment:
    while True:
        hello = desk.accept(plan.wait_s)
        if hello["purpose"] != "align":
            reason = f"this side is running align, not {hello['purpose']}"
            desk.refuse(reason)
            raise SpecMismatchError(f"the partner was refused: {reason}")
        desk.welcome(hello)
        _note(say, "aligning")
        try:
            return align_music(
                desk, ids, jobs=plan.jobs, progress=progress, say=say, admit=_admitting(plan)
            )
        except LostPeerError as error:
            if stop is not None and stop.is_set():
                raise
            _note(say, f"{error}; waiting for it to reconnect")


def _admitting(plan: PartyPlan) -> Callable[[int, int], str]:
    """Return what enters the ids that a peer tries in the ledger, and says why it may not."""
    prints = [fingerprint_of(read_certificate(Path(peer))) for peer in plan.peers]
    budget = plan.parsed_budget()
    return lambda number, ids: note_ids(plan.ledger, budget, prints[number], ids)


def train(
    plan: PartyPlan,
    *,
    tell: LineProgress | None = None,
    say: Say | None = None,
    stop: Event | None = None,
) -> dict[str, Any] | None:
    """Train this party's half and write its model; None if stopped.

    A one-way model is fitted by each party alone. The halves of the others may be trained by
    several processes under ``torchrun``: all need access to the files and folders of the plan; the
    first one holds the connection and writes.

    Raises
    ------
    InputError
        If a file that this party needs is not named in the plan or cannot be read.
    LostPeerError, PeerError, SpecMismatchError
        As in `audiorec.recall.federated.train_parties`.
    LostProcessError
        If another process of this party has died.
    StoreError
        If another run is writing the model.
    """
    check_target(plan.out)
    alignment = read_alignment(plan.alignment)
    if len(alignment.ids) != len(plan.peers):
        raise SpecMismatchError(
            f"{plan.alignment}: aligned with {len(alignment.ids)} parties, but peers has "
            f"{len(plan.peers)}; align again: audiorec federated align"
        )
    recipe = plan.settings()
    if isinstance(recipe, TwoTowerRecipe):
        return _train_towers(plan, alignment, recipe, tell=tell, say=say, stop=stop)
    assert isinstance(recipe, OneWayRecipe)  # noqa: S101 - there are no others
    run = PartyRun(defence=plan.parsed_defence(), wait_s=plan.wait_s, say=say, stop=stop)
    return exchange_once(plan, alignment, recipe, run)


def _train_towers(
    plan: PartyPlan,
    alignment: Alignment,
    recipe: TwoTowerRecipe,
    *,
    tell: LineProgress | None,
    say: Say | None,
    stop: Event | None,
) -> dict[str, Any] | None:
    """Train this party's half of a two-tower or an mmoe, in one process or in several."""
    from audiorec.learning.machine import import_torch

    import_torch("federated training")
    from audiorec.learning.processes import USUAL_TIMEOUT_S, join_processes
    from audiorec.recall.federated.party import PartyWork
    from audiorec.recall.federated.resume_points import RUN_FILES
    from audiorec.recall.federated.towers import draws_of

    shared = Shared(recipe=recipe, users=len(alignment), checkpoint_steps=plan.checkpoint_steps)
    run = _train_partner if plan.role == "partner" else _train_music
    # The other processes wait for the first one while it waits for the other party.
    longest = max(USUAL_TIMEOUT_S, plan.wait_s + WAITS * plan.timeout_s)
    with join_processes(timeout_s=longest) as processes:
        how = PartyWork(
            defence=plan.parsed_defence(),
            work=run_folder_path(plan.out),
            wait_s=plan.wait_s,
            tell=tell,
            say=say,
            stop=stop,
            processes=processes,
        )
        if not processes.is_first:
            return run(plan, alignment, shared, how)
        folder = RunFolder(plan.out, RUN_FILES)
        try:
            how = replace(how, seed=draws_of(read_keys(plan.keys), shared.run(alignment.ids)))
            done = run(plan, alignment, shared, how)
            if done is not None:
                folder.clear()
        finally:
            folder.release(remove=not folder.names())
    return done


def _train_partner(
    plan: PartyPlan, alignment: Alignment, shared: Any, how: Any
) -> dict[str, Any] | None:
    from audiorec.recall.federated.sides import UserSide
    from audiorec.recall.federated.train_parties import train_partner
    from audiorec.recall.federated.user_model import UserModel, weights_of

    people = read_profiles(plan.needs("profiles"))
    side: UserSide = UserSide.of(people, alignment.user_ids, shared.recipe)
    written: dict[str, Any] = {}

    def save(half: Any, fitted: "Refitted[Any]", space: str) -> None:
        model = UserModel(
            recipe=shared.recipe,
            encoder=side.encoder,
            weights=weights_of(half.model.state_dict()),
            space=space,
            figures=_figures(fitted),
        )
        written.update(model_id=model.save(plan.out), space=space)

    fitted = train_partner(lambda: callers_of(plan), side, shared, alignment.ids, how, save)
    if fitted is None or not fitted.finished:
        return None
    return {**written, **_came_to(fitted, alignment)}


def _train_music(
    plan: PartyPlan, alignment: Alignment, shared: Any, how: Any
) -> dict[str, Any] | None:
    from audiorec.recall.contract.channel import Trained
    from audiorec.recall.federated.audit import GradientWitness, leaks_of_gradients
    from audiorec.recall.federated.sides import ItemSide
    from audiorec.recall.federated.train_parties import train_music

    data = music_data(plan)
    side: ItemSide = ItemSide.of(data, alignment.user_ids)
    # A model lists what it was trained on, so that `listening forget` can name the model.
    data = replace(data, logs=(*data.logs, *alignment.ids))
    written: dict[str, Any] = {}

    def save(half: Any, fitted: "Refitted[Any]", space: str) -> str:
        judged_on = JUDGED_ON.format(share=shared.recipe.valid)
        trained = Trained.of(fitted, judged_on=judged_on)
        channel = _channel(plan).of_halves(
            shared.recipe, side, half, data, space=space, trained=trained
        )
        written.update(model_id=channel.save(plan.out), space=space)
        return str(written["model_id"])

    watched = plan.watch and how.processes.is_first  # the first process has all gradients
    witness = GradientWitness(len(alignment), shared.recipe.dimension) if watched else None
    how = how if witness is None else replace(how, witness=witness.note)
    with _desk(plan, how) as desk:
        fitted = train_music(desk, side, shared, alignment.ids[0], how, save, number=plan.number)
    if fitted is None or not fitted.finished:
        return None
    if not how.processes.is_first:
        return _came_to(fitted, alignment)
    if witness is not None:
        write_leaks(plan, leaks_of_gradients(witness, side.plays).to_json())
    passes = shared.recipe.passes * (len(fitted.chosen.history) + fitted.chosen.best_epoch)
    about = {"songs": len(data.song_ids), "gradients": passes}  # of each user
    return {**written, **_came_to(fitted, alignment), **about}


def _channel(plan: PartyPlan) -> "type[Towers]":
    from audiorec.recall.federated.channel import Mmoe, TwoTower

    kinds: dict[str, type[Towers]] = {"two-tower": TwoTower, "mmoe": Mmoe}
    return kinds[plan.model]


@contextmanager
def _desk(plan: PartyPlan, how: "PartyWork") -> Iterator[Desk]:
    """Listen in the first process of an item side; others get a desk that is not connected."""
    if not how.processes.is_first:
        yield Desk()
        return
    with listening(plan, how.say, how.stop) as desk:
        yield desk


def _came_to(fitted: "Refitted[Any]", alignment: Alignment) -> dict[str, Any]:
    whole = fitted.refit or fitted.chosen
    counts = {"users": len(alignment), "epochs": fitted.chosen.best_epoch, "steps": whole.steps}
    counts["chosen_steps"] = fitted.chosen.steps
    return {**counts, "figures": _figures(fitted)}


def _figures(fitted: "Refitted[Any]") -> dict[str, float]:
    """Return the validation metrics of the best epoch."""
    line = fitted.chosen.history[fitted.chosen.best] if fitted.chosen.history else {}
    apart = ("epoch", "loss", "seconds", "worth")
    return {n: float(v) for n, v in line.items() if n not in apart and isinstance(v, float)}


def _note(say: Say | None, text: str) -> None:
    if say is not None:
        say(text)

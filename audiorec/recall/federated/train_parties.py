"""Federated training from hello to finish on both sides, with reconnection and resume.

::

    train_partner: hello ──▶ latest common place ──▶ fit_refit over the user half ──▶ finish
    train_music:   wait  ──▶ the same place      ──▶ fit_refit over the item half ──▶ finish

Both sides run `audiorec.learning.fit.fit_refit` over their half, with the same epochs, steps and
end. A party that loses the other waits for it and resumes from the latest checkpoint common to
both; the result is the same as without the interruption.

A party may train in several processes (`audiorec.learning.processes`). Only the first one talks to
the other party; it broadcasts what it receives and whether to continue.
"""

from collections.abc import Callable, Sequence
from functools import partial
from threading import Event
from typing import Any

from audiorec.errors import LostPeerError, ProtocolError
from audiorec.learning.fit import Line, Phase, Refitted, fit_refit
from audiorec.learning.machine import import_torch, one_thread
from audiorec.recall.federated.item_half import ItemHalf
from audiorec.recall.federated.link import Caller, Desk
from audiorec.recall.federated.party import Answered, ItemParty, PartyWork, UserParty
from audiorec.recall.federated.protocol import MessageKind
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.recall.federated.resume_points import (
    LockstepSaving,
    ResumePoint,
    common_point,
    point_in_phase,
    stored_points,
    training_phases,
)
from audiorec.recall.federated.session import Lost, Shared, check_hello, finish, finished
from audiorec.recall.federated.sides import ItemSide, UserSide
from audiorec.recall.federated.user_half import UserHalf


def train_partner(
    connect: Callable[[], Sequence[Caller]],
    side: UserSide,
    shared: Shared[TwoTowerRecipe],
    alignments: Sequence[str],
    how: PartyWork,
    save: Callable[[UserHalf, Refitted[UserParty], str], None],
) -> Refitted[UserParty] | None:
    """Train the user side with every item side; return once all have finished.

    Parameters
    ----------
    connect : callable
        Returns callers without a session, one per item side. This and `save` are called in the
        first process only.
    side : UserSide
    shared : Shared
    alignments : sequence of str
        Id of the alignment with each item side.
    how : PartyWork
    save : callable
        Called with the trained half, the training result and the id of its vector space
        (`space_of` for each item side).

    Returns
    -------
    fitted : Refitted or None
        Unfinished or None if stopped; the same call resumes.

    Raises
    ------
    LostPeerError
        If an item side is unreachable for longer than `PartyWork.wait_s`.
    PeerError, SpecMismatchError
        If an item side violates the protocol or has other settings.
    """
    alone = how.processes.from_first
    run = shared.run(alignments)
    lost = Lost(how)
    while True:
        callers: list[Caller] = []  # in the first process

        def greet(callers: list[Caller] = callers) -> Line:
            callers += connect()
            return _plain(_greeted(callers, shared, alignments, how))

        def learner(phase: Phase, callers: Sequence[Caller] = callers) -> UserParty:
            half = side.half(
                shared.recipe,
                phase,
                defence=how.defence,
                secret=how.secret(phase),
                processes=how.processes,
            )
            return UserParty(half, callers, phase)

        try:
            place = _place(alone(greet))
            lost.found()
            how.note(_where(place))
            fitted = _fitted(learner, shared, how, run, place, how.stop)
            alone(partial(_end, callers, fitted, save))
            return fitted
        except LostPeerError as error:
            if (alone(partial(lost.again, error)) or {})["ends"]:
                return None
        finally:
            for caller in callers:
                caller.close()


def _end(
    callers: Sequence[Caller],
    fitted: Refitted[UserParty],
    save: Callable[[UserHalf, Refitted[UserParty], str], None],
) -> None:
    """Write all models, or tell every item side that the partner is stopping."""
    if fitted.finished:
        finish(callers, partial(save, fitted.learner.half, fitted))
        return
    for caller in callers:
        caller.ask(MessageKind.PAUSE, expect=MessageKind.NOTED)


def train_music(
    desk: Desk,
    side: ItemSide,
    shared: Shared[TwoTowerRecipe],
    alignment: str,
    how: PartyWork,
    save: Callable[[ItemHalf, Refitted[ItemParty], str], str],
    *,
    number: int = 0,
) -> Refitted[ItemParty] | None:
    """Train an item side with the partner, which may reconnect at any time.

    Parameters
    ----------
    desk : Desk
        Desk of the first process; other processes do not use theirs.
    side : ItemSide
    shared : Shared
    alignment : str
        Id of the alignment.
    how : PartyWork
    save : callable
        Called with the trained half, the training result and the id of its vector space; writes
        the model and returns its id. Called in the first process only.
    number : int
        Number of this item side, from 0.

    Returns
    -------
    fitted : Refitted or None
        Unfinished or None if stopped; the same call resumes.

    Raises
    ------
    LostPeerError
        If the partner is unreachable for longer than `PartyWork.wait_s`.
    PeerError
        If the partner violates the protocol, or reconnects so often that noise would average out.
    SpecMismatchError
        If the partner has other settings or another alignment.
    """
    pause, answered = Event(), Answered()
    run = shared.run([alignment])
    alone = how.processes.from_first

    def stops() -> bool:
        return bool((alone(lambda: {"stops": how.stopped}) or {})["stops"])

    def greet() -> Line:
        hello = desk.accept(how.wait_s)
        check_hello(desk, hello, shared, alignment)
        theirs = [ResumePoint.of(place) for place in hello["places"]]
        place = common_point(theirs, stored_points(how.work, run))
        desk.welcome(hello, None if place is None else place.plain)
        return _plain(place)

    def learner(phase: Phase) -> ItemParty:
        half = side.half(
            shared.recipe,
            phase,
            defence=how.defence,
            secret=how.secret(phase),
            number=number,
            processes=how.processes,
        )
        half.witness = how.witness
        n = len(side.plays)
        return ItemParty(half, desk, phase, n, pause=pause, answered=answered)

    while True:
        try:
            place = _place(alone(greet))
            how.note(_where(place))
        except LostPeerError:
            if stops():
                return None
            raise
        try:
            fitted = _fitted(learner, shared, how, run, place, pause)
            if fitted.finished:
                alone(partial(finished, desk, partial(save, fitted.learner.half, fitted)))
            return fitted
        except LostPeerError as error:
            if stops():
                return None
            how.note(f"{error}; waiting for it to reconnect")


def _greeted(
    callers: Sequence[Caller],
    shared: Shared[TwoTowerRecipe],
    alignments: Sequence[str],
    how: PartyWork,
) -> ResumePoint | None:
    """Send hello to every item side until all agree on one place; return it."""
    places = stored_points(how.work, shared.run(alignments))
    while True:
        answers = [
            caller.hello(
                "train",
                fingerprint=shared.fingerprint,
                settings=shared.settings,
                alignment=alignment,
                places=[place.plain for place in places],
            )["place"]
            for caller, alignment in zip(callers, alignments, strict=True)
        ]
        found = [None if answer is None else ResumePoint.of(answer) for answer in answers]
        if not {place for place in found if place is not None} <= set(places):
            raise ProtocolError("welcome 0", "one of the places of hello", "another")
        if all(place == found[0] for place in found):
            return found[0]
        earliest = min((place for place in found if place is not None), default=None)
        is_none = earliest is None or None in found
        places = [] if is_none else [place for place in places if place <= earliest]  # type: ignore[operator]


def _fitted(
    learner: Callable[[Phase], Any],
    shared: Shared[TwoTowerRecipe],
    how: PartyWork,
    run: str,
    place: ResumePoint | None,
    stop: Event | None,
) -> Refitted[Any]:
    """Run both phases, resuming at a place."""
    recipe = shared.recipe
    saving = {
        phase: LockstepSaving(
            every_steps=shared.checkpoint_steps,
            place=point_in_phase(phase, place, how.work, run),
        )
        for phase in training_phases()
    }
    with one_thread("training towers"), import_torch("towers").random.fork_rng(devices=[]):
        return fit_refit(
            learner,
            max_epochs=recipe.max_epochs,
            patience=recipe.patience,
            work=how.work,
            fingerprint=run,
            tell=how.tell,
            stop=_either(stop, how.stop),
            saving=saving,
            processes=how.processes,
        )


def _either(first: Event | None, second: Event | None) -> Event | None:
    """Return an event that is set if either of two is."""
    if first is None or second is None or first is second:
        return first or second
    return _Either(first, second)


class _Either(Event):
    def __init__(self, *events: Event) -> None:
        super().__init__()
        self._events = events

    def is_set(self) -> bool:
        return any(event.is_set() for event in self._events)


def _plain(place: ResumePoint | None) -> Line:
    """Return a place in the form that the first process broadcasts."""
    return {"place": None if place is None else place.plain}


def _place(told: Line | None) -> ResumePoint | None:
    """Undo `_plain`."""
    found = (told or {})["place"]
    return None if found is None else ResumePoint.of(found)


def _where(place: ResumePoint | None) -> str:
    return "training starts" if place is None else f"training resumes from {place}"

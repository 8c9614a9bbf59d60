"""The nightly job: train stale models, write candidates, fuse them, and report.

    recall.toml ──▶ `NightlyPlan` ──▶ OUT/models/CHANNEL/ ──▶ OUT/candidates/CHANNEL.parquet
                         ──fuse──▶ OUT/fused.parquet ──▶ OUT/report.md, OUT/run.json

A night is a list of steps: what each needs (a fingerprint of everything that determines its
output), what it makes, and the function that makes it. A step whose output exists with that
fingerprint is skipped, so an interrupted job resumes, an unchanged one ends at once, and only steps
with changed inputs run again. Outputs are written atomically, and the same inputs give the same
bytes. A channel that fails is left out of the night, and tried again by the next run.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow.compute as pc

from audiorec.columns import ListColumns, ShownColumns
from audiorec.distribution import own_version
from audiorec.errors import ChannelFailedError, InputError, LostBlocksError
from audiorec.files.own_files import refuse_link, remove_leftovers, write_errors
from audiorec.files.tables import TableFile
from audiorec.listening.log_files import is_rereadable, log_fingerprint
from audiorec.recall.contract.candidates import DEFAULT, default_users
from audiorec.recall.serving.exclusions import exposures_fingerprint
from audiorec.recall.serving.export.exporting import EXPORT
from audiorec.recall.serving.fuse import NEWCOMERS, settings_of
from audiorec.recall.serving.nightly import steps as of
from audiorec.recall.serving.nightly.current import (
    DAILY,
    FUSE,
    FUSED,
    JUDGED,
    LAST,
    RANKED,
    RECORD,
    REPORT,
    STATE,
    WEIGHTS,
    EarlierDays,
    NightlyPlan,
    bytes_of,
    cpu_seconds,
    export_recipe,
    read_json,
    whole_run,
    write_json,
)
from audiorec.recall.serving.nightly.inputs import NightlyInputs
from audiorec.recall.serving.nightly.promotion import LISTED, PROMOTION
from audiorec.recall.serving.nightly.steps import Tonight
from audiorec.recall.serving.nightly.weighing import last_weights
from audiorec.runs.tasks import Engine
from audiorec.spec import fingerprint
from audiorec.types import LineProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a night.

    Attributes
    ----------
    name : str
        ``judge``, ``train CHANNEL``, ``ask CHANNEL``, ``weigh``, ``fuse``, ``default``,
        ``lists``, ``report``, ``export``, ``promote``.
    needs : str
        Fingerprint of everything that determines the output.
    makes : Path
        The output.
    work : callable
        The function that makes it; see `audiorec.recall.serving.nightly.steps`.
    is_done : bool
        Whether the output exists with this fingerprint.
    cpu_s : float or None
        CPU seconds of the last run; None if it never ran.
    """

    name: str
    needs: str
    makes: Path
    work: Callable[[Tonight, Path], str | None]
    is_done: bool
    cpu_s: float | None


class NightlyJob:
    """A nightly job: the steps of a plan and the state of its output folder.

    Parameters
    ----------
    plan : NightlyPlan
    before : EarlierDays, optional
        For a run of one day: the output of earlier days. Such a run depends on nothing later.

    Attributes
    ----------
    run_id : str
        Fingerprint of the lists.
    failed : dict of str to str
        Channels that failed in this run, and why; the lists are without them.

    Raises
    ------
    InputError
        If a file of the plan is missing.
    StoreError
        If an entry of the output folder is a link.
    """

    def __init__(self, plan: NightlyPlan, before: EarlierDays | None = None) -> None:
        if plan.full_every > 1 and before is None:
            raise InputError(
                "full_every needs a run of one day (`day`): training goes on from the models of "
                "the day before"
            )
        is_judged = before is not None or plan.is_weighed
        self._judge_share = plan.judge_share if is_judged else 0.0
        for name, place in plan.files().items():
            if not (is_rereadable(place) if name in DAILY else place.is_file()):
                raise InputError(f"{place}: no such file")
        prints = {name: log_fingerprint(place) for name, place in plan.files().items()}
        ends_s = None if before is None else before.ends_s
        if ends_s is not None and plan.exposures is not None:
            prints["exposures"] = exposures_fingerprint(plan.exposures, ends_s)
        inputs = NightlyInputs(plan, self._judge_share, ends_s)
        self._night = Tonight(plan=plan, inputs=inputs, before=before, prints=prints)
        self.failed: dict[str, str] = {}
        self._last_weights: dict[str, float] = {}
        if before is not None and plan.is_weighed:
            self._last_weights = last_weights(before.lists)
        self._state = self._read_state()
        self.run_id = self._night.run_id = self._whole_id = self._made_of()

    @property
    def plan(self) -> NightlyPlan:
        """The plan, without the channels that failed."""
        return self._night.plan

    def steps(self) -> list[Step]:
        """Return the steps in order, with their current state."""
        plan, out, run_id = self.plan, self.plan.out, self.run_id
        trained = [name for name in plan.channels if name not in plan.tables]
        steps: list[tuple[str, str, Path, Any]] = [
            # Not judged again because a channel failed: the last lists are the same.
            ("judge", self._whole_id, out / JUDGED, of.judge),
            *(
                (f"train {n}", self._trained_from(n), out / "models" / n, partial(of.train, n))
                for n in trained
            ),
            *(
                (f"ask {n}", self._asked_from(n), self._night.lists(n), partial(of.ask, n))
                for n in plan.channels
            ),
            *([("weigh", run_id, out / WEIGHTS, of.weigh)] if plan.is_weighed else []),
            (FUSE, run_id, out / FUSED, of.fuse_lists),
            ("default", run_id, out / NEWCOMERS, of.rest),
        ]
        if plan.lists is not None:
            steps.append(("lists", run_id, out / RANKED, partial(of.rank, plan.lists)))
        steps.append(("report", run_id, out / REPORT, of.tell))
        if plan.export is not None:
            recipe = fingerprint(asdict(export_recipe(plan.export)))
            steps.append((EXPORT, run_id + recipe, out / EXPORT, of.export))
        if self._night.before is not None:
            steps.append(("promote", self._judged_from(), out / PROMOTION, of.judge_day))
        return [self._step(*step) for step in steps]

    def run(
        self,
        *,
        progress: Callable[[Step], LineProgress | None] | None = None,
        stop: Event | None = None,
        engine: Engine | None = None,
    ) -> dict[str, Any] | None:
        """Run all steps that are not done; return the record of the run, None if stopped.

        Parameters
        ----------
        progress : callable, optional
            Called with each step before it runs; may return a callable for the metrics of a
            training.
        stop : threading.Event, optional
            Once set, the job ends after the current step or training step.
        engine : callable, optional
            Computes blocks of users (`audiorec.runs.tasks.engine_of`), with the same bytes.

        Raises
        ------
        ChannelFailedError
            If a required channel failed, or all did.
        LostBlocksError
            If some blocks failed on the engine; the others, and all earlier steps, are kept.
        """
        for folder in ("models", "candidates"):
            with write_errors(self.plan.out):
                (self.plan.out / folder).mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.plan.out / folder)
        remove_leftovers(self.plan.out)
        self._night.stop, self._night.engine = stop, engine
        while True:
            try:
                for step in self.steps():
                    if step.is_done:
                        continue
                    if stop is not None and stop.is_set():
                        return None
                    self._night.tell = progress(step) if progress is not None else None
                    if not self._made(step):
                        return None
                return self._recorded()
            except ChannelFailedError as error:
                self._leave_out(error)

    def weights_said(self) -> list[str]:
        """Return lines about the weights that were learnt; none if the plan gives them."""
        return self._night.said()

    def proposed(self) -> dict[str, int]:
        """Return the number of candidates of each channel with a weight, over all users."""
        weights = self._night.weighed().weights
        result = {}
        for (name, lists), weight in zip(self._night.all_lists().items(), weights, strict=True):
            if weight:
                with TableFile.open(lists) as file:
                    result[name] = len(file)
        return result

    def _made(self, step: Step) -> bool:
        """Run one step and note it; return whether it was not stopped."""
        if not step.name.startswith(("judge", "train")):
            self._drop_record()
        started = cpu_seconds()
        model_id = step.work(self._night, step.makes)
        if model_id is None:
            return False
        self._drop_record()
        done = {"made_from": step.needs, "cpu_s": round(cpu_seconds() - started, 2)}
        done |= {"model_id": model_id} if model_id else {}
        done |= {"bytes": bytes_of(step.makes)}
        done |= {"lists": of.changed(self._night)} if step.name == FUSE else {}
        self._keep({"steps": {**self._state.get("steps", {}), step.name: done}})
        return True

    def _leave_out(self, error: ChannelFailedError) -> None:
        """Go on without a channel that failed, unless it is required or the last one."""
        name, plan = error.channel, self.plan
        if name in plan.required or len(plan.channels) == 1:
            raise error.__cause__ if isinstance(error.__cause__, LostBlocksError) else error
        self.failed[name] = error.reason
        self._night.plan = self._night.inputs.plan = plan.without(name)
        self.run_id = self._night.run_id = self._made_of()

    def _recorded(self) -> dict[str, Any]:
        """Write and return the record of the run: inputs, models, and counts of the lists."""
        path = self.plan.out / RECORD
        (self.plan.out / LAST).unlink(missing_ok=True)
        before = read_json(path)
        same = before.get("failed", {}).keys() == self.failed.keys()
        if before.get(ShownColumns.RUN) == self.run_id and same:
            return before
        steps = self._state["steps"]
        models = {
            n: steps[f"train {n}"]["model_id"]
            for n in self.plan.channels
            if n not in self.plan.tables
        }
        with TableFile.open(self.plan.out / FUSED) as file:
            table = file.read([ListColumns.USER, "channel", "cold"])
        lists = dict(steps[FUSE].get("lists", {}))
        channels = {n: lists.pop(f"{LISTED}{n}", 0) for n in self.plan.channels}
        default = int(pc.sum(pc.equal(table.column("channel"), DEFAULT)).as_py() or 0)
        record = {
            "schema": "audiorec/recall-run/1",
            ShownColumns.RUN: self.run_id,
            "entry": self.plan.entry,
            ShownColumns.AT: datetime.fromtimestamp(self._night.inputs.now, UTC).isoformat(),
            "inputs": self._night.prints,
            "log": self._night.inputs.arrived,
            "models": models,
            "failed": dict(self.failed),
            "order": list(self.plan.channels),  # of the fusion's weights
            "users": len(table.column(ListColumns.USER).unique()),
            "default_users": default_users(self.plan.out / FUSED),
            "rows": len(table),
            "cold": int(pc.sum(table.column("cold")).as_py() or 0),
            "channels": channels | ({DEFAULT: default} if default else {}),
            "judged": read_json(self.plan.out / JUDGED),
            "lists": lists,
            "fusion": settings_of(self._night.weighed()),
        }
        write_json(path, record)
        return record

    def _drop_record(self) -> None:
        """Remove the record of a day made from other inputs: a record marks a day as complete."""
        if self._night.before is None:
            return
        if read_json(self.plan.out / RECORD).get(ShownColumns.RUN) != self.run_id:
            (self.plan.out / RECORD).unlink(missing_ok=True)

    def _step(self, name: str, needs: str, makes: Path, work: Any) -> Step:
        refuse_link(makes)
        known = self._state.get("steps", {}).get(name, {})
        is_done = makes.exists() and known.get("made_from") == needs
        # An output of another size was truncated or replaced since: redo the step.
        is_done = is_done and known.get("bytes", bytes_of(makes)) == bytes_of(makes)
        cpu_s = known.get("cpu_s")
        return Step(name=name, needs=needs, makes=makes, work=work, is_done=is_done, cpu_s=cpu_s)

    def _judged_from(self) -> str:
        served, plan = self._night.served, self.plan
        run_id = "" if served is None else whole_run(str(served)).get(ShownColumns.RUN, "")
        least = {"margin": plan.margin, "least_rows": plan.least_rows}
        return fingerprint({"new": self.run_id, "served": run_id, **least})

    def _trained_from(self, name: str) -> str:
        recipe: Any = getattr(self.plan.channel(name), "recipe", None)
        return fingerprint(
            {
                "channel": name,
                # The recipe of a table is its path on this machine; `inputs` has its content.
                "recipe": None if name in self.plan.tables else repr(recipe),
                **({"full_every": self.plan.full_every} if self.plan.full_every > 1 else {}),
                "inputs": {
                    n: p
                    for n, p in self._night.prints.items()
                    if n not in ("exposures", "lists") and (n not in self.plan.tables or n == name)
                },
                "judge_share": self._judge_share,
                "version": own_version(),
            }
        )

    def _asked_from(self, name: str) -> str:
        asked = asdict(self.plan.question())
        return fingerprint({"model": self._trained_from(name), **asked})

    def _made_of(self) -> str:
        """Return the fingerprint of the lists; a resumed or unchanged run keeps its id."""
        plan = self.plan
        return fingerprint(
            {
                "lists": [self._asked_from(name) for name in plan.channels],
                "fusion": asdict(plan.recipe()),
                "inputs": self._night.prints,
                "days": plan.exposure_days,
                "entry": plan.entry,
                "last": self._last_weights,
            }
        )

    def _read_state(self) -> dict[str, Any]:
        place = self.plan.out / STATE
        refuse_link(place)
        state = read_json(place)
        return state if isinstance(state.get("steps", {}), dict) else {}

    def _keep(self, news: Mapping[str, Any]) -> None:
        self._state = {**self._state, **news}
        write_json(self.plan.out / STATE, self._state)

"""The nightly job: train stale models, write candidates, fuse them, and record exposures.

    recall.toml ──▶ `NightlyPlan` ──▶ OUT/models/CHANNEL/ ──▶ OUT/candidates/CHANNEL.parquet
                         ──fuse──▶ OUT/fused.parquet ──▶ OUT/report.md
                                                     ──▶ OUT/exposures.parquet, OUT/run.json

Every step has a fingerprint of everything that determines its output. A step whose output exists
with that fingerprint is skipped, so an interrupted job resumes, an unchanged one ends at once, and
only steps with changed inputs run again. Outputs are written atomically, and the same inputs give
the same bytes.
"""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audiorec.distribution import own_version
from audiorec.engines.tasks import Engine
from audiorec.errors import InputError
from audiorec.files.atomic import remove_leftovers, replaced, write_errors
from audiorec.files.json_files import parse_json
from audiorec.files.own_files import read_own, refuse_link
from audiorec.files.tables import TableFile, table_writer
from audiorec.listening.log_files import file_fingerprints, is_rereadable
from audiorec.listening.prepare import log_fingerprint
from audiorec.recall.contract.batch_recall import write_candidates
from audiorec.recall.contract.data import RecallData
from audiorec.recall.contract.job import train_channel
from audiorec.recall.registry import load_channel
from audiorec.recall.serving.candidate_rows import REPLAY
from audiorec.recall.serving.exclusions import (
    excluded_by,
    exposures_fingerprint,
    joined_sequences,
    read_exposures,
    run_ids,
)
from audiorec.recall.serving.export.nightly_step import EXPORT, export_night, night_recipe
from audiorec.recall.serving.job import fuse_files
from audiorec.recall.serving.nightly.inputs import NightlyInputs
from audiorec.recall.serving.nightly.plan import EarlierDays, NightlyPlan
from audiorec.recall.serving.nightly.report import report_of
from audiorec.spec import fingerprint
from audiorec.types import LineProgress

RECORD = "run.json"
STATE = "state.json"  # fingerprint and cost of each finished step
FUSED, EXPOSURES = "fused.parquet", "exposures.parquet"
REPORT = "report.md"
TRAIN, ASK, FUSE, TELL, NOTE = "train", "ask", "fuse", "report", "note"
DAILY = ("interactions", "exposures")  # files that may be folders of days
BATCH_ROWS = 1 << 18
MAX_STATE_BYTES = 1 << 20
EXPOSED = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("song_id", pa.string(), nullable=False),
        pa.field("entry", pa.string(), nullable=False),
        pa.field("shown_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a job.

    Attributes
    ----------
    name : str
        ``train CHANNEL``, ``ask CHANNEL``, ``fuse``, ``report``, ``note``.
    out : Path
    made_from : str
        Fingerprint of everything that determines the output.
    is_done : bool
        Whether the output exists with this fingerprint.
    cpu_s : float or None
        CPU seconds of the last run; None if it never ran.
    """

    name: str
    out: Path
    made_from: str
    is_done: bool
    cpu_s: float | None


class NightlyJob:
    """A nightly job: the steps of a plan and the state of its output folder.

    Parameters
    ----------
    plan : NightlyPlan
    before : EarlierDays, optional
        For a run of one day: the output of earlier days. Such a run depends on nothing later.

    Raises
    ------
    InputError
        If a file of the plan is missing.
    StoreError
        If an entry of the output folder is a link.
    """

    def __init__(self, plan: NightlyPlan, before: EarlierDays | None = None) -> None:
        self.plan, self._before, self._inputs = plan, before, NightlyInputs(plan)
        for name, place in plan.files().items():
            if not (is_rereadable(place) if name in DAILY else place.is_file()):
                raise InputError(f"{place}: no such file")
        self._prints = {name: log_fingerprint(place) for name, place in plan.files().items()}
        if before is not None and plan.exposures is not None:
            self._prints["exposures"] = exposures_fingerprint(plan.exposures, before.ends_s)
        self._state = self._read_state()
        self.run_id = self._run_id()

    def steps(self) -> list[Step]:
        """Return the steps in order, with their current state."""
        out, names = self.plan.out, self.plan.channels
        places = [(f"{TRAIN} {n}", out / "models" / n, self._trained_from(n)) for n in names]
        places += [(f"{ASK} {n}", self._lists(n), self._asked_from(n)) for n in names]
        last = {FUSE: FUSED, TELL: REPORT, NOTE: EXPOSURES}
        places += [(step, out / name, self.run_id) for step, name in last.items()]
        if self.plan.export is not None:
            places.append((EXPORT, out / EXPORT, self.run_id + night_recipe(self.plan.export)))
        return [self._step(*place) for place in places]

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
            Computes blocks of users (`audiorec.engines.choice.engine_of`), with the same bytes.

        Raises
        ------
        LostBlocksError
            If some blocks failed on the engine; the others, and all earlier steps, are kept.
        """
        for folder in ("models", "candidates"):
            with write_errors(self.plan.out):
                (self.plan.out / folder).mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.plan.out / folder)
        remove_leftovers(self.plan.out)
        self._keep({"run_id": self.run_id})
        self._drop_record()
        for step in self.steps():
            if step.is_done:
                continue
            if stop is not None and stop.is_set():
                return None
            tell = progress(step) if progress is not None else None
            started = _cpu_seconds()
            model_id = self._make(step, tell, stop, engine)
            if model_id is None:
                return None
            done = {"made_from": step.made_from, "cpu_s": round(_cpu_seconds() - started, 2)}
            done |= {"model_id": model_id} if model_id else {}
            done |= {} if step.name == NOTE else {"bytes": _bytes_of(step.out)}
            self._keep({"steps": {**self._state.get("steps", {}), step.name: done}})
        return self._recorded()

    def proposed(self) -> dict[str, int]:
        """Return the number of candidates of each channel, over all users.

        Channels of weight 0 are left out, since they contribute no song to the lists.
        """
        weights = self.plan.recipe().weights or (1.0,) * len(self.plan.channels)
        found = {}
        for name, weight in zip(self.plan.channels, weights, strict=True):
            if weight:
                with TableFile.open(self._lists(name)) as file:
                    found[name] = len(file)
        return found

    def _make(
        self, step: Step, tell: LineProgress | None, stop: Event | None, engine: Engine | None
    ) -> str | None:
        """Run one step; return the id of a trained model (else an empty text), None if stopped."""
        kind, _, name = step.name.partition(" ")
        if kind == TRAIN:
            context = self._inputs.context
            logs = file_fingerprints(self.plan.interactions)
            data = RecallData(self._inputs.plays, context.song_ids, context, logs)
            channel = self.plan.channel(name)
            return train_channel(channel, data, step.out, progress=tell, stop=stop)
        if kind == ASK:
            return self._ask(name, step.out, stop, engine)
        if kind == FUSE:
            return self._fuse(step.out, stop, engine)
        if kind == TELL:
            self._report(step.out)
        elif kind == EXPORT:
            plan, inputs = self.plan, dict(self._prints)
            record = {"run_id": self.run_id, "entry": plan.entry, "inputs": inputs}
            earlier = None if self._before is None else self._before.export
            export_night(plan.export, plan.out, plan.channels, plan.files(), record, earlier)
        else:
            self._note(step.out)
        return ""

    def _ask(self, name: str, out: Path, stop: Event | None, engine: Engine | None) -> str | None:
        model, depth = load_channel(self.plan.out / "models" / name), self.plan.depth
        heard = None if self.plan.keep_heard or name == REPLAY else self._inputs.plays
        cold = depth if self.plan.recipe().cold_share else 0
        by: dict[str, Any] = {} if engine is None else {"engine": engine, "stop": stop}
        rows = write_candidates(
            out, model, self._inputs.queries, depth, exclude=heard, cold=cold, **by
        )
        return None if rows is None else ""

    def _fuse(self, out: Path, stop: Event | None, engine: Engine | None) -> str | None:
        days, before, now = self.plan.exposure_days, self._before, self._inputs.now
        ends_s = None if before is None else before.ends_s
        shown = [
            read_exposures(place, days=days, now=now, without=self.run_id, ends_s=ends_s)
            for place in (*self._noted(), self.plan.exposures)
            if days and place is not None and is_rereadable(place)
        ]
        excluded = excluded_by(
            self._inputs.log,
            keep_heard=self.plan.keep_heard,
            shown=joined_sequences(shown) if shown else None,
        )
        tables = [self._lists(name) for name in self.plan.channels]
        by = {} if engine is None else {"engine": engine, "stop": stop}
        options: dict[str, Any] = {"facts": self._inputs.facts, "excluded": excluded, **by}
        done = fuse_files(tables, out, self.plan.recipe(), **options)
        return None if done is None else ""

    def _report(self, out: Path) -> None:
        lists = {name: self._lists(name) for name in self.plan.channels}
        about = {"entry": self.plan.entry, "run_id": self.run_id}
        page = report_of(lists, self.plan.out / FUSED, self._inputs.facts, about)
        with replaced(out) as part:
            part.write_text(page, "utf-8")

    def _note(self, out: Path) -> None:
        """Write the exposures of earlier runs and of this one."""
        at = pa.scalar(round(self._inputs.now * 1e6), pa.int64()).cast(
            EXPOSED.field("shown_at").type
        )
        with table_writer(out, EXPOSED) as writer:
            if out.is_file() and self._before is None:
                with TableFile.open(out) as file:
                    for table in file.batches(BATCH_ROWS):
                        writer.write_table(
                            table.filter(pc.not_equal(table.column("run_id"), self.run_id))
                        )
            with TableFile.open(self.plan.out / FUSED) as fused:
                for table in fused.batches(BATCH_ROWS, ["user_id", "song_id"]):
                    n = len(table)
                    columns = [
                        table.column("user_id"),
                        table.column("song_id"),
                        pa.repeat(pa.scalar(self.plan.entry), n),
                        pa.repeat(at, n),
                        pa.repeat(pa.scalar(self.run_id), n),
                    ]
                    writer.write_table(pa.Table.from_arrays(columns, schema=EXPOSED))

    def _recorded(self) -> dict[str, Any]:
        """Write and return the record of the run: inputs, models, and counts of the lists."""
        path = self.plan.out / RECORD
        with suppress(FileNotFoundError, ValueError):
            found = parse_json(read_own(path, MAX_STATE_BYTES), max_bytes=MAX_STATE_BYTES)
            if isinstance(found, dict) and found.get("run_id") == self.run_id:
                return found
        models = {n: self._state["steps"][f"{TRAIN} {n}"]["model_id"] for n in self.plan.channels}
        with TableFile.open(self.plan.out / FUSED) as file:
            table = file.read(["user_id", "channel", "cold"])
        counts = pc.value_counts(table.column("channel").combine_chunks()).to_pylist()
        record = {
            "schema": "audiorec/recall-run/1",
            "run_id": self.run_id,
            "entry": self.plan.entry,
            "shown_at": datetime.fromtimestamp(self._inputs.now, UTC).isoformat(),
            "inputs": self._prints,
            "models": models,
            "order": list(self.plan.channels),  # of the fusion's weights
            "users": len(table.column("user_id").unique()),
            "rows": len(table),
            "cold": int(pc.sum(table.column("cold")).as_py() or 0),
            "channels": {one["values"]: one["counts"] for one in counts},
            "fusion": json.loads(json.dumps(asdict(self.plan.recipe()))),
        }
        _write_json(path, record)
        return record

    def _drop_record(self) -> None:
        """Remove the record of a day made from other inputs: a record marks a day as complete."""
        if self._before is None:
            return
        with suppress(FileNotFoundError, ValueError):
            content = read_own(self.plan.out / RECORD, MAX_STATE_BYTES)
            found = parse_json(content, max_bytes=MAX_STATE_BYTES)
            if not isinstance(found, dict) or found.get("run_id") != self.run_id:
                (self.plan.out / RECORD).unlink()

    def _step(self, name: str, out: Path, made_from: str) -> Step:
        refuse_link(out)
        known = self._state.get("steps", {}).get(name, {})
        is_done = out.exists() and known.get("made_from") == made_from
        # An output of another size was truncated or replaced since: redo the step.
        is_done = is_done and known.get("bytes", _bytes_of(out)) == _bytes_of(out)
        return Step(
            name=name, out=out, made_from=made_from, is_done=is_done, cpu_s=known.get("cpu_s")
        )

    def _trained_from(self, name: str) -> str:
        recipe: Any = getattr(self.plan.channel(name), "recipe", None)
        return fingerprint(
            {
                "channel": name,
                "recipe": repr(recipe),
                "inputs": {
                    n: p for n, p in self._prints.items() if n not in ("exposures", "tuned")
                },
                "version": own_version(),
            }
        )

    def _asked_from(self, name: str) -> str:
        plan = self.plan
        cold = bool(plan.recipe().cold_share)
        asked = {"depth": plan.depth, "keep_heard": plan.keep_heard, "cold": cold}
        return fingerprint({"model": self._trained_from(name), **asked})

    def _run_id(self) -> str:
        """Return the fingerprint of the lists; a resumed or unchanged run keeps its id.

        It depends on exposures of earlier runs, but not on those that this run recorded.
        """
        noted = self._noted() if self.plan.exposure_days else ()
        earlier = {run_id for place in noted for run_id in run_ids(place)}
        last = str(self._state.get("run_id", ""))
        same = self._made_of(earlier - {last})
        return same if same == last else self._made_of(earlier)

    def _made_of(self, earlier: set[str]) -> str:
        plan = self.plan
        return fingerprint(
            {
                "lists": [self._asked_from(name) for name in plan.channels],
                "fusion": asdict(plan.recipe()),
                "inputs": self._prints,
                "days": plan.exposure_days,
                "entry": plan.entry,
                "earlier": sorted(earlier),
            }
        )

    def _noted(self) -> tuple[Path, ...]:
        """Return the exposures files of earlier runs; for a run of one day, those of other days."""
        return (self.plan.out / EXPOSURES,) if self._before is None else self._before.exposures

    def _lists(self, name: str) -> Path:
        return self.plan.out / "candidates" / f"{name}.parquet"

    def _read_state(self) -> dict[str, Any]:
        place = self.plan.out / STATE
        refuse_link(place)
        with suppress(FileNotFoundError, ValueError):
            found = parse_json(read_own(place, MAX_STATE_BYTES), max_bytes=MAX_STATE_BYTES)
            if isinstance(found, dict) and isinstance(found.get("steps", {}), dict):
                return found
        return {}

    def _keep(self, news: Mapping[str, Any]) -> None:
        self._state = {**self._state, **news}
        _write_json(self.plan.out / STATE, self._state)


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its finished worker processes."""
    return sum(os.times()[:4])


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with replaced(path) as part:
        part.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def _bytes_of(out: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    files = [out] if out.is_file() else [path for path in out.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)

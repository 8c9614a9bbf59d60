"""The nightly job: train stale models, write candidates, fuse them, and report.

    recall.toml ──▶ `NightlyPlan` ──▶ OUT/models/CHANNEL/ ──▶ OUT/candidates/CHANNEL.parquet
                         ──fuse──▶ OUT/fused.parquet ──▶ OUT/report.md, OUT/run.json
                                                     ──▶ OUT/exposures.parquet, with `shown_k`

Every step has a fingerprint of everything that determines its output. A step whose output exists
with that fingerprint is skipped, so an interrupted job resumes, an unchanged one ends at once, and
only steps with changed inputs run again. Outputs are written atomically, and the same inputs give
the same bytes.

Inputs of the nightly job, each read at most once and only if a step needs it.
"""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow.compute as pc

from audiorec.columns import ListColumns, ShownColumns
from audiorec.distribution import own_version
from audiorec.engines.tasks import Engine
from audiorec.errors import DamagedFileError, InputError, StoreError
from audiorec.files.own_files import refuse_link, remove_leftovers, write_errors, write_own
from audiorec.files.tables import TableFile
from audiorec.listening.events import Interactions
from audiorec.listening.interactions import read_interactions
from audiorec.listening.log_files import (
    file_fingerprints,
    is_rereadable,
    log_fingerprint,
    opened_log,
)
from audiorec.listening.reading import follows, likes
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.listening.side import known_side
from audiorec.recall.contract.candidates import DefaultList, default_users, read_candidates
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Context, Queries, RecallData
from audiorec.recall.contract.job import read_context
from audiorec.recall.judging.splits import JudgingSplit
from audiorec.recall.registry import load_channel
from audiorec.recall.serving.exclusions import (
    EXPOSURES,
    excluded_by,
    exposures_fingerprint,
    joined_sequences,
    note_shown,
    read_exposures,
    run_ids,
    traits_of,
    with_copies,
    write_asked,
)
from audiorec.recall.serving.export.job import EXPORT, export_recall
from audiorec.recall.serving.export.sources import ExportSources
from audiorec.recall.serving.fuse import (
    NEWCOMERS,
    NOTHING,
    DefaultRule,
    fill_default,
    read_tuned,
    write_default,
)
from audiorec.recall.serving.job import fuse_files
from audiorec.recall.serving.nightly.current import (
    ASK,
    DAILY,
    FUSE,
    FUSED,
    JUDGE,
    JUDGED,
    LAST,
    NOTE,
    PROMOTE,
    RANK,
    RANKED,
    RECORD,
    REPORT,
    REST,
    STATE,
    TELL,
    TRAIN,
    EarlierDays,
    NightlyPlan,
    Step,
    bytes_of,
    cpu_seconds,
    export_recipe,
    file_stem,
    read_json,
    train_night,
    whole_run,
    write_json,
)
from audiorec.recall.serving.nightly.promotion import (
    PROMOTION,
    Judge,
    NightModels,
    change_of,
    compare,
    judge_last_night,
    judge_split,
    report_of,
)
from audiorec.recall.serving.playlists import ListRanking, write_lists
from audiorec.recall.serving.rules import Exclusions, FusionRecipe, SongTraits
from audiorec.recall.serving.tables import weights_by_worth
from audiorec.search.searchable import SearchableStore
from audiorec.spec import fingerprint
from audiorec.types import LineProgress


class NightlyInputs:
    """The input files of a plan, read on first use."""

    def __init__(self, plan: NightlyPlan, judge_share: float = 0.0) -> None:
        self.plan, self._judge_share = plan, judge_share

    @cached_property
    def log(self) -> Interactions:
        """Return the listening log."""
        return read_interactions(self.plan.interactions)

    @cached_property
    def plays(self) -> Sequences:
        """Return the finished plays of each user, in order."""
        return to_sequences(self.log)

    @cached_property
    def now(self) -> float:
        """Return the time of the exposures: the newest time of the log, or else of its file."""
        times = self.log.timestamp
        known = times[~np.isnan(times)]
        return float(known.max()) if len(known) else self.plan.interactions.stat().st_mtime

    @cached_property
    def store(self) -> SearchableStore | None:
        """Return the store of the songs, if the plan names one."""
        return SearchableStore.open(self.plan.vectors) if self.plan.vectors else None

    @cached_property
    def context(self) -> Context:
        """Return the information on songs and users beside the log."""
        plan = self.plan
        return read_context(
            vectors=self.store,
            features=plan.features,
            songs=plan.songs,
            side=plan.side,
            profiles=plan.profiles,
            triples=plan.triples,
        )

    def data(self, logs: tuple[str, ...] = ()) -> RecallData:
        """Return the training data of channels; `logs` are fingerprints of the log."""
        learn = self.plays if self.split is None else self.split.learn
        return RecallData(learn, self.context.song_ids, self.context, logs)

    @cached_property
    def split(self) -> JudgingSplit | None:
        """Return what is kept back to judge nights by; None if nothing is."""
        return judge_split(self.plays, self._judge_share) if self._judge_share else None

    @property
    def judge(self) -> Judge | None:
        """Return the judge of nights."""
        if self.split is None:
            return None
        return Judge(
            split=self.split,
            context=self.context,
            facts=self.facts,
            depth=self.plan.depth,
            share=self._judge_share,
        )

    @cached_property
    def queries(self) -> Queries:
        """Return the histories of all users, with followed artists and liked songs.

        Users are those of the log, the profiles, and the tables of candidates; those without a
        play have an empty history.
        """
        known, people = self.plays, self.context.profiles
        known = known if people is None else known.with_owners(people.user_ids)
        for table in self.plan.tables.values():
            known = known.with_owners(read_candidates(table).ranked.owner_ids)
        owners = known.owner_ids
        followed = follows(self.log, owners) if len(self.log.artists) else None
        liked = likes(self.log, owners)
        return self.context.queries_of(known, followed, liked if len(liked.song) else None)

    def default_rule(self, excluded: Exclusions) -> DefaultRule:
        """Return who gets the default list, and which songs it holds."""
        plan = self.plan
        return DefaultRule(
            default=DefaultList.of(self.log, plan.entry, self.context.profiles),
            recipe=plan.recipe(),
            depth=plan.depth,
            facts=self.facts,
            excluded=excluded,
        )

    @cached_property
    def facts(self) -> SongTraits:
        """Return the traits of songs: artists, albums, genres, recordings and plays."""
        return traits_of(self.plays, known_side(self.plan.side, self.store), self.store)


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
        if plan.full_every > 1 and before is None:
            raise InputError(
                "full_every needs a run of one day (--day): training goes on from the models of "
                "the day before"
            )
        self.plan, self._before = plan, before
        self._judge_share = 0.0 if before is None else plan.judge_share
        self._inputs = NightlyInputs(plan, self._judge_share)
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
        trained = [name for name in names if name not in self.plan.tables]
        places = [(JUDGE, out / JUDGED, self.run_id)]
        places += [(f"{TRAIN} {n}", out / "models" / n, self._trained_from(n)) for n in trained]
        places += [(f"{ASK} {n}", self._lists(n), self._asked_from(n)) for n in names]
        last = {FUSE: FUSED, REST: NEWCOMERS}
        last |= {RANK: RANKED} if self.plan.lists is not None else {}
        last |= {TELL: REPORT} | ({NOTE: EXPOSURES} if self.plan.shown_k else {})
        places += [(step, out / name, self.run_id) for step, name in last.items()]
        if self.plan.export is not None:
            places.append(
                (
                    EXPORT,
                    out / EXPORT,
                    self.run_id + fingerprint(asdict(export_recipe(self.plan.export))),
                )
            )
        if self._judge_share:
            places.append((PROMOTE, out / PROMOTION, self._compared_from()))
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
            Computes blocks of users (`audiorec.engines.tasks.engine_of`), with the same bytes.

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
        self._keep({ShownColumns.RUN: self.run_id})
        self._drop_record()
        for step in self.steps():
            if step.is_done:
                continue
            if stop is not None and stop.is_set():
                return None
            tell = progress(step) if progress is not None else None
            started = cpu_seconds()
            model_id = self._make(step, tell, stop, engine)
            if model_id is None:
                return None
            done = {"made_from": step.made_from, "cpu_s": round(cpu_seconds() - started, 2)}
            done |= {"model_id": model_id} if model_id else {}
            done |= {} if step.name == NOTE else {"bytes": bytes_of(step.out)}
            done |= {"lists": self._change()} if step.name == FUSE else {}
            self._keep({"steps": {**self._state.get("steps", {}), step.name: done}})
        return self._recorded()

    def learnt_below(self) -> str:
        """Return a warning if tuned settings were below one channel alone; see `TunedFile`."""
        tuned = self.plan.tuned
        return "" if tuned is None else read_tuned(tuned).below

    def weighed(self) -> tuple[FusionRecipe, str]:
        """Return the settings of the fusion with its weights, and a note if these are equal.

        Without weights in the plan, channels weigh by their validation figures, which stand in
        their candidates (`audiorec.recall.serving.tables`).
        """
        recipe = self.plan.recipe()
        if not self.plan.is_unweighed:
            return recipe, ""
        weights, note = weights_by_worth([self._lists(name) for name in self.plan.channels])
        return replace(recipe, weights=weights or recipe.weights), note

    def proposed(self) -> dict[str, int]:
        """Return the number of candidates of each channel, over all users.

        Channels of less than half the largest weight are left out, since a song counts for the
        channel that gives it most weight: they may have none in the lists.
        """
        weights = self.weighed()[0].weights
        result = {}
        for name, weight in zip(self.plan.channels, weights, strict=True):
            if weight >= max(weights) / 2:
                with TableFile.open(self._lists(name)) as file:
                    result[name] = len(file)
        return result

    def _make(
        self, step: Step, tell: LineProgress | None, stop: Event | None, engine: Engine | None
    ) -> str | None:
        """Run one step; return the id of a trained model (else an empty text), None if stopped."""
        kind, _, name = step.name.partition(" ")
        if kind == TRAIN:
            logs = file_fingerprints(opened_log(self.plan.interactions))
            data = self._inputs.data(logs)
            before = self._before
            last = None if before is None else before.served or before.lists
            older = None if last is None else last / "models" / name
            channel, every = self.plan.channel(name), self.plan.full_every
            return train_night(channel, data, step.out, older, every, progress=tell, stop=stop)
        if kind == ASK:
            return self._ask(name, step.out, stop, engine)
        if kind == FUSE:
            return self._fuse(step.out, stop, engine)
        if kind == JUDGE:
            folder = self.plan.out if self._before is None else self._before.lists
            write_json(step.out, judge_last_night(folder, self._inputs.plays))
        elif kind == REST:
            write_default(step.out, self._inputs.default_rule(NOTHING))
        elif kind == TELL:
            self._report(step.out)
        elif kind == RANK and self.plan.lists is not None:
            ranking = ListRanking.of_log(read_interactions(self.plan.lists))
            write_lists(step.out, self.plan.out / FUSED, ranking, self._inputs.plays)
        elif kind == EXPORT:
            self._export(step.out)
        elif kind == PROMOTE:
            write_json(step.out, self._compared())
        else:
            self._note(step.out)
        return ""

    def _ask(self, name: str, out: Path, stop: Event | None, engine: Engine | None) -> str | None:
        model, inputs, asked = self._model(name), self._inputs, self.plan.question()
        heard = with_copies(inputs.queries.histories, inputs.facts)
        by: dict[str, Any] = {} if engine is None else {"engine": engine, "stop": stop}
        rows = write_asked(out, model, asked, inputs.queries, heard, **by)
        return None if rows is None else ""

    def _model(self, name: str) -> Channel:
        """Return a trained channel of this night, or a table of one's own as a channel."""
        if name in self.plan.tables:
            return self.plan.channel(name).fit(self._inputs.data())
        return load_channel(self.plan.out / "models" / name)

    def _compared(self) -> dict[str, Any]:
        """Compare what was trained with the night that is served; see `compare`."""
        new = NightModels(
            channels=[self._model(name) for name in self.plan.channels], recipe=self.weighed()[0]
        )
        served = None if self._before is None else self._before.served
        return compare(self._inputs.judge, new, served, self.plan.margin)

    def _compared_from(self) -> str:
        served = None if self._before is None else self._before.served
        run_id = "" if served is None else whole_run(str(served)).get(ShownColumns.RUN, "")
        return fingerprint({"new": self.run_id, "served": run_id, "margin": self.plan.margin})

    def _fuse(self, out: Path, stop: Event | None, engine: Engine | None) -> str | None:
        excluded, inputs = self._excluded(), self._inputs
        tables = [self._lists(name) for name in self.plan.channels]
        self._keep_last(out)
        by = {} if engine is None else {"engine": engine, "stop": stop}
        rules: dict[str, Any] = {"facts": inputs.facts, "excluded": excluded, **by}
        done = fuse_files(tables, out, self.weighed()[0], **rules)
        if done is None:
            return None
        fill_default(out, inputs.queries.histories, inputs.default_rule(excluded))
        return ""

    def _keep_last(self, out: Path) -> None:
        """Give the lists of the last whole night a second name until the run is over."""
        last = self.plan.out / LAST
        refuse_link(last)
        is_whole = self._before is None and (self.plan.out / RECORD).is_file()
        if is_whole and out.is_file() and not last.exists():
            with suppress(OSError):  # a file system without hard links: no comparison
                os.link(out, last)

    def _change(self) -> dict[str, float]:
        """Compare the lists with those of the last night."""
        last = self.plan.out / LAST
        if self._before is not None and self._before.lists is not None:
            last = self._before.lists / FUSED
        lists = {name: self._lists(name) for name in self.plan.channels}
        fused, facts = self.plan.out / FUSED, self._inputs.facts
        with suppress(DamagedFileError, StoreError):  # of the last night: it is made again
            return change_of(lists, fused, last if last.is_file() else None, facts)
        return change_of(lists, fused, None, facts)

    def _excluded(self) -> Exclusions:
        """Return the songs and artists that users do not get: heard, disliked, shown lately."""
        plan, before, now = self.plan, self._before, self._inputs.now
        ends_s = None if before is None else before.ends_s
        given = () if plan.exposures is None else (plan.exposures,)
        options: dict[str, Any] = {"days": plan.exposure_days, "now": now, "ends_s": ends_s}
        options |= {"without": self.run_id, "shown_k": plan.shown_k}
        shown = [
            read_exposures(place, **options)
            for place in (*self._noted(), *given)
            if plan.exposure_days and is_rereadable(place)
        ]
        return excluded_by(
            self._inputs.log,
            keep_heard=plan.keep_heard,
            shown=joined_sequences(shown) if shown else None,
            facts=self._inputs.facts,
        )

    def _report(self, out: Path) -> None:
        lists = {name: self._lists(name) for name in self.plan.channels}
        about = {"entry": self.plan.entry, ShownColumns.RUN: self.run_id}
        ranked = None if self.plan.lists is None else self.plan.out / RANKED
        page = report_of(lists, self.plan.out / FUSED, self._inputs.facts, about, ranked)
        write_own(out, page)

    def _export(self, out: Path) -> None:
        """Export the lists; without impressions, plays are the samples of the ranker."""
        plan, before = self.plan, self._before
        trained = [name for name in plan.channels if name not in plan.tables]
        sources = ExportSources(
            interactions=plan.interactions,
            candidates=tuple(map(self._lists, plan.channels)),
            fused=plan.out / FUSED,
            exposures=plan.exposures,
            models=tuple(plan.out / "models" / name for name in trained),
            vectors=plan.vectors,
            side=plan.side,
            profiles=plan.profiles,
            earlier=None if before is None else before.export,
            record={ShownColumns.RUN: self.run_id, "entry": plan.entry, "inputs": self._prints},
            ends_s=None if before is None else before.ends_s,
        )
        export_recall(sources, out, export_recipe(plan.export))

    def _note(self, out: Path) -> None:
        """Write what counts as shown of earlier runs and of this one."""
        plan = self.plan
        note_shown(
            out,
            plan.out / FUSED,
            plan.shown_k,
            chance=plan.shown_chance,
            entry=plan.entry,
            run_id=self.run_id,
            at=self._inputs.now,
            is_kept=self._before is None,
        )

    def _recorded(self) -> dict[str, Any]:
        """Write and return the record of the run: inputs, models, and counts of the lists."""
        path = self.plan.out / RECORD
        (self.plan.out / LAST).unlink(missing_ok=True)
        if (result := read_json(path)).get(ShownColumns.RUN) == self.run_id:
            return result
        steps = self._state["steps"]
        models = {
            n: steps[f"{TRAIN} {n}"]["model_id"]
            for n in self.plan.channels
            if n not in self.plan.tables
        }
        with TableFile.open(self.plan.out / FUSED) as file:
            table = file.read([ListColumns.USER, "channel", "cold"])
        counts = pc.value_counts(table.column("channel").combine_chunks()).to_pylist()
        record = {
            "schema": "audiorec/recall-run/1",
            ShownColumns.RUN: self.run_id,
            "entry": self.plan.entry,
            ShownColumns.AT: datetime.fromtimestamp(self._inputs.now, UTC).isoformat(),
            "inputs": self._prints,
            "models": models,
            "order": list(self.plan.channels),  # of the fusion's weights
            "users": len(table.column(ListColumns.USER).unique()),
            "default_users": default_users(self.plan.out / FUSED),
            "rows": len(table),
            "cold": int(pc.sum(table.column("cold")).as_py() or 0),
            "channels": {one["values"]: one["counts"] for one in counts},
            "judged": read_json(self.plan.out / JUDGED),
            "lists": steps[FUSE].get("lists", {}),
            "fusion": json.loads(json.dumps(asdict(self.weighed()[0]))),
        }
        write_json(path, record)
        return record

    def _drop_record(self) -> None:
        """Remove the record of a day made from other inputs: a record marks a day as complete."""
        if self._before is None:
            return
        if read_json(self.plan.out / RECORD).get(ShownColumns.RUN) != self.run_id:
            (self.plan.out / RECORD).unlink(missing_ok=True)

    def _step(self, name: str, out: Path, made_from: str) -> Step:
        refuse_link(out)
        known = self._state.get("steps", {}).get(name, {})
        is_done = out.exists() and known.get("made_from") == made_from
        # An output of another size was truncated or replaced since: redo the step.
        is_done = is_done and known.get("bytes", bytes_of(out)) == bytes_of(out)
        return Step(
            name=name, out=out, made_from=made_from, is_done=is_done, cpu_s=known.get("cpu_s")
        )

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
                    for n, p in self._prints.items()
                    if n not in ("exposures", "lists", "tuned")
                    and (n not in self.plan.tables or n == name)
                },
                "judge_share": self._judge_share,
                "version": own_version(),
            }
        )

    def _asked_from(self, name: str) -> str:
        asked = asdict(self.plan.question())
        return fingerprint({"model": self._trained_from(name), **asked})

    def _run_id(self) -> str:
        """Return the fingerprint of the lists; a resumed or unchanged run keeps its id.

        It depends on exposures of earlier runs, but not on those that this run recorded.
        """
        noted = self._noted() if self.plan.exposure_days else ()
        earlier = {run_id for place in noted for run_id in run_ids(place)}
        last = str(self._state.get(ShownColumns.RUN, ""))
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
                "shown_k": plan.shown_k,
                **({"shown_chance": plan.shown_chance} if plan.shown_chance < 1 else {}),
                "entry": plan.entry,
                "earlier": sorted(earlier),
            }
        )

    def _noted(self) -> tuple[Path, ...]:
        """Return the exposures files of earlier runs; for a run of one day, those of other days.

        None unless the first places of a list count as shown.
        """
        if not self.plan.shown_k:
            return ()
        return (self.plan.out / EXPOSURES,) if self._before is None else self._before.exposures

    def _lists(self, name: str) -> Path:
        return self.plan.out / "candidates" / f"{file_stem(name)}.parquet"

    def _read_state(self) -> dict[str, Any]:
        place = self.plan.out / STATE
        refuse_link(place)
        state = read_json(place)
        return state if isinstance(state.get("steps", {}), dict) else {}

    def _keep(self, news: Mapping[str, Any]) -> None:
        self._state = {**self._state, **news}
        write_json(self.plan.out / STATE, self._state)

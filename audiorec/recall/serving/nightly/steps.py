"""The functions of a night: each makes one file or folder from what the night knows.

    `train`, `ask`    a channel's model, a channel's candidates
    `weigh`           the weights of the channels
    `fuse_lists`, `rest`, `rank`, `tell`, `export`
                      the lists, those of newcomers, playlists, the report, tables
    `judge`, `judge_day`
                      how the last lists did; whether the new ones may be served

A function takes a `Tonight` and the place of its output. It returns the id of a model (otherwise an
empty text), or None if it was stopped.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from audiorec.columns import ShownColumns
from audiorec.errors import DamagedFileError, StoreError
from audiorec.files.own_files import refuse_link, write_own
from audiorec.listening.log_files import file_fingerprints, opened_log
from audiorec.recall.contract.channel import Channel
from audiorec.recall.registry import load_channel
from audiorec.recall.serving.exclusions import (
    excluded_by,
    read_exposures,
    with_copies,
    write_asked,
)
from audiorec.recall.serving.export.exporting import export_recall
from audiorec.recall.serving.export.sources import ExportSources
from audiorec.recall.serving.fuse import NOTHING, fill_default, write_default, write_weights
from audiorec.recall.serving.lists import fuse_files
from audiorec.recall.serving.nightly.arrivals import too_few
from audiorec.recall.serving.nightly.current import (
    FUSED,
    JUDGED,
    LAST,
    RANKED,
    RECORD,
    WEIGHTS,
    EarlierDays,
    NightlyPlan,
    blamed,
    export_recipe,
    file_stem,
    read_json,
    train_night,
    write_json,
)
from audiorec.recall.serving.nightly.inputs import NightlyInputs
from audiorec.recall.serving.nightly.promotion import (
    NightModels,
    change_of,
    compare,
    judge_last_night,
    report_of,
)
from audiorec.recall.serving.nightly.weighing import (
    judge_kept_back,
    last_weights,
    said_of,
    since_nights,
    weighed,
)
from audiorec.recall.serving.playlists import write_lists
from audiorec.recall.serving.rules import Exclusions, FusionRecipe
from audiorec.recall.serving.tune import FEWEST
from audiorec.runs.tasks import Engine
from audiorec.types import LineProgress

LEAST = 1e-6  # weight of a channel that learnt none


@dataclass(slots=True, kw_only=True)
class Tonight:
    """What the functions of a night know.

    Attributes
    ----------
    plan : NightlyPlan
        Without the channels that failed so far.
    inputs : NightlyInputs
    before : EarlierDays or None
        For a run of one day.
    prints : mapping of str to str
        Fingerprints of the input files.
    run_id : str
    counts : mapping
        What has arrived (`arrived`); filled before the first step.
    engine, stop, tell
        Where blocks of users are computed, what ends the night, and what is told of a training.
    """

    plan: NightlyPlan
    inputs: NightlyInputs
    before: EarlierDays | None
    prints: Mapping[str, str]
    run_id: str = ""
    engine: Engine | None = None
    stop: Event | None = None
    tell: LineProgress | None = None

    @property
    def blocks(self) -> dict[str, Any]:
        """Options of what is computed in blocks of users."""
        return {} if self.engine is None else {"engine": self.engine, "stop": self.stop}

    @property
    def served(self) -> Path | None:
        """The folder of the day that is served."""
        return None if self.before is None else self.before.served

    def lists(self, name: str) -> Path:
        """Return the place of a channel's candidates."""
        return self.plan.out / "candidates" / f"{file_stem(name)}.parquet"

    def all_lists(self) -> dict[str, Path]:
        """Return the candidates of all channels, in the order of the fusion's weights."""
        return {name: self.lists(name) for name in self.plan.channels}

    def model(self, name: str) -> Channel:
        """Return a trained channel of this night, or a table of one's own as a channel."""
        with blamed(name):
            if name in self.plan.tables:
                return self.plan.channel(name).fit(self.inputs.data())
            return load_channel(self.plan.out / "models" / name)

    def weighed(self) -> FusionRecipe:
        """Return the settings of the fusion, with the weights that were learnt tonight."""
        recipe = self.plan.recipe()
        if not self.plan.is_weighed:
            return recipe
        learnt = read_json(self.plan.out / WEIGHTS)
        weights = {learnt["alone"]: 1.0} if learnt["alone"] else learnt["weights"]
        # Above 0: users whom no other channel knows still get the songs of the others.
        own = (max(weights.get(name, 0.0), LEAST) for name in self.plan.channels)
        return replace(recipe, weights=tuple(own))

    def said(self) -> list[str]:
        """Return lines about the weights of this night; none if the plan gives them."""
        return said_of(read_json(self.plan.out / WEIGHTS)) if self.plan.is_weighed else []

    def excluded(self) -> Exclusions:
        """Return the songs and artists that users do not get: heard, disliked, shown lately."""
        plan, now = self.plan, self.inputs.now
        ends_s = None if self.before is None else self.before.ends_s
        shown = None
        if plan.exposures is not None and plan.exposure_days:
            days = plan.exposure_days
            shown = read_exposures(plan.exposures, days=days, now=now, ends_s=ends_s)
        return excluded_by(
            self.inputs.log,
            keep_heard=plan.keep_heard,
            shown=shown,
            facts=self.inputs.facts,
        )


def train(name: str, night: Tonight, out: Path) -> str | None:
    """Train a channel, from the start or from the model of the day before."""
    logs = file_fingerprints(opened_log(night.plan.interactions))
    data, before = night.inputs.data(logs), night.before
    last = None if before is None else before.served or before.lists
    older = None if last is None else last / "models" / name
    every, run = night.plan.full_every, {"progress": night.tell, "stop": night.stop}
    with blamed(name):
        return train_night(night.plan.channel(name), data, out, older, every, **run)


def ask(name: str, night: Tonight, out: Path) -> str | None:
    """Write the candidates of a channel."""
    model, inputs = night.model(name), night.inputs
    heard = with_copies(inputs.queries.histories, inputs.facts)
    with blamed(name):
        asked = (model, night.plan.question(), inputs.queries, heard)
        rows = write_asked(out, *asked, **night.blocks)
    return None if rows is None else ""


def weigh(night: Tonight, out: Path) -> str:
    """Write the weights of the channels: by plays after earlier nights, or by songs kept back."""
    names, judged = night.plan.channels, read_json(night.plan.out / JUDGED)
    learnt, last = judged.get("learnt", {}), judged.get("weights", {})
    if not learnt or learnt["weights"].keys() != set(names):
        evidence = judge_kept_back(night.inputs.judge, [night.model(name) for name in names])
        learnt = weighed(evidence, names, last, "songs that were kept back")
    write_weights(out, learnt.pop("weights"), learnt)
    return ""


def fuse_lists(night: Tonight, out: Path) -> str:
    """Write one list for every user."""
    excluded, inputs = night.excluded(), night.inputs
    _keep_last(night, out)
    tables = list(night.all_lists().values())
    fuse_files(tables, out, night.weighed(), facts=inputs.facts, excluded=excluded)
    fill_default(out, inputs.queries.histories, inputs.default_rule(excluded))
    return ""


def _keep_last(night: Tonight, out: Path) -> None:
    """Give the lists of the last whole night a second name until the run is over."""
    last = night.plan.out / LAST
    refuse_link(last)
    is_whole = night.before is None and (night.plan.out / RECORD).is_file()
    if is_whole and out.is_file() and not last.exists():
        with suppress(OSError):  # a file system without hard links: no comparison
            os.link(out, last)


def changed(night: Tonight) -> dict[str, float]:
    """Compare the lists with those of the last night."""
    last = night.plan.out / LAST
    if night.before is not None and night.before.lists is not None:
        last = night.before.lists / FUSED
    lists, fused, facts = night.all_lists(), night.plan.out / FUSED, night.inputs.facts
    with suppress(DamagedFileError, StoreError):  # of the last night: it is made again
        return change_of(lists, fused, last if last.is_file() else None, facts)
    return change_of(lists, fused, None, facts)


def judge(night: Tonight, out: Path) -> str:
    """Judge the lists of the last night by what was played since; learn weights from it."""
    plan, inputs = night.plan, night.inputs
    folder = plan.out if night.before is None else night.before.lists
    found = judge_last_night(folder, inputs.plays)
    if plan.is_weighed:
        # Not by songs that are kept back: nights are compared by these.
        plays = inputs.data().sequences
        nights = (plan.out,) if night.before is None else night.before.nights
        evidence, last = since_nights(nights, plan.channels, plays), last_weights(folder)
        enough = evidence is not None and evidence.users >= FEWEST
        source = "plays after earlier nights"
        learnt = weighed(evidence, plan.channels, last, source) if enough else {}
        found |= {"weights": last, "learnt": learnt}
    write_json(out, found)
    return ""


def rest(night: Tonight, out: Path) -> str:
    """Write the list for users who come after the run."""
    write_default(out, night.inputs.default_rule(NOTHING))
    return ""


def rank(lists: Path, night: Tonight, out: Path) -> str:
    """Rank the playlists that people made for every user."""
    write_lists(out, night.plan.out / FUSED, night.inputs.ranking(lists), night.inputs.plays)
    return ""


def tell(night: Tonight, out: Path) -> str:
    """Write the report."""
    about: dict[str, Any] = {"entry": night.plan.entry, ShownColumns.RUN: night.run_id}
    about |= {"weights": night.said()}
    ranked = None if night.plan.lists is None else night.plan.out / RANKED
    fused, facts = night.plan.out / FUSED, night.inputs.facts
    write_own(out, report_of(night.all_lists(), fused, facts, about, ranked))
    return ""


def export(night: Tonight, out: Path) -> str:
    """Export the lists; without impressions, plays are the samples of the ranker."""
    plan, before = night.plan, night.before
    trained = [name for name in plan.channels if name not in plan.tables]
    sources = ExportSources(
        interactions=plan.interactions,
        candidates=tuple(night.all_lists().values()),
        fused=plan.out / FUSED,
        exposures=plan.exposures,
        models=tuple(plan.out / "models" / name for name in trained),
        vectors=plan.vectors,
        side=plan.side,
        profiles=plan.profiles,
        earlier=None if before is None else before.export,
        record={ShownColumns.RUN: night.run_id, "entry": plan.entry, "inputs": night.prints},
        ends_s=None if before is None else before.ends_s,
        skip_bad_rows=plan.skip_bad_rows,
    )
    export_recall(sources, out, export_recipe(plan.export))
    return ""


def judge_day(night: Tonight, out: Path) -> str:
    """Write whether the day may be served: what has arrived, and how it compares (`compare`)."""
    plan = night.plan
    verdict = {"refused": too_few(night.inputs.arrived, plan.least_rows), "note": ""}
    if plan.judge_share:
        new = NightModels(
            channels=[night.model(name) for name in plan.channels], recipe=night.weighed()
        )
        compared = compare(night.inputs.judge, new, night.served, plan.margin)
        verdict = compared | ({"refused": verdict["refused"]} if verdict["refused"] else {})
    write_json(out, verdict)
    return ""

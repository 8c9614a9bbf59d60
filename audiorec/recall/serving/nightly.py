"""The nightly job: train what is stale, ask every channel, fuse, note what was shown to whom.

    recall.toml ──▶ `NightlyPlan` ──▶ OUT/models/CHANNEL/ ──▶ OUT/candidates/CHANNEL.parquet
                         ──fuse──▶ OUT/fused.parquet ──▶ OUT/exposures.parquet, OUT/run.json

Every step has a fingerprint of all that decides its output. A step whose output is there and has
that fingerprint is passed over, so a job that was killed goes on where it was, one without news
ends at once, and only what changed is made again. Every output appears whole or not at all, and the
same inputs give the same bytes.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import InputError
from audiorec.files.atomic import replaced
from audiorec.files.json_files import parse_json
from audiorec.files.own_files import read_own, refuse_link
from audiorec.files.settings import filled, read_settings
from audiorec.files.tables import TableFile, table_writer
from audiorec.listening.events import Interactions
from audiorec.listening.interactions import read_interactions
from audiorec.listening.prepare import log_fingerprint
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Context, RecallData
from audiorec.recall.contract.job import train_channel
from audiorec.recall.contract.reading import read_context
from audiorec.recall.contract.tables import write_candidates
from audiorec.recall.registry import channel_class, load_channel
from audiorec.recall.serving.fuse import REPLAY
from audiorec.recall.serving.job import fuse_files
from audiorec.recall.serving.known import closed_by, facts_of, joined, read_exposures
from audiorec.recall.serving.rules import FusionRecipe
from audiorec.search.searchable import SearchableStore
from audiorec.spec import fingerprint
from audiorec.types import LineProgress

RECORD = "run.json"
STATE = "state.json"  # fingerprint and cost of each step that is done
FUSED, EXPOSURES = "fused.parquet", "exposures.parquet"
TRAIN, ASK, FUSE, NOTE = "train", "ask", "fuse", "note"
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
class NightlyPlan:
    """The table ``[recall]`` of a settings file.

    Attributes
    ----------
    interactions, out : Path
        The listening log, and the folder that all goes to. Paths are relative to the file.
    channels : tuple of str
        By name; each is trained on the log.
    vectors, features, songs, side, profiles, triples : Path, optional
        What is known of songs and users; see `read_context`.
    exposures : Path, optional
        What other systems showed: `user_id`, `song_id`, `shown_at`.
    k : int
        Songs for each user.
    depth : int
        Songs that each channel is asked for.
    keep_heard : bool
        Let songs of the log come again.
    entry : str
        The product that the lists are for; stands in the exposures.
    exposure_days : float
        How long a song that was shown stays out; 0: exposures are written, not read.
    settings : mapping of str to mapping
        Settings of channels, by channel.
    weights : mapping of str to float
        By channel; 1 where a channel is not named.
    fusion : mapping
        Settings of `FusionRecipe`, but for ``k`` and ``weights``.
    """

    interactions: Path
    out: Path
    channels: tuple[str, ...]
    vectors: Path | None = None
    features: Path | None = None
    songs: Path | None = None
    side: Path | None = None
    profiles: Path | None = None
    triples: Path | None = None
    exposures: Path | None = None
    k: int = 100
    depth: int = 200
    keep_heard: bool = False
    entry: str = "daily"
    exposure_days: float = 7.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Any] = field(default_factory=dict)
    fusion: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.channels or len(set(self.channels)) < len(self.channels):
            raise InputError("channels must name one channel or more, each once")
        for name in (*self.settings, *self.weights):
            if name not in self.channels:
                raise InputError(
                    f"{name!r} has settings or a weight, and is no channel of the plan"
                )
        if self.depth < self.k:
            raise InputError(f"depth must be at least k, got {self.depth} and {self.k}")
        for name in self.channels:
            self.channel(name)
        self.recipe()

    @classmethod
    def read(cls, path: Path) -> "NightlyPlan":
        """Read a settings file.

        Raises
        ------
        InputError
            If it is missing or damaged, or has an unknown key or a wrong value.
        """
        plan = filled(cls, read_settings(path, "recall"), f"{path}: [recall]")
        places: dict[str, Any] = {n: path.parent / place for n, place in plan.files().items()}
        return replace(plan, **places, out=path.parent / plan.out)

    def files(self) -> dict[str, Path]:
        """Return the files that are read, by setting."""
        sound = ("vectors", "features", "songs")
        names = ("interactions", *sound, "side", "profiles", "triples", "exposures")
        return {name: place for name in names if (place := getattr(self, name)) is not None}

    def channel(self, name: str) -> Channel:
        """Return a channel of the plan, not fitted."""
        kind: Any = channel_class(name)
        settings = self.settings.get(name)
        if settings and getattr(kind, "Recipe", None) is None:
            raise InputError(f"{name} has no settings")
        recipe = [filled(kind.Recipe, settings, f"settings of {name}")] if settings else []
        made: Channel = kind(*recipe)
        return made

    def recipe(self) -> FusionRecipe:
        """Return the settings of the fusion."""
        weights = tuple(float(self.weights.get(name, 1.0)) for name in self.channels)
        given = {**self.fusion, "k": self.k, "weights": list(weights)}
        return filled(FusionRecipe, given, "fusion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a job.

    Attributes
    ----------
    name : str
        ``train CHANNEL``, ``ask CHANNEL``, ``fuse``, ``note``.
    out : Path
    made_from : str
        Fingerprint of all that decides the output.
    is_done : bool
        The output is there, and was made from this.
    cpu_s : float or None
        CPU seconds of the last time; None if it never ran.
    """

    name: str
    out: Path
    made_from: str
    is_done: bool
    cpu_s: float | None


class NightlyJob:
    """A plan with its folder.

    Raises
    ------
    InputError
        If a file of the plan is missing.
    StoreError
        If something in the folder is a link.
    """

    def __init__(self, plan: NightlyPlan) -> None:
        self.plan = plan
        for place in plan.files().values():
            if not place.is_file():
                raise InputError(f"{place}: no such file")
        self._prints = {name: log_fingerprint(place) for name, place in plan.files().items()}
        self._state = self._read_state()
        self.run_id = self._run_id()

    def steps(self) -> list[Step]:
        """Return the steps as they stand, in their order."""
        out, names = self.plan.out, self.plan.channels
        places = [(f"{TRAIN} {n}", out / "models" / n, self._trained_from(n)) for n in names]
        places += [(f"{ASK} {n}", self._lists(n), self._asked_from(n)) for n in names]
        places += [(FUSE, out / FUSED, self.run_id), (NOTE, out / EXPOSURES, self.run_id)]
        return [self._step(*place) for place in places]

    def run(
        self,
        *,
        progress: Callable[[Step], LineProgress | None] | None = None,
        stop: Event | None = None,
    ) -> dict[str, Any] | None:
        """Do what is to be done; return the record of the run, None if it was stopped.

        Parameters
        ----------
        progress : callable, optional
            Called with each step before it is done; what it returns gets the lines of a training.
        stop : threading.Event, optional
            Once set, the job ends after the step, or the training step, in work.
        """
        for folder in ("models", "candidates"):
            (self.plan.out / folder).mkdir(parents=True, exist_ok=True)
        self._keep({"run_id": self.run_id})
        for step in self.steps():
            if step.is_done:
                continue
            if stop is not None and stop.is_set():
                return None
            tell = progress(step) if progress is not None else None
            started = time.process_time()
            model_id = self._make(step, tell, stop)
            if model_id is None:
                return None
            done = {"made_from": step.made_from, "cpu_s": round(time.process_time() - started, 2)}
            done |= {"model_id": model_id} if model_id else {}
            self._keep({"steps": {**self._state.get("steps", {}), step.name: done}})
        return self._recorded()

    def _make(self, step: Step, tell: LineProgress | None, stop: Event | None) -> str | None:
        """Do one step; return the id of a model that was trained, None if it was stopped."""
        kind, _, name = step.name.partition(" ")
        if kind == TRAIN:
            context = self._context
            logs = (self._prints["interactions"],)
            data = RecallData(self._plays, context.song_ids, context, logs)
            channel = self.plan.channel(name)
            return train_channel(channel, data, step.out, progress=tell, stop=stop)
        if kind == ASK:
            model = load_channel(self.plan.out / "models" / name)
            heard = None if self.plan.keep_heard or name == REPLAY else self._plays
            queries = self._context.asked(self._plays)
            cold = self.plan.depth if self.plan.recipe().cold_share else 0
            write_candidates(step.out, model, queries, self.plan.depth, exclude=heard, cold=cold)
        elif kind == FUSE:
            self._fuse(step.out)
        else:
            self._note(step.out)
        return ""

    def _fuse(self, out: Path) -> None:
        days = self.plan.exposure_days
        shown = [
            read_exposures(place, days=days, now=self._now, without=self.run_id)
            for place in (self.plan.out / EXPOSURES, self.plan.exposures)
            if days and place is not None and place.is_file()
        ]
        closed = closed_by(
            self._log, keep_heard=self.plan.keep_heard, shown=joined(shown) if shown else None
        )
        facts = facts_of(self._plays, self._context.side, self._store)
        tables = [self._lists(name) for name in self.plan.channels]
        fuse_files(tables, out, self.plan.recipe(), facts=facts, closed=closed)

    def _note(self, out: Path) -> None:
        """Write the exposures of other runs, and what this one shows."""
        at = pa.scalar(round(self._now * 1e6), pa.int64()).cast(EXPOSED.field("shown_at").type)
        with table_writer(out, EXPOSED) as writer:
            if out.is_file():
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
        """Write and return the record: what was served to whom by which models."""
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
            "shown_at": datetime.fromtimestamp(self._now, UTC).isoformat(),
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

    def _step(self, name: str, out: Path, made_from: str) -> Step:
        refuse_link(out)
        known = self._state.get("steps", {}).get(name, {})
        is_done = out.exists() and known.get("made_from") == made_from
        return Step(
            name=name, out=out, made_from=made_from, is_done=is_done, cpu_s=known.get("cpu_s")
        )

    def _trained_from(self, name: str) -> str:
        recipe: Any = getattr(self.plan.channel(name), "recipe", None)
        return fingerprint(
            {
                "channel": name,
                "recipe": repr(recipe),
                "inputs": {n: p for n, p in self._prints.items() if n != "exposures"},
                "version": version("audiorec"),
            }
        )

    def _asked_from(self, name: str) -> str:
        plan = self.plan
        cold = bool(plan.recipe().cold_share)
        asked = {"depth": plan.depth, "keep_heard": plan.keep_heard, "cold": cold}
        return fingerprint({"model": self._trained_from(name), **asked})

    def _run_id(self) -> str:
        """Return what the lists are made from; a run that goes on, or has no news, keeps its id.

        What earlier runs showed decides as well, but not what this very run has noted.
        """
        earlier = _run_ids(self.plan.out / EXPOSURES) if self.plan.exposure_days else set()
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

    def _lists(self, name: str) -> Path:
        return self.plan.out / "candidates" / f"{name}.parquet"

    @cached_property
    def _log(self) -> Interactions:
        return read_interactions(self.plan.interactions)

    @cached_property
    def _plays(self) -> Sequences:
        return to_sequences(self._log)

    @cached_property
    def _now(self) -> float:
        """When lists are shown: the newest time of the log; of its file where it has none."""
        times = self._log.timestamp
        known = times[~np.isnan(times)]
        return float(known.max()) if len(known) else self.plan.interactions.stat().st_mtime

    @cached_property
    def _store(self) -> SearchableStore | None:
        return SearchableStore.open(self.plan.vectors) if self.plan.vectors else None

    @cached_property
    def _context(self) -> Context:
        plan = self.plan
        return read_context(
            vectors=self._store,
            features=plan.features,
            songs=plan.songs,
            side=plan.side,
            profiles=plan.profiles,
            triples=plan.triples,
        )

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


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with replaced(path) as part:
        part.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def _run_ids(path: Path) -> set[str]:
    """Return the runs whose exposures a table holds."""
    if not path.is_file():
        return set()
    with TableFile.open(path) as file:
        found: set[str] = set()
        for table in file.batches(BATCH_ROWS, ["run_id"]):
            found |= set(table.column("run_id").unique().to_pylist())
    return found

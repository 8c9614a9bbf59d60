"""``audiorec heads``: train and evaluate your own classifiers."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from audiorec.errors import InputError
from audiorec.files.own_files import replaced, write_own
from audiorec.options import argument, chooses, reads
from audiorec_cli.shared.console import out_lines, print_json, say
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.options import (
    ADVANCED,
    HEAD_FILE,
    BackboneOption,
    JobsOption,
    JsonOption,
    QuietOption,
    SeedOption,
    head_file,
    out_file,
)
from audiorec_cli.shared.progress import progress_display

if TYPE_CHECKING:
    from audiorec.evaluation.classification import Report
    from audiorec.labelling.songs import LabelledFeatures
    from audiorec.labelling.train import HeadRecipe
    from audiorec.tagger.heads import Head

FIGURES_FILE = "figures.json"
CARD_FILE = "MODEL_CARD.md"
CACHE_FOLDER = "features"
LONGEST_NAME = 64  # letters of a task in a file name

UNGROUPED = (
    "No groups were given: songs of one artist may be in both training and test folds, so the "
    "figures are too optimistic for new artists. Add a column `group`, or one folder per artist."
)


@recorded("heads", "output")
def heads(
    labels: Annotated[
        Path,
        argument(
            metavar="LABELS",
            help="A folder of class folders, or a CSV or Parquet with path, label and optional "
            "group.",
        ),
    ],
    task: Annotated[str | None, chooses(help="The head's name, for example mood.")] = None,
    output: Annotated[
        Path | None,
        out_file(
            metavar="FOLDER",
            help="The folder to write; with --evaluate, only the features, by default beside "
            "the labels.",
        ),
    ] = None,
    evaluated: Annotated[
        Path | None,
        reads("--evaluate", metavar="HEAD", help="Train nothing: evaluate this head or folder."),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        chooses(
            "--input",
            help="Backbone outputs: msd. with tags, penultimate, max_pool or mean_pool; "
            "of a package's backbone NAME.scores, NAME.embedding.",
        ),
    ] = None,
    backbone: BackboneOption = None,
    epochs: Annotated[
        int, chooses(min=1, help="Most epochs; training may stop earlier.", panel=ADVANCED)
    ] = 60,
    seed: SeedOption = 0,
    jobs: JobsOption = 0,
    quiet: QuietOption = False,
    json: JsonOption = False,
    *,
    done: JobSummary,
) -> None:
    """Train a head on labelled songs, a classifier of segments, or evaluate one on them.

    Writes the head, its figures on held-out groups, and a model card. Use it with extract --head
    FOLDER. Figures are by segment, by song and by class.

    Examples
    --------
    audiorec heads moods/ --task mood --out mood/
    audiorec heads labels.csv --task mood --out mood/ --epochs 20
    audiorec heads new-moods/ --evaluate mood/ --json
    """
    from audiorec.labelling.train import HeadRecipe

    work = partial(_features, labels, jobs=jobs, quiet=quiet)
    if evaluated is not None:
        if task or inputs or backbone:
            raise InputError("--evaluate is for a finished head: it takes no task and no inputs")
        cache = output or labels.parent / f"{labels.stem}.{CACHE_FOLDER}"
        _evaluate(evaluated, work, cache, json)
    elif task is None or output is None:
        raise InputError("name --task and --out to train a head, or one to judge: --evaluate HEAD")
    else:
        recipe = HeadRecipe(max_epochs=epochs, seed=seed)
        data = work(output / CACHE_FOLDER, None, inputs, backbone)
        _train(data, task, output, recipe, json, done)


def _train(
    data: "LabelledFeatures",
    task: str,
    output: Path,
    recipe: "HeadRecipe",
    json: bool,
    done: JobSummary,
) -> None:
    from audiorec.labelling.songs import train_from_labels

    trained, segments, songs = train_from_labels(data, task=task, recipe=recipe)
    done.count(segments=int(trained.head.info["training_rows"]), failed=len(data.missing))
    figures = _figures(segments, songs, data)
    caution = "" if data.grouped else UNGROUPED
    _write(output, trained.head, figures, _card(trained.head, segments, songs, caution))
    _print(figures, segments, songs, json)
    if caution:
        say(f"note: {caution}")
    say(f"head: {output / HEAD_FILE}; use it: audiorec extract FOLDER --head {output / HEAD_FILE}")


def _evaluate(
    head: Path,
    features: "Callable[..., LabelledFeatures]",
    cache: Path,
    json: bool,
) -> None:
    from audiorec.labelling.songs import evaluate_head
    from audiorec.tagger.heads import Head
    from audiorec.tagger.weights import WEIGHTS

    loaded = Head.load(head_file(head))
    own = next(iter(loaded.backbones.keys() - WEIGHTS.keys()), None)
    data = features(cache, loaded.classes, loaded.inputs, own)
    segments, songs = evaluate_head(loaded, data)
    _print(_figures(segments, songs, data), segments, songs, json)


def _features(
    labels: Path,
    cache: Path,
    classes: Sequence[str] | None,
    inputs: Sequence[str] | None,
    backbone: str | None,
    *,
    jobs: int,
    quiet: bool,
) -> "LabelledFeatures":
    from audiorec.labelling.songs import labelled_features, read_labels

    songs = read_labels(labels)
    with progress_display(quiet=quiet) as progress:
        how: dict[str, Any] = {"inputs": inputs, "classes": classes, "backbone": backbone}
        data = labelled_features(songs, cache, **how, jobs=jobs, progress=progress)
    if data.missing:
        reasons = cache / "vecs.errors.parquet"
        say(f"{len(data.missing)} labelled songs could not be used; for the reasons see {reasons}")
    return data


def _figures(segments: "Report", songs: "Report", data: "LabelledFeatures") -> dict[str, Any]:
    return {
        "by_segment": segments.to_dict(),
        "by_song": songs.to_dict(),
        "grouped": data.grouped,
        "missing": list(data.missing),
    }


def _print(figures: dict[str, Any], segments: "Report", songs: "Report", json: bool) -> None:
    if json:
        print_json({"schema": "audiorec/heads/1", **figures})
        return
    out_lines("by segment: " + segments.table())
    out_lines("by song: " + songs.table())


def _write(folder: Path, head: "Head", figures: dict[str, Any], card: str) -> None:
    """Write the three files, the head last, so that it never exists without the others."""
    import json

    write_own(folder / FIGURES_FILE, json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    write_own(folder / CARD_FILE, card)
    with replaced(folder / HEAD_FILE) as path:
        head.save(path)


def _card(head: "Head", segments: "Report", songs: "Report", caution: str) -> str:
    info = head.info
    return f"""# Head: {head.task}

- classes: {", ".join(head.classes)}
- inputs: {", ".join(head.inputs)}
- trained on {info["training_rows"]} segments in {info["epochs"]} epochs
- seed {info["recipe"]["seed"]}
- training data {info["training_data"]}, head {head.sha256[:16]}

Figures are out of fold: each segment was scored by a head trained without its group.
They hold for songs like these, not for other collections. {caution}

By segment:

```
{segments.table()}
```

By song (mean score over its segments):

```
{songs.table()}
```
"""

"""``audiorec backbones``: list the networks that compute features, and add your own."""

from pathlib import Path
from typing import Annotated, Any

from audiorec import extraction, runs, tagger
from audiorec.errors import InputError
from audiorec.options import argument, deletes, loads, writes
from audiorec_cli.shared.console import file_size, print_json, print_table, say
from audiorec_cli.shared.options import JsonOption

SHOWN = 12  # digits of a checksum


def backbones(
    model: Annotated[
        Path | None,
        argument(
            metavar="MODEL",
            help="A single ONNX file, or a backbone of an installed package, to add.",
        ),
    ] = None,
    spec: Annotated[
        Path | None,
        loads("--spec", metavar="FILE", help="The file's front end and outputs, as JSON."),
    ] = None,
    replace: Annotated[
        bool, writes("--replace", help="Replace an added network of the same name.")
    ] = False,
    remove: Annotated[
        str | None,
        deletes("--remove", metavar="NAME", help="Remove an added network; stores are kept."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the networks that compute features, and add your own.

    Any ONNX model will do whose front end you can specify (docs/backbones.md). It is opened in a
    separate process, tested on synthetic audio, and stored with its spec in your data folder. Then
    --backbone NAME selects it in extract, classify, heads and shards.

    Examples
    --------
    audiorec backbones
    audiorec backbones mn04_as.onnx --spec mn04.json
    audiorec backbones --remove jamendo
    """
    if model is None and (spec or replace):
        raise InputError("--spec and --replace need a model: audiorec backbones MODEL --spec FILE")
    if model is not None and remove is not None:
        raise InputError("give a model to add or --remove NAME, not both")
    if model is not None:
        document = _add(model, spec, replace=replace)
    elif remove is not None:
        document = _remove(remove)
    else:
        document = _list(shown=not json)
    if json:
        print_json(document)


def _list(*, shown: bool) -> dict[str, Any]:
    rows = [*_shipped(), *_added()]
    if shown:
        for entry in extraction.BACKBONES.others():
            if entry.name not in {row["name"] for row in rows}:
                name = entry.name
                say(f"note: {runs.maker(entry)} brings {name}: audiorec backbones {name}")
        columns = ("name", "from", "checksum", "Hz", "segment", "outputs", "size", "licence")
        print_table(columns, [_cells(row) for row in rows], title="backbones")
    return {
        "schema": "audiorec/backbones/1",
        "folder": str(tagger.backbones_folder()),
        "backbones": rows,
    }


def _add(model: Path, spec: Path | None, *, replace: bool) -> dict[str, Any]:
    files = extraction.packaged(str(model)) if spec is None else (model, spec)
    added = extraction.add_backbone(*files, replace=replace)
    outputs = ", ".join(f"{name} ({width})" for name, width in added.outputs.items())
    say(f"added {added.name} {added.sha256[:SHOWN]}: {outputs}; in {added.folder}")
    say(f"use it: audiorec extract FOLDER --backbone {added.name} --out {added.name}.parquet")
    return {"schema": "audiorec/backbone/1", **_row(added), "folder": str(added.folder)}


def _remove(name: str) -> dict[str, Any]:
    folder = tagger.remove_added(name)
    say(f"removed {name}: {folder}")
    return {"schema": "audiorec/backbone-removed/1", "name": name, "folder": str(folder)}


def _shipped() -> list[dict[str, Any]]:
    from audiorec.spec import FeatureSpec

    spec = FeatureSpec()
    return [
        {
            "name": name,
            "from": "shipped",
            "sha256": entry.sha256,
            "sample_rate": spec.mel.sample_rate,
            "segment_s": spec.segment_samples / spec.mel.sample_rate,
            "outputs": {
                f"{name}.{output}": width for output, width in tagger.OUTPUT_WIDTHS.items()
            },
            "bytes": (tagger.data_folder() / entry.file_name("onnx")).stat().st_size,
            "licence": entry.licence,
        }
        for name, entry in (
            (name, extraction.BACKBONES[name]) for name in extraction.BACKBONES.own()
        )
    ]


def _added() -> list[dict[str, Any]]:
    """Describe each added network; for one that cannot be opened, say why."""
    from audiorec.errors import AudiorecError

    rows = []
    for name in tagger.added_names():
        try:
            rows.append(_row(tagger.find_added(name)))
        except AudiorecError as error:
            rows.append({"name": name, "from": "added", "problem": str(error)})
    return rows


def _row(added: "tagger.AddedBackbone") -> dict[str, Any]:
    spec = added.stated.features
    return {
        "name": added.name,
        "from": "added",
        "sha256": added.sha256,
        "sample_rate": spec.mel.sample_rate,
        "segment_s": round(spec.segment_samples / spec.mel.sample_rate, 3),
        "outputs": added.outputs,
        "bytes": added.model_size,
        "licence": added.stated.licence,
    }


def _cells(row: dict[str, Any]) -> list[object]:
    if "problem" in row:
        say(f"warning: {row['problem']}")
        return [row["name"], row["from"], "cannot be used", *[None] * 5]
    outputs = ", ".join(f"{n.rpartition('.')[2]} {w}" for n, w in row["outputs"].items())
    return [
        row["name"],
        row["from"],
        row["sha256"][:SHOWN],
        row["sample_rate"],
        f"{row['segment_s']:g} s",
        outputs,
        file_size(row["bytes"]),
        row["licence"],
    ]

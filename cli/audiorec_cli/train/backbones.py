"""``audiorec backbones``: list the networks that compute features."""

from typing import Any

from audiorec.spec import FeatureSpec
from audiorec_cli.shared.console import print_json, print_table, say
from audiorec_cli.shared.options import JsonOption

SHOWN = 12  # digits of a checksum


def backbones(json: JsonOption = False) -> None:
    """List the networks that compute features: the shipped one, and those of installed packages.

    A package of some twenty lines brings any network: an audiorec.tagger.own_backbone.OwnBackbone
    under its entry point audiorec.backbones. Then --backbone NAME selects it in extract, classify,
    heads and shards.

    Examples
    --------
    audiorec backbones
    audiorec backbones --json
    audiorec classify ~/Music/song.mp3 --backbone msd
    """
    rows = [*_shipped(), *_packaged()]
    if json:
        print_json({"schema": "audiorec/backbones/2", "backbones": rows})
        return
    columns = ("name", "from", "checksum", "Hz", "segment", "outputs", "licence")
    print_table(columns, [_cells(row) for row in rows], title="backbones")


def _shipped() -> list[dict[str, Any]]:
    from audiorec.tagger.features import OUTPUT_WIDTHS
    from audiorec.tagger.weights import WEIGHTS

    return [
        _row(name, "audiorec", entry.sha256, FeatureSpec(), OUTPUT_WIDTHS, entry.licence)
        for name, entry in WEIGHTS.items()
    ]


def _packaged() -> list[dict[str, Any]]:
    """Describe the network of each package; for one that cannot be imported, say why."""
    from audiorec.errors import InputError
    from audiorec.extraction.backbones import BACKBONES, own_backbone
    from audiorec.runs.entry_points import maker

    rows = []
    for entry in BACKBONES.others():
        made_by = maker(entry)
        try:
            own = own_backbone(entry.name)
            rows.append(
                _row(entry.name, made_by, own.sha256, own.features, own.widths, own.licence)
            )
        except InputError as error:
            rows.append({"name": entry.name, "from": made_by, "problem": str(error)})
    return rows


def _row(
    name: str, made_by: str, sha256: str, spec: FeatureSpec, widths: Any, licence: str
) -> dict[str, Any]:
    return {
        "name": name,
        "from": made_by,
        "sha256": sha256,
        "sample_rate": spec.mel.sample_rate,
        "segment_s": round(spec.segment_samples / spec.mel.sample_rate, 3),
        "outputs": {f"{name}.{output}": width for output, width in widths.items()},
        "licence": licence,
    }


def _cells(row: dict[str, Any]) -> list[object]:
    if "problem" in row:
        say(f"warning: {row['problem']}")
        return [row["name"], row["from"], "cannot be used", *[None] * 4]
    outputs = ", ".join(f"{n.rpartition('.')[2]} {w}" for n, w in row["outputs"].items())
    return [
        row["name"],
        row["from"],
        row["sha256"][:SHOWN],
        row["sample_rate"],
        f"{row['segment_s']:g} s",
        outputs,
        row["licence"],
    ]

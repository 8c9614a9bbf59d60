"""What a run writes: its extractor, and the metadata of its files.

config, an older store  ──prepare──▶  Extractor, StoreMetadata
"""

from contextlib import suppress
from dataclasses import replace

from audiorec.distribution import created_by, version_of
from audiorec.errors import StoreError
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
from audiorec.extraction.plan import Policy, RunOptions
from audiorec.store.journal import Outputs
from audiorec.store.parquet import open_checked
from audiorec.store.schema import Kind, StoreMetadata, feature_column

PACKAGES = ("audiorec", "av", "numpy", "onnxruntime", "scipy", "soundfile", "soxr")


def prepare(
    config: ExtractorConfig, outputs: Outputs, options: RunOptions
) -> tuple[Extractor, StoreMetadata]:
    """Return a run's extractor and the metadata of its files.

    A store that is extended keeps the columns that it has. Where another method or projection made
    them, new songs have none, since numbers of two methods do not compare.
    """
    stored = None
    if options.policy is not Policy.OVERWRITE and outputs.vectors.exists():
        # An invalid store raises its error when it is opened for writing.
        with suppress(StoreError), open_checked(outputs.vectors, Kind.VECTORS) as file:
            stored = file.metadata
    added = stored is None or options.policy is Policy.UPGRADE
    attributes, sound = config.attributes, config.sound
    if stored is not None:
        attributes = bool(stored.attributes) or (added and attributes)
        sound = bool(stored.lists) or (added and sound)
    extractor = Extractor(replace(config, attributes=attributes, sound=sound))
    metadata = run_metadata(extractor, outputs, options.feature_outputs)
    if stored is None or added:
        return extractor, metadata
    attributes = attributes and metadata.attributes == stored.attributes
    sound = sound and metadata.sound_id == stored.sound_id
    kept = replace(
        metadata, attributes=stored.attributes, lists=stored.lists, sound_id=stored.sound_id
    )
    return Extractor(replace(config, attributes=attributes, sound=sound)), kept


def run_metadata(
    extractor: Extractor, outputs: Outputs, feature_outputs: tuple[str, ...] | None = None
) -> StoreMetadata:
    """Return the metadata of the files that `extractor` writes; see `StoreMetadata`."""
    names = feature_outputs or extractor.networks.feature_outputs
    names = names if outputs.features else ()
    return StoreMetadata(
        kind=Kind.VECTORS,
        extractor_id=extractor.extractor_id,
        classes=extractor.classes,
        statistics=extractor.heads.statistics,
        spec=extractor.config.spec.to_dict(),
        weights=tuple(extractor.weights_with(names)),
        features={feature_column(name): extractor.networks.width(name) for name in names},
        attributes=extractor.attributes,
        lists=extractor.lists,
        sound_id=extractor.sound_id,
        packages={name: version_of(name) for name in PACKAGES},
        created_by=created_by(),
    )

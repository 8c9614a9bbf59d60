"""A store as a source of features in Feast: python examples/recipes/feast_store.py STORE.

The file is read as it is; `extracted_at` says from when on a vector counts. pip install feast
"""

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Array, Float32

store = Path(sys.argv[1] if len(sys.argv) > 1 else "fixtures/formats/vecs-v1.parquet").resolve()
with tempfile.TemporaryDirectory() as folder:
    online = {"type": "sqlite", "path": f"{folder}/online.db"}
    where = {"project": "music", "registry": f"{folder}/registry.db", "provider": "local"}
    feast = FeatureStore(config=RepoConfig(**where, online_store=online))
    song = Entity(name="song", join_keys=["song_id"], value_type=ValueType.STRING)
    source = FileSource(path=str(store), timestamp_field="extracted_at")
    fields = [Field(name="vector", dtype=Array(Float32)), Field(name="duration_s", dtype=Float32)]
    view = FeatureView(
        name="sound", entities=[song], schema=fields, source=source, ttl=timedelta(days=36500)
    )
    feast.apply([song, view])
    feast.materialize(datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC))
    first = pd.read_parquet(store, columns=["song_id"])["song_id"][0]
    asked = {"features": ["sound:vector"], "entity_rows": [{"song_id": first}]}
    found = feast.get_online_features(**asked).to_dict()
    print(f"{found['song_id'][0]}: {len(found['vector'][0])} numbers")

"""A store as a Hugging Face dataset: python examples/recipes/hf_datasets.py STORE.

The file is read as it is: pip install datasets.
"""

import sys
import tempfile

from datasets import Dataset

store = sys.argv[1] if len(sys.argv) > 1 else "fixtures/formats/vecs-v1.parquet"
with tempfile.TemporaryDirectory() as cache:  # where datasets keeps its own copy
    songs = Dataset.from_parquet(store, cache_dir=cache)
    music = songs.filter(lambda song: song["status"] == "ok").with_format("numpy")
    print(f"{len(songs)} songs, {len(music)} of status ok, vectors of {music[0]['vector'].shape}")
    print("columns:", ", ".join(songs.column_names[:4]))

"""`recall.serving.nightly.report`: what each channel brought, by hand."""

import numpy as np
import pyarrow.parquet as pq
from made_candidates import table_of

from audiorec.recall.serving.nightly.report import report_of
from audiorec.recall.serving.rules import SongTraits


def test_what_each_channel_brought(tmp_path):
    lists = {
        "one": {"u": ["a", "b"], "v": ["a"]},
        "other": {"u": ["b", "c"]},
        "fused": {"u": ["b", "a"], "v": ["a"]},
    }
    paths = {name: tmp_path / f"{name}.parquet" for name in lists}
    for name, of in lists.items():
        pq.write_table(table_of(name, of, cold=("c",)), paths[name])
    fused = paths.pop("fused")
    facts = SongTraits(
        song_ids=("a", "b"), groups={"artist": np.array([0, 0])}, plays=np.array([4, 1])
    )
    page = report_of(paths, fused, facts, {"entry": "daily", "run_id": "x1"})
    assert page.startswith("# daily lists, run x1\n\n3 songs for 2 users, 2 different ones.")
    assert "- songs that nobody has played: 0.0%" in page
    assert "- plays of a song: 3.0" in page  # 1 + 4 + 4
    assert "- artists in a list: 1.0" in page
    assert "| `one` | 3 | 3 | 2 |" in page  # b of u is the other's as well
    assert "| `other` | 2 | 1 | 0 |" in page
    assert report_of(paths, fused, facts, {"entry": "daily", "run_id": "x1"}) == page


def test_nobody_gets_anything(tmp_path):
    for name in ("one", "fused"):
        pq.write_table(table_of(name, {}), tmp_path / f"{name}.parquet")
    page = report_of(
        {"one": tmp_path / "one.parquet"},
        tmp_path / "fused.parquet",
        SongTraits(),
        {"entry": "new"},
    )
    assert "0 songs for 0 users" in page
    assert "| `one` | 0 | 0 | 0 |" in page

"""`recall.serving.nightly.report`: what each channel brought, by hand."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from made_candidates import table_of

from audiorec.recall.serving.nightly.promotion import report_of
from audiorec.recall.serving.playlists import LISTS
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


def test_playlists_that_people_made(tmp_path):
    pq.write_table(table_of("fused", {"u": ["b"], "v": ["a"]}), tmp_path / "fused.parquet")
    rows = [("u", 1, "l1", 4, 1, 2), ("u", 2, "l2", 2, 1, 1), ("v", 1, "l2", 2, 1, 0)]
    pq.write_table(
        pa.table(dict(zip(LISTS.names, zip(*rows, strict=True), strict=True)), schema=LISTS),
        tmp_path / "lists.parquet",
    )
    fused, lists = tmp_path / "fused.parquet", tmp_path / "lists.parquet"
    page = report_of({}, fused, SongTraits(), {}, lists)
    assert "## Playlists that people made\n\n2 for 2 users." in page
    assert "- known to the user: 37.5%" in page  # 1 of 4 and 1 of 2
    assert "- proposed to the user: 25.0%" in page  # 2 of 4 and 0 of 2
    pq.write_table(LISTS.empty_table(), lists)
    assert report_of({}, fused, SongTraits(), {}, lists).endswith("0 for 0 users.\n")


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

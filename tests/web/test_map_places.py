"""The map of a library that grows: songs that were there stay, new ones stand by their likes."""

import numpy as np
import pyarrow as pa
import pytest
from made_library import series, song, write_library
from needs import needs

needs("starlette")

from audiorec.library.library import open_store
from audiorec.web.song_columns import SongColumns, audio_of, laid_out

KINDS = np.float32([[4, 0, 0], [0, 4, 0], [0, 0, 4]])


def columns(folder, names, *, ids=None, **settings):
    """A library of songs of three kinds, by the first letters of their names."""
    folder.mkdir(exist_ok=True)
    rows = [
        song(
            (ids or {}).get(name, name),
            series(int(name[1:]), genre=KINDS["jmp".index(name[0])], segments=20, spread=0.5),
            content_hash=f"hash of {name}",
        )
        for name in names
    ]
    rows.sort(key=lambda row: row[0]["song_id"])
    return SongColumns(open_store(write_library(folder, rows)), **{"keeps_map": True, **settings})


def places(shelf):
    return dict(zip(shelf.library.ids, shelf.layout.places.tolist(), strict=True))


OLD = [f"{kind}{n}" for kind in "jmp" for n in range(100, 112)]
NEW = [f"{kind}{n}" for kind in "jmp" for n in range(50, 58)]


def test_songs_that_were_there_do_not_move_at_all_and_new_ones_join_their_kind(tmp_path):
    before = columns(tmp_path / "a", OLD)
    after = columns(tmp_path / "b", sorted(OLD[1:] + NEW), before=before)  # one is gone
    old, now = places(before), places(after)
    assert {name: now[name] for name in OLD[1:]} == {name: old[name] for name in OLD[1:]}
    middles = {k: np.mean([old[n] for n in OLD if n[0] == k], axis=0) for k in "jmp"}
    for name in NEW:
        far = {k: np.linalg.norm(now[name] - middle) for k, middle in middles.items()}
        assert min(far, key=far.get) == name[0]
    assert len({tuple(place) for place in now.values()}) == len(now)


def test_they_stay_over_several_changes_until_the_library_has_doubled(tmp_path):
    first = columns(tmp_path / "a", OLD)
    more = columns(tmp_path / "b", sorted(OLD + NEW), before=first)
    doubled = sorted({*OLD, *NEW, *(f"j{n}" for n in range(10, 10 + 2 * len(OLD) - 60))})
    assert len(doubled) == 2 * len(OLD)
    last = columns(tmp_path / "c", doubled, before=more)
    assert {n: places(last)[n] for n in OLD} == places(first)
    anew = columns(tmp_path / "d", sorted([*doubled, "m1"]), before=last)
    fresh = columns(tmp_path / "e", sorted([*doubled, "m1"]))
    assert places(anew) == places(fresh) != places(first)


def test_nothing_before_is_a_map_of_its_own(tmp_path):
    nothing = columns(tmp_path / "a", [])
    after = columns(tmp_path / "b", OLD, before=nothing)
    assert places(after) == places(columns(tmp_path / "c", OLD))


def test_a_layout_worked_by_hand():
    """Each axis is half as projected and half even; equal values are even by their order."""
    layout = laid_out(pa.array(["a", "b", "c"]), np.array([0, 2]), np.float32([[0, 5], [10, 5]]))
    assert layout.at_first == 2
    assert np.isnan(layout.places[1]).all()
    assert layout.places[[0, 2], 0] == pytest.approx([-1, 1], abs=0.01)
    assert layout.places[[0, 2], 1] == pytest.approx([-1, 0], abs=1e-6)
    assert np.frombuffer(layout.to_bytes(), "<f4").shape == (6,)


def test_they_stay_when_the_page_starts_again_and_when_files_are_renamed(tmp_path):
    first = places(columns(tmp_path / "a", OLD))
    assert places(columns(tmp_path / "a", OLD)) == first
    names = {name: f"moved/{name}" for name in OLD}
    grown = columns(tmp_path / "a", sorted(OLD[1:] + NEW), ids=names)
    now = places(grown)
    assert {n: now[names[n]] for n in OLD[1:]} == {n: first[n] for n in OLD[1:]}
    assert grown.notes == []
    again = places(columns(tmp_path / "a", sorted(OLD[1:] + NEW), ids=names))
    assert again == now  # those that came later stay as well


def test_a_server_that_writes_nothing_reads_the_map(tmp_path):
    shelf = columns(tmp_path / "a", OLD, keeps_map=False)
    first = places(shelf)
    assert not list((tmp_path / "a").glob("*.map-*"))
    columns(tmp_path / "a", OLD[:-2]).layout  # noqa: B018 - kept
    kept = places(columns(tmp_path / "a", OLD[:-2]))
    assert {n: places(columns(tmp_path / "a", OLD, keeps_map=False))[n] for n in kept} == kept
    assert {n: first[n] for n in kept} != kept


def test_without_the_file_a_library_that_lost_songs_is_laid_out_anew(tmp_path):
    first = places(columns(tmp_path / "a", OLD))
    (tmp_path / "a" / "vecs.map-pca.parquet").unlink()
    assert places(columns(tmp_path / "a", OLD[5:])) != {n: first[n] for n in OLD[5:]}


def test_a_map_that_does_not_fit_is_told_of_and_replaced(tmp_path):
    fresh = places(columns(tmp_path / "a", OLD))
    path = tmp_path / "a" / "vecs.map-pca.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    shelf = columns(tmp_path / "a", OLD)
    assert places(shelf) == fresh
    (note,) = shelf.notes
    assert note.startswith(f"{path}: ")
    assert note.endswith("; the songs are laid out anew")
    shelf = columns(tmp_path / "a", OLD)
    assert (places(shelf), shelf.notes) == (fresh, [])


def test_what_cannot_be_written_costs_a_note(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "vecs.map-pca.parquet").symlink_to(tmp_path / "elsewhere")
    shelf = columns(tmp_path / "a", OLD)
    assert np.isfinite(shelf.layout.places).all()
    (note,) = shelf.notes
    assert "is not kept: " in note
    assert not (tmp_path / "elsewhere").exists()


def test_copies_of_one_audio_have_places_of_their_own():
    assert audio_of(pa.array(["b", "a", "b", "b"])).to_pylist() == ["b/0", "a/0", "b/1", "b/2"]
    assert audio_of(pa.array([], pa.string())).to_pylist() == []

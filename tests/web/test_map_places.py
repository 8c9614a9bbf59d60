"""The map of a library that grows: songs that were there stay, new ones stand by their likes."""

import numpy as np
import pytest
from made_library import series, song, write_library
from needs import needs

needs("starlette")

from audiorec.library.library import open_store
from audiorec.web.map_places import laid_out
from audiorec.web.song_columns import SongColumns

KINDS = np.float32([[4, 0, 0], [0, 4, 0], [0, 0, 4]])


def columns(folder, names, **settings):
    """A library of songs of three kinds, by the first letters of their names."""
    folder.mkdir()
    rows = [
        song(
            name,
            series(int(name[1:]), genre=KINDS["jmp".index(name[0])], segments=20, spread=0.5),
        )
        for name in names
    ]
    return SongColumns(open_store(write_library(folder, rows)), **settings)


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
    layout = laid_out("abc", np.array([0, 2]), np.float32([[0, 5], [10, 5]]))
    assert layout.at_first == 2
    assert np.isnan(layout.places[1]).all()
    assert layout.places[[0, 2], 0] == pytest.approx([-1, 1], abs=0.01)
    assert layout.places[[0, 2], 1] == pytest.approx([-1, 0], abs=1e-6)
    assert np.frombuffer(layout.to_bytes(), "<f4").shape == (6,)

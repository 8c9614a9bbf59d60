"""`audiorec_plots.library_map`: every song once, at its place, in its colour."""

from dataclasses import replace

import numpy as np
import pytest
from made_library import series, song, write_library
from needs import needs
from seen_texts import check_texts, seen

needs("audiorec_plots")

from audiorec.errors import InputError, StoreError
from audiorec.search.atlas import project
from audiorec.search.searchable import SearchableStore
from audiorec.types import Status
from audiorec_plots import figures
from audiorec_plots.figures import picture_bytes
from audiorec_plots.library_map import draw_map, hub_counts, library_figure, map_library


def songs(n):
    """Songs of three genres and two versions, in turn."""
    return [
        song(
            f"{i:03}.flac",
            series(
                i,
                genre=tuple(4.0 * (i % 3 == g) for g in range(3)),
                version=(4.0 * (i % 2), 4.0 * ((i + 1) % 2)),
                segments=6,
            ),
            title=f"Song <{i}> $",
        )
        for i in range(n)
    ]


def store_of(folder, rows):
    return SearchableStore.open(write_library(folder, rows))


def offsets(dots):
    return np.asarray(dots.get_offsets())


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    rows = songs(60)
    rows[7][0]["status"] = str(Status.SILENT)
    rows[8][0]["segments"] = 2
    return store_of(tmp_path_factory.mktemp("map"), rows)


def test_a_map_has_every_song_with_its_classes(store):
    found = map_library(store.space("vector"))
    assert len(found) == 60
    assert found.places == pytest.approx(project(store.space("vector").matrix).astype(np.float64))
    assert (found.colour_head, found.marker_head) == ("genre", "version")
    assert found.colour_names == ("jazz", "metal", "pop")
    assert found.colour.tolist() == [i % 3 for i in range(60)]
    assert found.marker.tolist() == [(i + 1) % 2 for i in range(60)]
    assert np.flatnonzero(~found.music).tolist() == [7, 8]
    # 20 of each genre; 7 is metal and vocal, 8 pop and instrumental.
    assert found.counts("genre") == {"jazz": 20, "metal": 19, "pop": 19}
    assert found.counts("version") == {"vocal": 29, "instrumental": 29}


def test_the_axes_say_their_share_of_the_variance(store):
    found = map_library(store.space("vector"))
    units = store.space("vector").matrix.astype(np.float64)
    values = np.linalg.svd(units - units.mean(axis=0), compute_uv=False) ** 2
    assert found.variance == pytest.approx(values[:2] / values.sum(), rel=1e-4)


def test_dots_lie_where_the_songs_do_in_their_colours(store):
    import matplotlib

    found = map_library(store.space("vector"))
    axes = draw_map(found, title="map").axes[0]
    other, vocal, instrumental = axes.collections
    assert offsets(other) == pytest.approx(found.places[~found.music])
    for dots, number in ((vocal, 0), (instrumental, 1)):
        rows = np.flatnonzero(found.music & (found.marker == number))
        assert offsets(dots) == pytest.approx(found.places[rows])
        wanted = [figures.MANY[found.colour[row]] for row in rows]
        assert [matplotlib.colors.to_hex(c).upper() for c in dots.get_facecolor()] == wanted
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["not music  2", "vocal  29", "instrumental  29"]


def test_small_maps_are_the_legend_of_the_colours(store):
    found = map_library(store.space("vector"))
    _, *small = draw_map(found, title="map").axes
    titles = [axes.get_title(loc="left") for axes in small]
    assert titles == ["jazz  20", "metal  19", "pop  19", "not music  2"]
    own = offsets(small[0].collections[1])
    assert own == pytest.approx(found.places[found.music & (found.colour == 0)])
    assert len(offsets(small[0].collections[0])) == 40


def test_names_of_hubs_lie_on_no_other_text(store):
    found = map_library(store.space("vector"))
    assert len(found.hubs) == 3  # one for each genre
    assert {int(found.colour[place]) for place, _ in found.hubs} == {0, 1, 2}
    figure = draw_map(found, title="map")
    check_texts(figure)
    texts = [text.get_text() for text, _ in seen(figure)]
    assert {name for _, name in found.hubs} <= set(texts)


def test_names_that_do_not_fit_are_left_out(store):
    found = map_library(store.space("vector"))
    crowd = tuple((30, f"the same place, number {n}") for n in range(40))
    figure = draw_map(replace(found, hubs=crowd), title="map")
    check_texts(figure)
    named = [text for text, _ in seen(figure) if text.get_text().startswith("the same place")]
    assert 2 <= len(named) <= 8


def test_hubs_by_hand():
    # Three directions near each other, one alone: with ten neighbours all count all others.
    units = np.float32([[1, 0], [0.6, 0.8], [0, 1]])
    assert hub_counts(units).tolist() == [2, 2, 2]
    assert hub_counts(units[:1]).tolist() == [0]
    # Twelve songs on a line of angles: those in the middle are near to the most.
    angles = np.linspace(0, 1, 24)
    counts = hub_counts(np.float32([np.cos(angles), np.sin(angles)]).T)
    assert counts.sum() == 24 * 10
    assert counts[12] > counts[0]


def test_the_same_store_gives_the_same_bytes(store):
    pictures = [picture_bytes(library_figure(store), form) for form in ("svg", "svg", "png")]
    assert pictures[0] == pictures[1]
    assert pictures[2] == picture_bytes(library_figure(store), "png")


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_small_libraries(tmp_path, n):
    small = store_of(tmp_path, songs(n))
    found = map_library(small.space("vector"))
    assert len(found.hubs) == (n if n < 9 else 3)
    figure = draw_map(found, title="few")
    check_texts(figure)
    assert figure.get_suptitle() == f"few  ({n} song{'s' * (n > 1)})"


def test_many_songs_are_pixels_in_an_svg(tmp_path):
    few = map_library(store_of(tmp_path, songs(60)).space("vector"))
    picks = np.random.default_rng(0).integers(0, 60, 30_000)
    names = ("rows", "places", "colour", "marker", "music")
    many = replace(few, **{name: getattr(few, name)[picks] for name in names}, hubs=())
    svg = picture_bytes(draw_map(many, title="many"), "svg")
    assert len(svg) < 2_000_000
    assert b"<image" in svg
    assert b"<image" not in picture_bytes(draw_map(few, title="few"), "svg")


def test_an_empty_library_is_refused(tmp_path):
    with pytest.raises(StoreError, match="no songs"):
        library_figure(store_of(tmp_path, []))


def test_a_projection_that_is_none(store):
    with pytest.raises(InputError, match="unknown projection"):
        library_figure(store, projection="flat")


@pytest.mark.parametrize("projection", ["tsne"])
def test_other_projections(store, projection):
    found = map_library(store.space("vector"), projection=projection, seed=3)
    assert found.variance is None
    assert draw_map(found, title="t").axes[0].get_xlabel() == "t-SNE axis 1"

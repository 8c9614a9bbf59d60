"""Pictures that are older than the program are found; smoothed edges are no difference."""

import io
from pathlib import Path

import numpy as np
import pytest
from needs import needs

needs("matplotlib")
from matplotlib.image import imsave

ROOT = Path(__file__).parents[2]
import pictures


@pytest.fixture
def picture():
    """A picture of 320 by 240 pixels: white, with a black square and a grey line."""
    found = np.ones((240, 320, 3), np.float32)
    found[40:80, 40:80] = 0
    found[120:122] = 0.5
    return found


def test_a_picture_is_like_itself_and_like_one_with_smoother_edges(picture):
    assert pictures.different(picture, picture) == 0
    smooth = (picture + np.roll(picture, 1, axis=0) + np.roll(picture, 1, axis=1)) / 3
    assert np.abs(smooth - picture).max() > 0.3
    assert pictures.different(picture, smooth) == 0


@pytest.mark.parametrize(
    "other",
    [
        lambda picture: np.roll(picture, 24, axis=1),  # the square has moved
        lambda picture: np.clip(picture * [1, 0.8, 0.8], 0, 1),  # in another colour
        lambda picture: picture[:-8],  # of another size
    ],
)
def test_a_picture_of_something_else_differs(picture, other):
    assert pictures.different(picture, other(picture)) > pictures.MOST


def test_small_letters_that_say_something_else_are_seen():
    page = np.ones((800, 1280, 3), np.float32)
    page[600:612, 100:160] = 0.4  # a word: 60 by 12 pixels of a whole page
    assert pictures.different(page, np.ones_like(page)) > pictures.MOST


def test_what_is_missing_changed_or_no_longer_drawn_is_said(tmp_path, picture):
    kept, drawn = tmp_path / "kept", tmp_path / "drawn"
    for folder, names in ((kept, ("same", "old", "left")), (drawn, ("same", "old", "new"))):
        folder.mkdir()
        for name in names:
            imsave(folder / f"{name}.png", picture)
    imsave(drawn / "old.png", 1 - picture)
    assert list(pictures.differences(kept, drawn)) == [
        "left.png: nothing draws it any more",
        "new.png: is missing",
        "old.png: 100.0 % of it is drawn otherwise: draw it again",
    ]


def test_the_commands_of_a_page_are_those_that_draw_its_pictures():
    page = (ROOT / "docs" / "plots.md").read_text()
    found = dict(pictures.plots(page))
    assert set(found) == {"song.png", "compare.png", "library.png"}
    assert found["library.png"] == ["plot", "--size", "@80"]
    assert found["song.png"][:2] == ["plot", "vibe-ace"]


def test_every_picture_of_the_pages_is_drawn_or_said_to_be_measured():
    drawn = {name for name, _ in pictures.plots((ROOT / "docs" / "plots.md").read_text())}
    drawn |= {path.name for path in pictures.PICTURES.glob("page-*")}
    drawn |= {*pictures.MEASURED, *pictures.BY_HAND}
    assert {path.name for path in pictures.PICTURES.iterdir()} == drawn


def test_a_moving_picture_differs_if_one_of_its_steps_does(tmp_path, picture):
    from PIL import Image

    def write(name, *steps):
        stills = []
        for step in steps:
            still = io.BytesIO()
            Image.fromarray((255 * step).astype(np.uint8)).save(still, "PNG")
            stills.append(still.getvalue())
        pictures.write_moving(stills, tmp_path / name)
        return pictures.pixels(tmp_path / name)

    steps = [picture, np.roll(picture, 80, axis=1), 1 - picture]
    moving = write("one.webp", *steps)
    assert moving.shape == (240 * 3 * (1 + pictures.FADES), 320, 3)
    assert pictures.different(moving, write("two.webp", *steps)) == 0
    assert pictures.different(moving, write("three.webp", *steps[:2], picture)) > pictures.MOST
    assert pictures.different(moving, write("four.webp", *steps[:2])) == 1


def test_the_picture_of_the_readme_moves_and_is_light():
    from PIL import Image

    path = pictures.PICTURES / pictures.TOUR
    assert path.stat().st_size < 2_000_000
    with Image.open(path) as picture:
        assert picture.n_frames == 5 * (1 + pictures.FADES)
        assert picture.info["loop"] == 0

"""The model card of the shipped heads: its figures are those that the recipe left."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
import genre_outside_page
import head_card

from audiorec.tagger.heads import OPEN, Head, shipped_head

CARDS = ROOT / "docs" / "model_cards"


@pytest.fixture(scope="module")
def figures():
    return json.loads((CARDS / "head_figures.json").read_text())


def test_the_card_is_what_the_figures_say(figures):
    assert head_card.card(figures) == (CARDS / "heads.md").read_text()
    page = CARDS.parent / "benchmarks" / "genre_outside.md"
    assert genre_outside_page.page(figures["genre"]) == page.read_text()
    assert genre_outside_page.table(figures["genre"]) == page.with_suffix(".csv").read_text()


@pytest.mark.parametrize("edition", ["", OPEN])
@pytest.mark.parametrize("task", ["version", "genre"])
def test_the_figures_are_those_of_the_shipped_head(figures, task, edition):
    figures = json.loads(head_card.OPENED.read_text()) if edition else figures
    kept = Head.load(shipped_head(task, edition)).info["figures"]
    assert kept
    for name, kinds in kept.items():
        for kind, values in kinds.items():
            found = figures[task][name][kind]
            assert {key: found[key] for key in values} == values, (name, kind)


def test_another_figure_is_another_card(figures):
    figures["version"]["groups"]["segments"]["ece"] = 0.5
    assert "0.500" in head_card.card(figures)

"""`audiorec_plots.library_map` and `report`: what is drawn, and what is refused."""

import json

import numpy as np
import pytest
from made_library import series, song, write_library
from needs import needs
from seen_texts import check_texts

needs("audiorec_plots")

from audiorec.errors import DamagedFileError, InputError, ShapeError
from audiorec.library.library import open_store
from audiorec_plots.figures import picture_bytes
from audiorec_plots.library_map import map_library, user_figure
from audiorec_plots.report import correlation_figure, report_figure, report_rows


def document(**channels):
    found = [
        {
            "channel": name,
            "measures": {"recall": {"10": [at, at - 0.1, at + 0.1], "20": [at, at, at]}},
            "gini": 0.5,
            "coverage": None,
        }
        for name, at in channels.items()
    ]
    return {"schema": "audiorec/recall-compare/1", "channels": found}


def test_reports_become_rows():
    one, two = document(popular=0.2, rules=0.4), document(sasrec=0.5)
    rows, k = report_rows([("a.json", one)])
    assert k == 20
    assert list(rows) == ["popular", "rules"]
    rows, _ = report_rows([("a.json", one), ("b.json", two)])
    assert list(rows) == ["popular (a.json)", "rules (a.json)", "sasrec (b.json)"]
    assert rows["sasrec (b.json)"]["recall@20"].value == 0.5


@pytest.mark.parametrize(
    "wrong", [None, [], {}, {"schema": "x"}, {"schema": "audiorec/recall-compare/1"}]
)
def test_what_is_no_report(wrong):
    with pytest.raises(DamagedFileError, match=r"bad\.json"):
        report_rows([("bad.json", wrong)])


def test_lengths_that_are_not_there():
    one, two = document(a=0.2), document(b=0.2)
    two["channels"][0]["measures"]["recall"].pop("20")
    assert report_rows([("a", one), ("b", two)])[1] == 10
    two["channels"][0]["measures"]["recall"].pop("10")
    with pytest.raises(InputError, match="of one length are not in all reports"):
        report_rows([("a", one), ("b", two)])


def test_a_report_is_drawn():
    rows, _ = report_rows([("a.json", document(popular=0.2, rules=0.4))])
    figure = report_figure(rows, title="lists of 20")
    assert [axes.get_title("left") for axes in figure.axes] == ["recall@20", "gini"]
    assert picture_bytes(figure, "svg") == picture_bytes(
        report_figure(rows, title="lists of 20"), "svg"
    )
    with pytest.raises(InputError, match="no figures"):
        report_figure({"a": {}}, title="")


@pytest.fixture
def found(tmp_path):
    rows = [song(f"s{i}", series(i, genre=(3 * (i % 2), 0, 1))) for i in range(12)]
    return map_library(open_store(write_library(tmp_path, rows)).space())


SHARES = [
    {"horizon": h, "kind": "genre", "value": v, "share": s}
    for h, v, s in (("long", "jazz", 0.7), ("short", "jazz", 0.2), ("short", "pop", 0.8))
]


def test_a_user_is_drawn(found):
    plays = np.zeros(12, np.int64)
    plays[[1, 3, 4]] = 5, 1, 2
    figure = user_figure(found, plays, SHARES, title="u$1$")
    assert figure.get_suptitle() == "u$1$  (3 songs, 8 plays)"
    dots = sum(len(c.get_offsets()) for c in figure.axes[0].collections)
    assert dots == 12
    bars = [patch.get_width() for patch in figure.axes[1].patches]
    assert sorted(bars) == [0.0, 0.2, 0.7, 0.8]


def test_a_user_of_other_songs(found):
    with pytest.raises(InputError, match="no song of this store"):
        user_figure(found, np.zeros(12, np.int64), SHARES, title="u")
    with pytest.raises(ShapeError):
        user_figure(found, np.ones(3, np.int64), SHARES, title="u")


def test_json_of_the_command_is_what_is_read():
    rows, _ = report_rows([("a", json.loads(json.dumps(document(a=0.5))))])
    assert rows["a"]["recall@20"].value == 0.5


CORRELATION = {
    "schema": "audiorec/correlation/1",
    "simulated": True,
    "users": 5,
    "share_positive": 0.6,
    "shuffled_completions": {"share_positive": 0.5},
    "histogram": {"edges": [-1, 0, 1], "users": [2, 3], "shuffled": [2.5, 2.5]},
}


def test_a_correlation_is_drawn():
    figure = correlation_figure("r.json", CORRELATION)
    assert figure.get_suptitle() == "5 users"
    (axes,) = figure.axes
    assert [patch.get_height() for patch in axes.patches[:2]] == [2, 3]
    told = "r > 0 for 60.0%, by chance for 50.0%; simulated listening"
    assert axes.get_title("left") == told
    check_texts(figure)
    assert "simulated" not in correlation_figure(
        "r.json", {**CORRELATION, "simulated": False}
    ).axes[0].get_title("left")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"histogram": None}, "no histogram"),
        ({"histogram": {"edges": [0, 1]}}, "no histogram"),
        ({"share_positive": "half"}, "no histogram"),
        ({"histogram": {**CORRELATION["histogram"], "users": [5]}}, "is cut off"),
    ],
)
def test_what_is_no_correlation(wrong, said):
    with pytest.raises(DamagedFileError, match=rf"^r\.json: .*{said}"):
        correlation_figure("r.json", {**CORRELATION, **wrong})

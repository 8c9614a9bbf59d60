"""`recall run --day` on a day that is odd: the exit code, the lines and the record of each."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import run_command
from made_days import moment, write_days

from audiorec.recall.serving.nightly.current import FUSED, read_current

USERS, DAYS, ODD = 40, (1, 2, 3, 4), "2026-01-05"
OURS = '''
from audiorec.recall.simple.counts import Popular

class Ours(Popular):
    """Songs as popular has them."""

    name = "ours"

    def recall(self, *arguments, **options):
        raise ValueError("no songs today")
'''


def rows_of(day, users=USERS):
    """Everybody walks through the songs in order, so rules know the next ones."""
    return [
        (
            f"u{user}",
            f"s{(user * 5 + day * 3 + n) % 60:02}",
            f"2026-01-{day:02} {8 + n:02}:{user:02}",
        )
        for user in range(users)
        for n in range(3)
    ]


def settings(channels=("rules", "popular"), more=""):
    Path("recall.toml").write_text(
        '[recall]\ninteractions = "plays"\nout = "serving"\nk = 10\ndepth = 20\n'
        f"channels = {json.dumps(channels)}\njudge_share = 1.0\n{more}\n"
    )


def add(day, rows):
    """Write one day; `rows` may have times of other days."""
    return write_days(Path("plays"), {f"2026-01-{day:02}": rows})


def add_times(rows, times):
    """Write the odd day with times in milliseconds since 1970, as they are."""
    table = pa.table(
        {
            "user_id": [row[0] for row in rows],
            "song_id": [row[1] for row in rows],
            "timestamp": pa.array(times, pa.timestamp("ms", tz="UTC")),
            "event": ["finish"] * len(rows),
        }
    )
    folder = Path("plays") / f"dt={ODD}"
    folder.mkdir()
    pq.write_table(table, folder / "part-0.parquet")


@pytest.fixture(scope="module")
def three_nights(tmp_path_factory):
    """Give a folder with three nights that were run by the command, and what they printed."""
    home, patch = tmp_path_factory.mktemp("nights"), pytest.MonkeyPatch()
    with patch.context() as here:
        here.chdir(home)
        for day in DAYS:
            add(day, rows_of(day))
        settings()
        yield home


@pytest.fixture
def night(three_nights, tmp_path, monkeypatch, capsys):
    """Run a night by the command, in a copy of the folder; return exit code, stdout, stderr."""

    def run(day=ODD, *more):
        return run_command(
            monkeypatch, capsys, "recall", "run", "-c", "recall.toml", "--day", day, *more
        )

    monkeypatch.chdir(three_nights)
    for day in () if Path("serving").exists() else DAYS[1:]:
        code, _, err = run(f"2026-01-{day:02}", "-q")
        assert (code, "not a record" in err) == (0, False), err
    shutil.copytree(three_nights, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return run


def served():
    return str(read_current("serving").day)


def counts(monkeypatch, capsys):
    """Read the record back by the command."""
    code, out, _ = run_command(monkeypatch, capsys, "runs", "serving", "--json")
    assert code == 0
    return json.loads(out)["counts"]


def test_three_nights_leave_a_record_that_is_read_back(night, monkeypatch, capsys):
    found = counts(monkeypatch, capsys)
    assert (found["served"], found["rows"], found["day_rows"]) == (1, USERS * 10, USERS * 3)
    record = json.loads(Path("serving.run.json").read_text())
    assert [one["exit_code"] for one in record["history"]] == [0, 0, 0]
    code, out, _ = run_command(monkeypatch, capsys, "runs", "serving", "--diff")
    assert (code, "day_rows" in out) == (0, True)


EMPTY = "the log has 0 rows of this day, usually 120"
LATE = [(user, song, "2026-01-04 20:00") for user, song, _ in rows_of(5)]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], EMPTY),
        (rows_of(5)[:11], "the log has 11 rows of this day, usually 120"),
        (LATE, EMPTY),  # all its rows are of the day before
    ],
)
def test_a_day_with_hardly_a_row_is_made_but_not_served(night, monkeypatch, capsys, rows, why):
    add(5, rows)
    code, _, err = night()
    assert code == 3
    assert f"{ODD} is not served: {why}: hit_rate@10 " in err
    assert f"to serve it all the same: audiorec recall promote serving --day {ODD}" in err
    assert served() == "2026-01-04"
    assert (Path("serving") / f"dt={ODD}" / FUSED).is_file()
    assert counts(monkeypatch, capsys)["served"] == 0
    code, out, _ = run_command(monkeypatch, capsys, "recall", "promote", "serving")
    assert out.splitlines()[1].startswith(f"{ODD}\tkept aside\t{why}")
    settings(more="least_rows = 0.0")
    assert night()[0] == 0
    assert served() == ODD


def test_twelve_rows_of_usually_120_are_enough(night):
    add(5, rows_of(5)[:12])
    assert night()[0] == 0


def test_a_day_that_has_not_come_is_waited_for(night):
    code, _, err = night()
    assert code == 2
    assert f"plays: has no data of {ODD}; the newest day is 2026-01-04" in err
    add(5, rows_of(5))
    assert night()[0] == 0
    assert served() == ODD


def test_doubled_rows_and_a_second_delivery_are_said(night, monkeypatch, capsys):
    add(5, [*rows_of(5), *rows_of(5), *rows_of(4)])
    code, _, err = night()
    assert code == 0
    assert "warning: 120 of the 240 rows of the day repeat another one in every column" in err
    assert "warning: 120 rows were delivered twice and count once" in err
    found = counts(monkeypatch, capsys)
    assert (found["doubled"], found["again"], found["served"]) == (120, 120, 1)


def test_a_user_with_more_plays_than_a_day_holds_is_said(night, monkeypatch, capsys):
    start = moment(f"{ODD} 00:00")
    flood = [("robot", f"s{n % 60:02}") for n in range(50_000)]
    times = [start + 1700 * n for n in range(50_000)]
    add_times([*rows_of(5), *flood], [*(moment(row[2]) for row in rows_of(5)), *times])
    code, _, err = night()
    assert code == 0
    assert "warning: one user has 50,000 of the 50,120 rows of the day" in err
    assert "robot" not in err
    assert counts(monkeypatch, capsys)["most_rows"] == 50_000


def test_impossible_times_are_left_out_as_check_and_prepare_leave_them_out(
    night, monkeypatch, capsys
):
    rows = rows_of(5)
    times = [moment(row[2]) for row in rows]
    times[:40] = [0, moment("2031-01-01 00:00")] * 20  # of 1970, and of a day to come
    add_times(rows, times)
    code, _, err = night()
    assert code == 0
    why = "timestamp not between 1973 and 2100 in any unit: 20"
    assert f"warning: 20 rows of the log are left out: {why}\n" in err
    found = counts(monkeypatch, capsys)
    assert (found["unusable"], found["behind"], found["day_rows"]) == (20, 20, 80)
    days = ("--days", f"..{ODD}")
    code, out, _ = run_command(monkeypatch, capsys, "listening", "check", "plays", *days, "--json")
    checked = json.loads(out)
    assert [f"{one['kind']}: {one['count']}" for one in checked["problems"]] == [why]
    assert checked["deliveries"]["behind"] == 20
    settings(more="skip_bad_rows = false")
    shutil.rmtree(f"serving/dt={ODD}")
    code, _, err = night()
    assert code == 4
    assert "20 of 600 rows cannot be used" in err
    assert "skip_bad_rows" in err


def test_a_night_goes_on_without_a_channel_that_fails(night, monkeypatch, capsys):
    add(5, rows_of(5))
    site = Path("site").absolute()
    site.mkdir()
    (site / "ours.py").write_text(OURS)
    monkeypatch.syspath_prepend(str(site))
    settings(["rules", "ours:Ours", "nearest-audio", "popular"])
    code, _, err = night()
    assert code == 3, err
    assert "channel ours failed, and the lists are without it: ValueError: no songs today " in err
    assert "(ours.py, line 10)" in err
    assert "channel nearest-audio failed, and the lists are without it: " in err
    assert "Traceback" not in err
    assert served() == ODD
    record = json.loads(Path(f"serving/dt={ODD}/run.json").read_text())
    assert (record["order"], sorted(record["failed"])) == (
        ["rules", "popular"],
        ["nearest-audio", "ours"],
    )
    assert counts(monkeypatch, capsys)["failed_channels"] == 2
    fused = Path(f"serving/dt={ODD}") / FUSED
    before = fused.read_bytes(), fused.stat().st_mtime_ns
    assert night()[0] == 3  # tried again; nothing else is made again
    assert (fused.read_bytes(), fused.stat().st_mtime_ns) == before
    settings(["rules", "popular"])
    assert night()[0] == 0  # no longer wanted: the same lists
    assert fused.read_bytes() == before[0]


def test_a_required_channel_ends_the_night(night):
    add(5, rows_of(5))
    settings(["rules", "nearest-audio"], 'required = ["nearest-audio"]')
    code, _, err = night()
    assert code == 4
    assert err.splitlines()[-1].startswith("error: channel nearest-audio failed: ")
    assert served() == "2026-01-04"
    settings(["nearest-audio"])
    assert night()[0] == 4  # the only one


def test_a_damaged_table_of_ones_own_is_a_channel_that_fails(night):
    add(5, rows_of(5))
    Path("theirs.csv").write_text("user_id,song_id\nu1\n")
    settings(["rules", "external:theirs.csv"])
    code, _, err = night()
    assert code == 3
    assert "channel external:theirs.csv failed, and the lists are without it: theirs.csv" in err
    assert served() == ODD

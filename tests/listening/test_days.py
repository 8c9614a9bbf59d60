"""Logs in folders of days: which files are read, of which schema, in which order."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_days import ORDINARY, moment, write_days, write_part

from audiorec.errors import InputError, MissingFileError
from audiorec.listening.events import RowsError
from audiorec.listening.interactions import read_interactions
from audiorec.listening.log_files import (
    Days,
    check_day,
    day_starts_s,
    log_fingerprint,
    opened_log,
    parse_day,
    select_days,
)
from audiorec.listening.prepare import PrepareSpec, prepare
from audiorec.listening.reading import read_prepared
from audiorec.listening.sequences import to_sequences

DAYS = {
    "2026-11-24": [("ana", "a", "2026-11-24 09:00"), ("ben", "b", "2026-11-24 10:00")],
    "2026-11-25": [("ana", "c", "2026-11-25 09:00")],
    "2026-11-26": [("ana", "d", "2026-11-26 09:00"), ("ben", "a", "2026-11-26 08:00")],
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOREC_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def plays(tmp_path):
    return write_days(tmp_path / "plays", DAYS)


def songs_of(found):
    """Return the songs of each owner, in their order."""
    return {
        owner: [found.song_ids[song] for song in found[row]]
        for row, owner in enumerate(found.owner_ids)
    }


def lists(place, **chosen):
    return songs_of(to_sequences(read_interactions(place, **chosen)))


def prepared(path, out, *, by="user"):
    prepare(path, out, PrepareSpec(by=by, buckets=3))
    made = read_prepared(out)
    return {
        owner: songs
        for bucket in range(made.n_buckets)
        for owner, songs in songs_of(made.sequences(bucket)).items()
    }


def test_all_days_are_read_in_their_order(plays, tmp_path):
    log = read_interactions(plays)
    assert songs_of(to_sequences(log)) == {"ana": ["a", "c", "d"], "ben": ["b", "a"]}
    assert (log.deliveries.files, log.deliveries.folders, log.deliveries.late) == (3, 3, 0)
    assert prepared(plays, tmp_path / "prepared") == {"ana": ["a", "c", "d"], "ben": ["b", "a"]}


def test_days_are_chosen_by_the_names_of_folders_and_others_are_not_opened(plays):
    for day in ("2026-11-24", "2026-11-26"):
        (plays / f"dt={day}" / "part-00000.parquet").write_bytes(b"no Parquet")
    assert lists(plays, since="2026-11-25", until="2026-11-25") == {"ana": ["c"]}
    assert lists(plays, since=date(2026, 11, 25), until="20261125") == {"ana": ["c"]}
    with pytest.raises(InputError, match=r"dt=2026-11-24/part-00000.parquet"):
        read_interactions(plays, until="2026-11-25")
    with pytest.raises(MissingFileError, match="has days from 2026-11-24 to 2026-11-26, none"):
        read_interactions(plays, since="2026-12-01")
    with pytest.raises(InputError, match="is later than until"):
        read_interactions(plays, since="2026-12-01", until="2026-11-01")


@pytest.mark.parametrize("key", ["dt", "day", "date", "ds"])
def test_the_key_of_the_day_may_stand_on_any_level(tmp_path, key):
    for country, song in (("cn", "x"), ("de", "y")):
        for day in ("2026-11-24", "2026-11-25"):
            rows = [("ana", f"{song}{day[-2:]}", f"{day} 09:00")]
            write_part(tmp_path / "plays", f"country={country}/{key}={day}/hour=09/p.parquet", rows)
    names = [one.name for one in opened_log(tmp_path / "plays").files]
    assert [name.split("/")[0] for name in names] == ["country=cn", "country=de"] * 2
    assert lists(tmp_path / "plays", until="2026-11-24") == {"ana": ["x24", "y24"]}


def test_year_month_and_day_are_a_day(tmp_path):
    for day in (9, 10):
        name = f"year=2026/month=9/day={day}/p.parquet"
        write_part(tmp_path, name, [("ana", f"s{day}", f"2026-09-{day:02} 09:00")])
    assert [one.day for one in opened_log(tmp_path).files] == [date(2026, 9, 9), date(2026, 9, 10)]


def test_what_is_no_data_is_passed_over(plays):
    day = plays / "dt=2026-11-25"
    for name in ("_SUCCESS", "_metadata", ".part-00000.parquet.crc", "p.parquet._COPYING_"):
        (day / name).write_bytes(b"")
    (plays / "_temporary").mkdir()
    (plays / "_temporary" / "half.parquet").write_bytes(b"half")
    assert lists(plays)["ana"] == ["a", "c", "d"]
    (day / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"contains dt=2026-11-25/notes.txt; .* only Parquet"):
        read_interactions(plays)


def test_a_file_beside_days_is_of_none_and_refused(plays):
    write_part(plays, "more.parquet", [("ana", "x", "2026-11-25 09:00")])
    with pytest.raises(InputError, match=r"more.parquet is not in a day folder"):
        read_interactions(plays)


def test_a_folder_without_days_is_read_whole_and_cut_by_time(tmp_path):
    write_part(tmp_path, "a.parquet", [("ana", "a", "2026-11-24 09:00")])
    write_part(tmp_path, "b.parquet", [("ana", "b", "2026-11-26 09:00")])
    assert lists(tmp_path) == {"ana": ["a", "b"]}
    with pytest.raises(InputError, match="has no day folders"):
        read_interactions(tmp_path, until="2026-11-25")
    one = tmp_path / "b.parquet"
    with pytest.raises(InputError, match="is a single file"):
        read_interactions(one, since="2026-11-25")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match="is a folder without Parquet files"):
        read_interactions(tmp_path / "empty")


def test_one_file_is_cut_at_the_end_of_a_day(tmp_path):
    rows = [("ana", f"s{n}", f"2026-11-{n} 23:00") for n in (24, 25, 26)]
    path = write_part(tmp_path, "plays.parquet", rows)
    log = read_interactions(path, until="2026-11-25")
    assert songs_of(to_sequences(log)) == {"ana": ["s24", "s25"]}
    assert (log.deliveries.behind, log.rows_read) == (1, 3)
    # 23:00 in UTC is the next day eight hours to the east.
    assert lists(path, until="2026-11-25", utc_offset="+08:00") == {"ana": ["s24"]}
    text = "user_id,song_id,timestamp,event\nana,a,1764025200,finish\nana,b,1764111600,finish\n"
    (tmp_path / "plays.csv").write_text(text)  # seconds: 2025-11-24 and 2025-11-25, 23:00
    assert lists(tmp_path / "plays.csv", until="2025-11-24") == {"ana": ["a"]}


def test_late_rows_take_their_place_in_time_and_are_counted(plays, tmp_path):
    late = [("ana", "late", "2026-11-24 23:00"), ("ana", "ahead", "2026-11-27 01:00")]
    write_part(plays, "dt=2026-11-26/part-00001.parquet", late)
    log = read_interactions(plays)
    whole = {"ana": ["a", "late", "c", "d", "ahead"], "ben": ["b", "a"]}
    assert songs_of(to_sequences(log)) == whole
    assert (log.deliveries.late, log.deliveries.ahead, log.deliveries.behind) == (1, 1, 0)
    assert prepared(plays, tmp_path / "prepared") == whole
    log = read_interactions(plays, until="2026-11-26")
    assert songs_of(to_sequences(log))["ana"] == ["a", "late", "c", "d"]
    assert (log.deliveries.late, log.deliveries.ahead, log.deliveries.behind) == (1, 0, 1)


def test_a_row_that_was_delivered_twice_counts_once(plays, tmp_path):
    again = [("ana", "c", "2026-11-25 09:00"), ("ana", "c", "2026-11-25 09:00", "finish", 0.9)]
    write_part(plays, "dt=2026-11-26/part-00001.parquet", again)
    log = read_interactions(plays)
    assert songs_of(to_sequences(log))["ana"] == ["a", "c", "c", "d"]  # another ratio: another row
    assert log.deliveries.again == 1
    assert prepared(plays, tmp_path / "prepared")["ana"] == ["a", "c", "c", "d"]


def test_rows_of_one_folder_count_as_they_stand(tmp_path):
    twice = [("ana", "a", "2026-11-24 09:00")] * 2
    write_days(tmp_path, {"2026-11-24": twice, "2026-11-25": twice})
    assert lists(tmp_path) == {"ana": ["a", "a"]}
    assert read_interactions(tmp_path).deliveries.again == 2


def test_an_older_and_a_newer_schema_are_read_together(tmp_path):
    number = pa.field("timestamp", pa.int64())
    older = [ORDINARY.field("user_id"), ORDINARY.field("song_id"), number, ORDINARY.field("event")]
    rows = [("7", "a", "2026-11-24 09:00")]
    write_part(tmp_path, "dt=2026-11-24/p.parquet", rows, pa.schema(older))
    newer = pa.table(
        {
            "user_id": pa.array([7], pa.int32()),
            "song_id": pa.array(["b"]).dictionary_encode(),
            "timestamp": pa.array([moment("2026-11-25 10:00") * 1000], pa.timestamp("us")),
            "event": pa.array(["finish"], pa.large_string()),
            "played_ratio": pa.array([1], pa.int64()),
            "session_id": pa.nulls(1),
            "device": pa.array([{"name": "phone"}]),
        }
    )
    (tmp_path / "dt=2026-11-25").mkdir()
    pq.write_table(newer, tmp_path / "dt=2026-11-25" / "p.parquet")
    log = read_interactions(tmp_path)
    assert songs_of(to_sequences(log)) == {"7": ["a", "b"]}
    assert log.timestamp.tolist() == [
        moment("2026-11-24 09:00") / 1000,
        moment("2026-11-25 10:00") / 1000,
    ]


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("played_ratio", ["1.0"], "column 'played_ratio' holds string, expected numbers"),
        ("timestamp", [True], "column 'timestamp' holds bool, expected times"),
        ("user_id", [1.5], "column 'user_id' holds double, expected text or whole numbers"),
        ("event", [1], "column 'event' holds int64, expected one of play"),
    ],
)
def test_a_column_of_a_wrong_type_names_the_file(plays, column, values, message):
    path = write_part(plays, "dt=2026-11-27/p.parquet", [("ana", "a", "2026-11-27 09:00")])
    table = pq.read_table(path, partitioning=None)
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, column, pa.array(values)), path)
    with pytest.raises(InputError, match=rf"p.parquet: cannot be read: {message}"):
        read_interactions(plays)


def test_a_row_that_cannot_be_used_is_named_by_its_file(plays):
    rows = [("ana", "x", "2026-11-27 09:00"), ("", "y", "2026-11-27 09:00")]
    write_part(plays, "dt=2026-11-27/p.parquet", rows)
    with pytest.raises(RowsError, match=r"plays: 1 of 7 rows .* \(2 of dt=2026-11-27/p.parquet\)"):
        read_interactions(plays)
    problem = read_interactions(plays, skip_bad_rows=True).problems[0]
    assert (problem.rows, problem.file) == ((2,), "dt=2026-11-27/p.parquet")


def test_a_key_of_a_folder_is_a_column_where_the_file_has_none(tmp_path):
    names = ["user_id", "song_id", "timestamp"]
    for event in ("finish", "skip"):
        name = f"event={event}/dt=2026-11-24/p.parquet"
        schema = pa.schema([ORDINARY.field(name) for name in names])
        write_part(tmp_path, name, [("ana", event, "2026-11-24 09:00")], schema)
    log = read_interactions(tmp_path)
    assert songs_of(to_sequences(log)) == {"ana": ["finish"]}
    assert len(log) == 2


def test_the_fingerprint_is_of_the_days_that_are_read(plays):
    until = Days(until=date(2026, 11, 25))
    before = log_fingerprint(select_days(plays, until))
    whole = log_fingerprint(plays)
    write_part(plays, "dt=2026-11-27/p.parquet", [("ana", "x", "2026-11-27 09:00")])
    assert log_fingerprint(select_days(plays, until)) == before
    assert log_fingerprint(plays) != whole
    write_part(plays, "dt=2026-11-25/q.parquet", [("ana", "x", "2026-11-25 09:00")])
    assert log_fingerprint(select_days(plays, until)) != before


def test_midnights_are_where_the_offset_says(plays):
    write_part(plays, "dt=2026-11-25/q.parquet", [("ana", "x", "2026-11-24 17:00")])
    assert read_interactions(plays).deliveries.late == 1
    log = read_interactions(plays, utc_offset="+08:00")
    assert (log.deliveries.late, log.deliveries.ahead) == (0, 0)
    one = write_part(plays.parent, "one.parquet", [("ana", "x", "2026-11-24 17:00")])
    assert log_fingerprint(select_days(one, Days(utc_offset="+08:00"))) == log_fingerprint(one)


def test_a_day_that_has_not_come_is_an_error(plays):
    check_day(plays, date(2026, 11, 25))
    with pytest.raises(MissingFileError, match=r"no data of 2026-11-27; the newest day is 2026-11"):
        check_day(plays, date(2026, 11, 27))


def test_days_and_offsets_are_checked():
    assert day_starts_s(parse_day("2026-11-25"), "-03:30") == moment("2026-11-25 03:30") / 1000
    for text in ("2026-13-01", "yesterday", "2026-1-1", "2026-11-25T00"):
        with pytest.raises(InputError, match="must be written as 2026-11-25"):
            parse_day(text)
    for text in ("8", "+25:00", "+08:75", "UTC"):
        with pytest.raises(InputError, match="must be written as"):
            Days(utc_offset=text)


TYPES = {
    "user_id": [pa.string(), pa.large_string(), pa.int32(), pa.int64(), "dictionary"],
    "song_id": [pa.string(), pa.large_string(), "dictionary"],
    "event": [pa.string(), pa.large_string(), "dictionary"],
    "timestamp": [
        pa.timestamp("us", tz="UTC"),
        pa.timestamp("us"),
        pa.timestamp("ns", tz="Asia/Shanghai"),
        pa.timestamp("ms", tz="UTC"),
        pa.int64(),
    ],
    "played_ratio": [pa.float32(), pa.float64(), None],
}
plays_of_a_log = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from("abcd"), st.integers(0, 190)),
    min_size=1,
    max_size=30,
    unique=True,
)


def in_types(table, draw, *, may_lack):
    """Return a table in a schema of its own, with columns in another order."""
    columns = {}
    for name in draw(st.permutations(list(TYPES))):
        all_of_it = may_lack or name != "played_ratio"
        kind = draw(st.sampled_from(TYPES[name] if all_of_it else TYPES[name][:2]))
        if kind is None:
            continue
        column = table.column(name).combine_chunks()
        columns[name] = column.dictionary_encode() if kind == "dictionary" else column.cast(kind)
    if draw(st.booleans()):
        columns["device"] = pa.nulls(len(table), pa.binary())
    return pa.table(columns)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_log_in_days_of_any_schema_is_the_log_in_one_file(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("days")
    rows = data.draw(plays_of_a_log)
    start = moment("2026-11-20 00:00")
    whole = pa.table(
        {
            "user_id": pa.array([str(user) for user, _, _ in rows]),
            "song_id": pa.array([song for _, song, _ in rows]),
            "timestamp": pa.array([start + hour * 3_600_000 for _, _, hour in rows]).cast(
                pa.timestamp("ms", tz="UTC")
            ),
            "event": pa.array(["finish"] * len(rows)),
            "played_ratio": pa.array([1.0] * len(rows), pa.float32()),
        }
    )
    # A row comes on its day or later, perhaps in two of them.
    came = [data.draw(st.sets(st.integers(0, 2), min_size=1, max_size=2)) for _ in rows]
    once = all(len(one) == 1 for one in came)  # what lacks a column is not the same row
    days = [hour // 24 for _, _, hour in rows]
    order: list[int] = []
    for day in range(max(days) + 3):
        there = [n for n in range(len(rows)) if any(days[n] + later == day for later in came[n])]
        order += [n for n in there if n not in order]
        if there:
            (folder / "log" / f"dt=2026-11-{20 + day}").mkdir(parents=True)
            part = in_types(whole.take(pa.array(there)), data.draw, may_lack=once)
            pq.write_table(part, folder / "log" / f"dt=2026-11-{20 + day}" / "p.parquet")
    pq.write_table(whole.take(pa.array(order)), folder / "one.parquet")
    one = to_sequences(read_interactions(folder / "one.parquet"))
    log = read_interactions(folder / "log")
    found = to_sequences(log)
    assert (found.owner_ids, found.song_ids) == (one.owner_ids, one.song_ids)
    np.testing.assert_array_equal(found.song, one.song)
    np.testing.assert_array_equal(found.time, one.time)
    assert log.deliveries.again == sum(len(one) for one in came) - len(rows)
    assert log.rows_read == sum(len(one) for one in came)
    assert prepared(folder / "log", folder / "prepared") == songs_of(one)
    assert pc.count(whole.column("song_id")).as_py() == len(log)

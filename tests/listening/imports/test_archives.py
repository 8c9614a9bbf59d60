"""`listening.imports.archives`: zips however they are packed, and one line for what is damaged."""

import io
import json
import os
import zipfile

import made_exports as made
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import DamagedFileError, InputError
from audiorec.listening.imports.archives import Broken, array_rows, json_rows, line_rows
from audiorec.listening.imports.importing import import_history

NAME = "endsong_0.json"
METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
STREAMS = json.dumps(
    [made.stream("2024-03-01T12:00:15Z", 15_000, "A", f"song {n}") for n in range(400)]
).encode()
SIX = json.dumps([{"n": n} for n in range(6)]).encode()


def packed(method):
    with zipfile.ZipFile(memory := io.BytesIO(), "w", method) as archive:
        archive.writestr(NAME, STREAMS)
    return memory.getvalue()


@pytest.mark.parametrize("method", METHODS)
def test_a_zip_is_read_however_it_is_packed_and_damage_is_one_line(tmp_path, method):
    path, out = tmp_path / "export.zip", tmp_path / "plays.parquet"
    path.write_bytes(whole := packed(method))
    assert import_history("spotify", [path], out).plays == 400
    before = {one: one.stat().st_mtime_ns for one in tmp_path.glob("plays*")}
    middle = bytearray(whole)
    at = len(whole) // 2 if method == zipfile.ZIP_STORED else 60
    middle[at] ^= 0xFF
    for damaged in (bytes(middle), whole[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(DamagedFileError, match=r"export\.zip") as caught:
            import_history("spotify", [path], out)
        assert "\n" not in str(caught.value)
    assert {one: one.stat().st_mtime_ns for one in tmp_path.glob("*plays*")} == before


@pytest.mark.parametrize(
    ("place", "value", "says"), [("flags", 1, "is encrypted"), ("method", 9, "not supported")]
)
def test_a_zip_that_python_cannot_unpack_says_what_to_do(tmp_path, place, value, says):
    content = bytearray(packed(zipfile.ZIP_DEFLATED))
    for head, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # each place is in both headers
        content[content.index(head) + at + (2 if place == "method" else 0)] = value
    path = tmp_path / "export.zip"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{says}.*; unpack it, and give the folder"):
        import_history("spotify", [path], tmp_path / "plays.parquet")


def test_a_pipe_called_zip_is_refused_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "export.zip")
    with pytest.raises(InputError, match="is not a file"):
        import_history("spotify", [tmp_path / "export.zip"], tmp_path / "plays.parquet")


VALUES = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 1, 2]))
def test_the_first_array_of_a_text_is_read_value_by_value(values, indent):
    text = json.dumps({"a [ in a text": '\\"[', "rows": values}, indent=indent).encode()
    assert list(json_rows(io.BytesIO(text))) == list(enumerate(values, start=1))


@given(st.integers(0, len(SIX) - 1))
def test_an_array_that_is_cut_is_an_error_that_names_the_row(length):
    found = []
    with pytest.raises(InputError, match=r"holds no JSON array|is damaged or cut off .* row \d"):
        found.extend(array_rows(io.BytesIO(SIX[:length])))
    assert found == [(n, {"n": n - 1}) for n in range(1, SIX[:length].count(b"}") + 1)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SIX.replace(b'"n": 3', b'"n: 3'), "at row 4: "),
        (SIX.replace(b"}, {", b"} {"), "behind row 1"),
        (SIX + b"[1]", "goes on behind row 6"),
        (b"[1, " + b"[" * 5_000 + b"]" * 5_000 + b"]", "row 2: it is nested too deeply"),
        (b"[1, " + b"9" * 5_000 + b"]", "at row 2: "),
        (b"{}", "holds no JSON array"),
    ],
)
def test_damage_is_one_error_with_file_and_row(tmp_path, text, says):
    (tmp_path / NAME).write_bytes(text)
    with pytest.raises(DamagedFileError, match=rf"endsong_0\.json: .*{says}"):
        import_history("spotify", [tmp_path / NAME], tmp_path / "plays.parquet")
    assert [one.name for one in tmp_path.iterdir()] == [NAME]


def test_lines_that_are_broken_are_one_row_each():
    lines = b'{"a": 1}\n\n{"a": \n[2]\n\xff\n{"c": 3}'
    found = list(line_rows(io.BytesIO(lines)))
    assert [row for row, _ in found] == [1, 3, 4, 5, 6]
    assert [one for _, one in found if not isinstance(one, Broken)] == [{"a": 1}, [2], {"c": 3}]


def test_a_user_that_is_nested_without_end_names_nobody(tmp_path):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "user.json").write_text('{"user_name":' + "[" * 60_000)
    listen = json.dumps(made.listen(made.NOON, "A", "B"))
    (tmp_path / "export" / "1.jsonl").write_text(listen)
    found = import_history("listenbrainz", [tmp_path / "export"], tmp_path / "plays.parquet")
    assert (found.plays, found.users) == (1, 1)

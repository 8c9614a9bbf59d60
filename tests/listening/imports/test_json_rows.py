"""`listening.imports.archives`: what broken JSON costs."""

import io
import json
import time

import pytest

from audiorec.listening.imports import archives
from audiorec.listening.imports.archives import Broken, array_rows
from audiorec.listening.imports.job import import_history

CELL = 1 << 15
BROKEN = {
    "objects without a value": b'{"a":},' * CELL,
    "numbers that go on as words": b'{"a":1x},' * CELL,
    "lists within lists, and no end": (b'{"a":[{},' * 400 + b"{}," * 2_000 + b"!},") * 40,
    "lists within lists, far apart": (b'{"a":[{},' + b" " * 1_000) * 500,
    "texts without an end": b'{"a:},' * CELL,
    "numbers too long for Python": (b'{"a":' + b"1" * 5_000 + b"},") * 60,
    "zeros": b"0," * (4 * CELL),
    "quotes": b'"' * (8 * CELL + 1),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_text_costs_what_its_length_does(name):
    """Time is that of this process alone; it must not grow with the square of the length."""
    start = time.process_time()
    for _ in array_rows(io.BytesIO(b"[" + BROKEN[name])):
        pass
    once = time.process_time() - start
    start = time.process_time()
    for _ in array_rows(io.BytesIO(b"[" + 4 * BROKEN[name])):
        pass
    assert time.process_time() - start < 8 * once + 1


def test_values_behind_damage_are_found_until_too_much_was_parsed_in_vain(monkeypatch):
    text = b'[{"a":[{"b":1},{"b":2},{"b":3},!, {"b":4}, {"b":5}]'
    good = [{"b": 2}, {"b": 3}]
    found = [value for _, value in array_rows(io.BytesIO(text))]
    assert [one for one in found if not isinstance(one, Broken)] == [*good, {"b": 5}]
    monkeypatch.setattr(archives, "MOST_AGAIN", 10)
    found = [value for _, value in array_rows(io.BytesIO(text))]
    assert [one for one in found if not isinstance(one, Broken)] == [{"b": 5}]
    assert found[0] == Broken("is cut off or no JSON", '{"a":[{"b":1},{"b":2},{"b":3},!, {"b":4}')


def test_the_next_object_is_found_however_far_it_is():
    text = b'[{"a":1},{"a":!' + b"x" * (1 << 20) + b'},\n {"a":3},{"a":4' + b" " * (1 << 20) + b"}]"
    found = list(array_rows(io.BytesIO(text)))
    assert [row for row, _ in found] == [1, 2, 3, 4]
    assert [value for _, value in found if not isinstance(value, Broken)] == [
        {"a": 1},
        {"a": 3},
        {"a": 4},
    ]
    assert found[1][1].content.startswith('{"a":!xxx')
    assert len(found[1][1].content) == 4096


@pytest.mark.parametrize("kind", ["lastfm", "spotify", "listenbrainz"])
@pytest.mark.parametrize("depth", [100, 900, 960, 5_000])
def test_values_nested_deeply_are_rows_set_aside(tmp_path, kind, depth):
    path = tmp_path / "a.json"
    nested = "[" * depth + "]" * depth
    good = {"artist": "A", "track": "B", "date": "1709294400", "ts": "2024-03-01T12:00:00Z"}
    good |= {"listened_at": 1709294400, "ms_played": 1, "master_metadata_track_name": "B"}
    good |= {"master_metadata_album_artist_name": "A"}
    good |= {"track_metadata": {"artist_name": "A", "track_name": "B"}}
    path.write_text(f'[{{"recenttracks":{{"track":{nested}}}}},\n {json.dumps(good)}]')
    found = import_history(kind, [path], tmp_path / "plays.parquet")
    assert found.plays == 1

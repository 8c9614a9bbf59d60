"""An ``audiorec.toml`` that lies in a folder of music is not read."""

import json
from pathlib import Path

import pytest
from command import run_command
from made_library import series, song, write_library


@pytest.mark.parametrize(
    "planted", ["[similar]\nk = 2\n", '[similar]\nm3u8 = "planted.m3u8"\n', "not TOML"]
)
def test_a_file_in_the_current_folder_is_not_read(planted, tmp_path, monkeypatch, capsys):
    write_library(tmp_path, [song(f"{n}.flac", series(n)) for n in range(4)])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("AUDIOREC_CONFIG")
    monkeypatch.chdir(tmp_path)
    Path("audiorec.toml").write_text(planted)
    before = sorted(map(str, tmp_path.iterdir()))
    command = ("similar", "0.flac", "--minimum", "-1", "--json")
    code, out, err = run_command(monkeypatch, capsys, *command)
    assert code == 0, err
    assert len(json.loads(out)["songs"]) == 3
    assert "audiorec.toml" not in err
    assert sorted(map(str, tmp_path.iterdir())) == before

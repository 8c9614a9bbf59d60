"""An ``audiorec.toml`` that lies in a folder of music changes nothing until somebody trusts it.

And then it still writes, deletes, loads and connects to nothing.
"""

import json
import os
from functools import partial
from pathlib import Path

import pytest
from command import run_command
from made_library import series, song, write_library

PLANTS = {
    "writes": '[similar]\nm3u8 = "planted.m3u8"\n',
    "writes a log": '[extract]\nlog-json = "/tmp/planted.log"\n',
    "deletes": "[extract]\nprune = true\n",
    "begins anew": "[extract]\noverwrite = true\n",
    "loads a head": '[similar]\nhead = ["evil.safetensors"]\n',
    "loads models": '[recommend]\nmodels = "models"\n',
    "listens": '[browse]\nhost = "0.0.0.0"\n',
    "shows the disk": '[browse]\nroot = ["/"]\n',
    "reads elsewhere": '[extract]\nfrom = "s3://bucket/list.csv"\n',
    "follows links": "[extract]\nfollow-links = true\n",
    "takes all memory": '[extract]\nset = ["memory=1000000"]\n',
    "hands on settings": '[recall.run]\nconfig = "theirs.toml"\n',
    "of all commands": 'out = "planted.parquet"\n',
}


@pytest.fixture
def music(tmp_path, monkeypatch):
    """A folder with a store, and a user who has no settings yet."""
    folder = tmp_path / "music"
    folder.mkdir()
    write_library(folder, [song(f"{n}.flac", series(n)) for n in range(4)])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("AUDIOREC_CONFIG")
    monkeypatch.delenv("AUDIOREC_VECTORS", raising=False)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def audiorec(monkeypatch, capsys):
    """Run the command in this process; return exit code, stdout and stderr."""
    return partial(run_command, monkeypatch, capsys)


def found(audiorec):
    code, out, err = audiorec("similar", "0.flac", "--minimum", "-1", "--json")
    assert code == 0, err
    return len(json.loads(out)["songs"]), err


@pytest.mark.parametrize("plant", PLANTS)
def test_what_acts_is_refused_even_to_be_trusted(plant, music, audiorec):
    Path("audiorec.toml").write_text(PLANTS[plant])
    before = sorted(map(str, Path().iterdir()))
    assert found(audiorec)[0] == 3
    code, out, err = audiorec("config", "--trust", ".")
    assert (code, out) == (2, "")
    assert "may not set this" in err or "would apply to all commands" in err
    assert found(audiorec)[0] == 3
    assert sorted(map(str, Path().iterdir())) == before
    assert not (music.parent / "config").exists()


def test_it_counts_after_trust_and_not_after_a_change(music, audiorec):
    file = Path("audiorec.toml")
    file.write_text("[similar]\nk = 2\n")
    assert found(audiorec) == (3, pytest.approx(found(audiorec)[1]))
    assert "./audiorec.toml is not trusted and was not read" in found(audiorec)[1]
    assert audiorec("config", "--trust", ".")[0] == 0
    assert found(audiorec)[0] == 2
    file.write_text("[similar]\nk = 1\n")
    count, err = found(audiorec)
    assert count == 3
    assert "changed since it was trusted" in err
    file.write_text("[similar]\nk = 2\n")
    assert found(audiorec)[0] == 2
    assert audiorec("config", "--revoke", ".")[0] == 0
    assert found(audiorec)[0] == 3


def test_trust_is_of_one_folder(music, audiorec, tmp_path, monkeypatch):
    Path("audiorec.toml").write_text("[similar]\nk = 2\n")
    assert audiorec("config", "--trust", str(music))[0] == 0
    deeper = music / "deeper"
    deeper.mkdir()
    write_library(deeper, [song(f"{n}.flac", series(n)) for n in range(4)])
    monkeypatch.chdir(deeper)
    assert found(audiorec)[0] == 3  # a file in a folder above does not speak here
    (deeper / "audiorec.toml").write_bytes((music / "audiorec.toml").read_bytes())
    assert found(audiorec)[0] == 3


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "large", "not UTF-8"])
def test_what_is_no_file_is_not_read(kind, music, audiorec, tmp_path):
    file = Path("audiorec.toml")
    if kind == "link":
        (tmp_path / "away.toml").write_text("[similar]\nk = 1\n")
        file.symlink_to(tmp_path / "away.toml")
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "large":
        file.write_bytes(b"#" * (2 << 20))
    else:
        file.write_bytes(b"\xff\xfe")
    assert found(audiorec)[0] == 3
    code, _, err = audiorec("config", "--trust", ".")
    assert code == 4
    assert len(err.splitlines()) == 1
    assert found(audiorec)[0] == 3


def test_a_table_of_trust_that_was_changed_trusts_nothing(music, audiorec, tmp_path):
    Path("audiorec.toml").write_text("[similar]\nk = 2\n")
    assert audiorec("config", "--trust", ".")[0] == 0
    kept = tmp_path / "config" / "audiorec" / "trusted.json"
    assert kept.parent.stat().st_mode & 0o077 == 0
    content = json.loads(kept.read_text())
    content["files"] = dict.fromkeys(content["files"], "0" * 64)
    kept.write_text(json.dumps(content))
    code, _, err = audiorec("similar", "0.flac")
    assert code == 4
    assert "trusted.json: cannot be read" in err

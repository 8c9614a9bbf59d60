"""`audiorec federated`: settings of a party, keys, what an alignment would do, and mistakes."""

import json
import re
import stat
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from needs import needs

from audiorec.errors import InputError
from audiorec_federated import alignment
from audiorec_federated.keys import make_keys, read_certificate
from audiorec_federated.plan import PartyPlan

MUSIC = """[federated]
role = "music"
keys = "keys"
peer = "partner.pem"
address = "127.0.0.1:7443"
interactions = "plays.csv"
budget = { least_users = 1 }
"""
PARTNER = """[federated]
role = "partner"
keys = "keys"
peer = "music.pem"
address = "127.0.0.1:7443"
profiles = "profiles.csv"
budget = { least_users = 1 }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A party's folder with settings of both roles, a log and profiles."""
    rows = [f"{user},s{n},2024-01-01T00:00:0{n}Z,finish" for user in ("u1", "u2 ") for n in (1, 2)]
    (tmp_path / "plays.csv").write_text("\n".join(["user_id,song_id,timestamp,event", *rows]))
    (tmp_path / "profiles.csv").write_text("user_id,taste\nu1,rock\nu9,jazz\n")
    (tmp_path / "music.toml").write_text(MUSIC)
    (tmp_path / "partner.toml").write_text(PARTNER)
    make_keys(tmp_path / "keys")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_keys_are_made_and_the_fingerprint_is_read_out(folder, audiorec):
    (folder / "music.toml").write_text(MUSIC.replace('keys = "keys"', 'keys = "k"'))
    code, out, err = audiorec("federated", "align", "-c", "music.toml", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert re.fullmatch(r"([0-9a-f]{4} ){15}[0-9a-f]{4}", found["fingerprint"])
    assert found["certificate"] == "k/certificate.pem"
    assert stat.S_IMODE((folder / "k" / "key.pem").stat().st_mode) == 0o600
    assert b"BEGIN CERTIFICATE" in read_certificate(folder / "k" / "certificate.pem")
    assert "PRIVATE" not in out + err
    made = (folder / "k" / "key.pem").read_bytes()
    code, out, _ = audiorec("federated", "align", "-c", "music.toml", "--json")
    assert (code, "certificate" in json.loads(out)) == (0, False)
    (folder / "k" / "certificate.pem").unlink()
    assert audiorec("federated", "align", "-c", "music.toml")[0] == 0
    assert (folder / "k" / "key.pem").read_bytes() == made  # never replaced
    with pytest.raises(InputError, match="has a key already"):
        make_keys(folder / "k")


def test_an_alignment_says_what_it_would_do_and_sends_nothing(folder, audiorec):
    code, out, err = audiorec("federated", "align", "-c", "music.toml", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["ids"], found["buckets"]) == (2, 1)
    assert "which of its users the other side has" in found["learns"]
    assert "caution: each side learns" in err
    assert "nothing was sent; add --yes to run it" in err
    assert not (folder / "aligned.parquet").exists()


@pytest.mark.parametrize(
    ("text", "ids"),
    [("u1\n u2\nu2\n\n", 2), ("u1\r\nu3\r\n", 2)],
    ids=["equal ones", "lines of another system"],
)
def test_ids_may_be_a_list(text, ids, folder, audiorec):
    (folder / "members.txt").write_bytes(text.encode())
    (folder / "music.toml").write_text(f'{MUSIC}ids = "members.txt"\n')
    code, out, _ = audiorec("federated", "align", "-c", "music.toml", "--json")
    assert code == 0
    assert json.loads(out)["ids"] == ids


def test_ids_may_be_a_table(folder, audiorec):
    (folder / "ids.csv").write_text("user_id,name\n007,a\n8,b\n007,c\n")
    (folder / "music.toml").write_text(f'{MUSIC}ids = "ids.csv"\n')
    _, out, _ = audiorec("federated", "align", "-c", "music.toml", "--json")
    found = json.loads(out)
    assert (found["ids"], found["merged"]) == (2, 1)
    (folder / "ids.csv").write_text('user_id\n7\n"  "\n')
    code, _, err = audiorec("federated", "align", "-c", "music.toml")
    assert code == 2
    assert "is empty without its white space" in err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('address = "127.0.0.1"', "address must be host:port"),
        ('address = "127.0.0.1:99999"', "address must be host:port"),
        ('role = "boss"', "role must be"),
        ('modell = "mmoe"', "unknown setting 'modell'"),
        ('model = "dssm"', "model must be"),
        ("jobs = 0", "jobs must be at least 1"),
        ("timeout_s = 0", "timeout_s must be above 0"),
        ("recipe = { dimension = 0 }", "dimension must be at least 1"),
        ("recipe = { dimensions = 8 }", "unknown setting 'dimensions'"),
        ("defence = { noise = -1 }", "noise must be at least 0, got -1"),
        ("budget = { epsilon = -1 }", "epsilon must be at least 0, got -1"),
        ("budget = { delta = 0 }", "delta must be in (0, 1), got 0"),
    ],
)
def test_settings_that_do_not_do_are_refused_by_name(line, said, folder):
    name = line.partition(" ")[0]
    kept = [one for one in MUSIC.splitlines() if not one.startswith(f"{name} ")]
    (folder / "music.toml").write_text("\n".join([*kept, line]))
    with pytest.raises(InputError, match=re.escape(said)):
        PartyPlan.read(folder / "music.toml")


MISTAKES = [
    ("train -c music.toml", 2, r"aligned\.parquet: no such file; align with the other party"),
    ("release -c music.toml -o out", 2, "give --epsilon at the music side, or --from"),
    ("release -c partner.toml --epsilon 1 -o out", 2, "give --epsilon at the music side"),
    ("release -c music.toml --epsilon 1 -o out", 2, r"`budget` of \[federated\] in music\.toml"),
    ("release -c partner.toml --from nowhere -o out", 2, "nowhere: no such folder"),
    ("audit -c partner.toml", 2, "model: no such folder"),
    ("audit -c music.toml", 2, "the music side sends no vectors: give the partner's settings"),
    ("align -c partner.toml --yes", 2, r"music\.pem: no such file; .* sends its certificate"),
]


@pytest.mark.parametrize(("line", "code", "said"), MISTAKES)
def test_a_mistake_is_one_line(line, code, said, folder, audiorec):
    needs("torch")
    found, out, err = audiorec("federated", *line.split())
    assert (found, out) == (code, "")
    told = [one for one in err.splitlines() if one.startswith("error: ")]
    assert len(told) == 1
    assert re.search(said, told[0]), told
    assert not (folder / "model.run").exists()


def test_a_release_without_a_budget_gives_the_line_that_allows_it(folder, audiorec):
    line = "federated release -c music.toml --epsilon 4 -o out"
    code, _, err = audiorec(*line.split())
    assert code == 2
    own, advised = "budget = { least_users = 1 }", "budget = { epsilon = 8.0, least_users = 1 }"
    assert err.endswith(f"for all releases together, {advised}\n")
    (folder / "music.toml").write_text(MUSIC.replace(own, advised))
    code, _, err = audiorec(*line.split())
    assert (code, "aligned.parquet: no such file" in err) == (2, True)  # what is next


def test_an_alignment_without_its_library_names_the_command_that_installs_it(
    folder, audiorec, monkeypatch
):
    monkeypatch.setattr(alignment, "find_spec", lambda _: None)
    code, out, err = audiorec("federated", "align", "-c", "music.toml")
    assert out == ""
    assert code == 2
    assert 'pip install --no-deps "openmined-psi>=2.0.6"' in err
    assert not (folder / "k").exists()


def test_the_bound_of_protobuf_is_what_takes_the_generated_code_of_the_library():
    """A runtime takes code that was generated for its own major version, or for the one before."""
    content = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    needed = {one.partition(">=")[0]: one for one in content["project"]["dependencies"]}
    assert "openmined-psi" not in needed  # it would bring another protobuf
    found = find_spec("private_set_intersection")
    (generated,) = Path(found.submodule_search_locations[0]).rglob("psi_pb2.py")
    oldest = re.search(r"Protobuf Python Version: (\S+)", generated.read_text())[1]
    newest = int(oldest.partition(".")[0]) + 2
    assert needed["protobuf"] == f"protobuf>={oldest},<{newest}"


def test_nobody_there_is_one_line(folder, audiorec):
    import socket

    make_keys(folder / "theirs")
    (folder / "theirs" / "certificate.pem").rename(folder / "music.pem")
    with socket.socket() as free:  # nobody else gets the port, and nobody listens there
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        text = PARTNER.replace("127.0.0.1:7443", address)
        (folder / "partner.toml").write_text(f"{text}wait_s = 0.1\n")
        code, out, err = audiorec("federated", "align", "-c", "partner.toml", "--yes", "-q")
    assert (code, out) == (4, "")
    assert err.splitlines()[-1] == f"error: {address}: cannot be reached: connection refused"

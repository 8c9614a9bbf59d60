"""Every help page: its examples work, nothing is cut off, options stand in panels."""

import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Annotated

import pytest
from help_pages import page_text, pages
from made_exports import write_lastfm_csv, write_navidrome, write_spotify
from made_library import series, song, write_library
from made_runs import two_nights
from made_words import HEARD, add_heard
from needs import needs

from audiorec.options import argument, chooses
from audiorec_cli.main import FIRST, app
from audiorec_cli.shared.options import ADVANCED
from audiorec_cli.shared.pages import Command, CommandGroup, command, examples, group

ROOT = Path(__file__).parents[2]


def example_lines(page):
    """Return the command lines of a page, those of several lines in one."""
    return re.sub(r"\\\n\s*", "", "\n".join(examples(page.help))).splitlines()


PAGES = {" ".join(path): (path, page) for path, page in pages()}
COMMANDS = {name: page for name, (_, page) in PAGES.items() if not hasattr(page, "commands")}
EXAMPLES = {line: name for name, (_, page) in PAGES.items() for line in example_lines(page)}
# What these do takes long or needs an extra: other tests run them, here they are parsed.
LONG = re.compile(
    r"audiorec (extract (?!.*--dry-run)|retag .*--undo|"
    r"start|demo|find|classify|tags|doctor|shards|heads|index|browse|serve|sync|"
    r"recall (users|songs|promote|train (youtube-dnn|sasrec|mind|comirec-sa|user-audio))|"
    r"recall train (song2vec|eges|graphsage)|"
    r"federated (train|audit|release|align)|"
    r"listening correlate|store export .*umap)|"
    r"(parts/|~/Music/song.mp3|songs.parquet|--users vectors.parquet|served/)"
)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_80_columns_and_cuts_nothing(name):
    path, page = PAGES[name]
    text = page_text(path, page)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    words = " ".join(text.split())
    helps = [p.help for p in page.params if getattr(p, "help", None)]
    helps += [member.help.split("\n\n")[0] for member in getattr(page, "commands", {}).values()]
    for line in helps:
        assert " ".join(line.split()) in words
    about = inspect.cleandoc(page.help).split("\n\nExamples\n")[0]
    assert " ".join(about.split()) in words


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_three_examples(name):
    page = PAGES[name][1]
    lines = example_lines(page)
    assert len(lines) == len(set(lines)) == 3
    assert all(line.startswith("audiorec ") for line in lines)
    assert hasattr(page, "commands") or sum(line.startswith(name) for line in lines) >= 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name):
    assert all(p.help for p in COMMANDS[name].params if p.param_type_name == "option")


def test_every_command_stands_in_a_panel():
    text = page_text(*PAGES["audiorec"])
    titles = re.findall(r"^([A-Z][a-z ]+):$", text, re.MULTILINE)
    assert titles == [
        *("Examples", "Library", "Listen", "Recommend", "Train and scale", "Options"),
    ]


def test_the_first_page_describes_few_commands_and_names_all():
    text = page_text(*PAGES["audiorec"], obj=("--help",))
    assert max(map(len, text.splitlines())) <= 80
    described = re.findall(r"^  ([a-z][a-z-]+)  +[A-Z]", text, re.MULTILINE)
    assert described == list(FIRST)
    rest = text.partition("help all):")[2].partition("Options:")[0]
    ours = set(app.commands) - set(app.commands.plugins)
    assert set(re.findall(r"[a-z][a-z-]+", rest)) >= ours - set(described)


@pytest.mark.parametrize(
    ("asked", "title"),
    [("help", "audiorec"), ("help similar", "audiorec similar"), ("help store merge", "")],
)
def test_help_shows_a_page(asked, title, audiorec):
    code, out, _ = audiorec(*asked.split())
    assert code == 0
    assert out.startswith(f"Usage: {title}")


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_parses(line):
    """Its commands and options exist, and their values are of the right kind."""
    page = PAGES["audiorec"][1]
    words = shlex.split(line.partition(" > ")[0], comments=True)[1:]
    while hasattr(page, "commands"):
        page = page.commands[words.pop(0)]
    with page.make_context(EXAMPLES[line], words) as context:
        assert not context.args  # nothing was left over


MUSIC = """[federated]
role = "music"
keys = "keys"
peer = "partner.pem"
address = "127.0.0.1:7443"
interactions = "plays.csv"
"""


@pytest.fixture(scope="module")
def written_home(tmp_path_factory):
    """Write a folder in which the examples mean something."""
    tmp_path = tmp_path_factory.mktemp("home")
    names = sorted(p.name for p in (ROOT / "fixtures" / "audio").iterdir() if p.suffix != ".md")
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    (tmp_path / "Jazz").symlink_to(ROOT / "fixtures" / "audio")
    rows = [
        song(
            name,
            series(seed, genre=((seed % 3) * 1.5, (seed % 5) * 0.8, 0)),
            uri=str(ROOT / "fixtures" / "audio" / name),
            duration_s=200.0 + seed,
            artist=f"Artist {seed % 5}",
            title=name,
        )
        for seed, name in enumerate(names)
    ]
    write_library(tmp_path, rows, scores=True, features=True)
    for folder, part in (("a", rows[:5]), ("b", rows[5:])):
        (tmp_path / folder).mkdir()
        write_library(tmp_path / folder, part)
        shutil.copy(tmp_path / folder / "vecs.parquet", tmp_path / f"{folder}.parquet")
    for new, old in (("old", "a"), ("new", "b")):
        shutil.copy(tmp_path / f"{old}.parquet", tmp_path / f"{new}.parquet")
    (tmp_path / "c").mkdir()
    (tmp_path / "Music").mkdir()
    for name in ("clicks-short.wav", "jazz-vibraphone.mp3"):
        shutil.copy(ROOT / "fixtures" / "audio" / name, tmp_path / "Music")
    users = [f"u{n}" for n in range(12)]
    lines = [f"{u},{name},2024-05-0{1 + n % 9}T{i:02}:00:00Z,{event}"
             for i, u in enumerate(users) for n, name in enumerate(names[: 10 if i == 0 else 9])
             for event in ("finish", "like")]  # fmt: skip
    (tmp_path / "plays.csv").write_text("\n".join(["user_id,song_id,timestamp,event", *lines]))
    (tmp_path / "side.csv").write_text(f"song_id,artist\n{names[0]},Ayla\n{names[1]},Ayla\n")
    (tmp_path / "rule.toml").write_text("[events.skip]\ndisliked_below = 0.7\n")
    (tmp_path / "ids.csv").write_text(f"song_id,shop\n{names[0]},B-12\n")
    (tmp_path / "released.txt").write_text("\n".join(names))
    write_embeddings_of(tmp_path, users)
    write_channel(tmp_path)
    (tmp_path / "music.toml").write_text(MUSIC)
    for place in (tmp_path, tmp_path / "Music"):
        (place / "audiorec.toml").write_text("[similar]\nk = 3\n")
    write_spotify(tmp_path / "my_spotify_data.zip")
    write_navidrome(tmp_path / "navidrome.db")
    write_lastfm_csv(tmp_path / "scrobbles.csv")
    return tmp_path


@pytest.fixture
def home(written_home, tmp_path, monkeypatch):
    """A copy of that folder, which a command may change."""
    shutil.copytree(written_home, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.setenv("AUDIOREC_DATA", str(tmp_path / "own"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("AUDIOREC_VECTORS", raising=False)
    return tmp_path


def write_embeddings_of(folder, users):
    """Write users as embeddings, in the three forms that the examples name."""
    import numpy as np
    import pyarrow.csv
    import pyarrow.parquet as pq

    from audiorec.store.embeddings import write_embeddings

    values = np.random.default_rng(0).normal(size=(len(users), 4)).astype(np.float32)
    np.savez(folder / "theirs.npz", ids=np.array(users), embeddings=values)
    rows = [",".join(["id", "a", "b", "c", "d"])]
    rows += [",".join([user, *map(str, row)]) for user, row in zip(users, values, strict=True)]
    (folder / "theirs.csv").write_text("\n".join(rows) + "\n")
    pq.write_table(pyarrow.csv.read_csv(folder / "plays.csv"), folder / "plays.parquet")
    units = values / np.linalg.norm(values, axis=1, keepdims=True)
    for name in ("users", "u"):
        path = folder / f"{name}.parquet"
        write_embeddings(path, users, units, kind="users", model_id="people")


def write_channel(folder):
    """Write a model of recall, and lists that it made."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from made_candidates import table_of

    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.sequences import to_sequences
    from audiorec.recall.contract.batch_recall import write_candidates
    from audiorec.recall.contract.data import Queries, RecallData
    from audiorec.recall.simple.counts import Rules

    plays = to_sequences(read_interactions(folder / "plays.csv"))
    rules = Rules().fit(RecallData(plays))
    rules.save(folder / "model")
    write_candidates(folder / "lists.parquet", rules, Queries(plays), 5)
    others = {f"z{n:02}": list(plays.song_ids[:3]) for n in range(24)}  # enough to learn weights
    lists = [pq.read_table(folder / "lists.parquet"), table_of("rules", others)]
    pq.write_table(pa.concat_tables(lists), folder / "lists.parquet")
    shutil.copy(folder / "lists.parquet", folder / "more.parquet")
    owners = (*plays.owner_ids, *others)
    rows = [f"{user},{plays.song_ids[row % 3]}" for row, user in enumerate(owners)]
    weights = {"schema": "audiorec/recall-weights/1", "weights": {"rules": 1.0}}
    (folder / "weights.json").write_text(json.dumps(weights))
    channels = ["popular", "rules"]
    settings = f'[recall]\ninteractions = "plays.csv"\nout = "serving"\nchannels = {channels}\n'
    (folder / "recall.toml").write_text(settings)
    measures = {name: {"10": [0.2, 0.1, 0.3]} for name in ("recall", "hit_rate", "ndcg", "mrr")}
    report = {"channel": "rules", "measures": measures, "gini": 0.5}
    report |= {"schema": "audiorec/recall-evaluate/1", "split": "time"}
    (folder / "report.json").write_text(json.dumps(report))
    rules.save(folder / "serving" / "models" / "rules")
    (folder / "serving" / "run.json").write_text('{"run_id": "night"}')
    for name in ("vecs", "old", "new", "serving/lists"):
        two_nights(folder / f"{name}.parquet.run.json", output=f"{name}.parquet")
    (folder / "wanted.csv").write_text("\n".join(["user_id,song_id", *rows]))


@pytest.mark.parametrize("line", [line for line in EXAMPLES if not LONG.search(line)])
def test_an_example_works(line, home, audiorec):
    words = [os.path.expanduser(w) for w in shlex.split(line, comments=True)[1:]]  # noqa: PTH111
    if words[0] == "retag":
        needs("audiorec_retag")
    if words[0] == "playlists":
        needs("sklearn")
    if words[0] == "plot":
        needs("audiorec_plots")
    if words[:2] == ["federated", "keys"]:
        needs("audiorec_federated")
    if "--projection" in words:
        needs("sklearn")
    if "--words" in words:
        add_heard(home / "vecs.parquet", cycle(HEARD.values()))
    if "--users" in words:  # new songs in the space of the users
        new_songs(home)
    code, _, err = audiorec(*words)
    may_fail = "verify" in words or words[:2] == ["listening", "import"]  # of songs not found
    may_fail |= "--day" in words  # a day without plays is not served
    assert code in (0, 3) if may_fail else code == 0, err


def new_songs(folder):
    import numpy as np
    import pyarrow as pa

    from audiorec.store.embeddings import write_embeddings

    about = {"kind": "songs", "model_id": "sound", "space": "people"}
    about["columns"] = {"artist": pa.array(["Ayla", "Bo", "Ayla", None])}
    ids, values = [f"new-{i}" for i in range(4)], np.eye(4, dtype=np.float32)
    write_embeddings(folder / "embeddings.parquet", ids, values, **about)


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "audiorec_cli.main", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_loads_nothing_heavy():
    script = (
        "import sys\n"
        "sys.argv = ['audiorec', *sys.argv[1:]]\n"
        "from audiorec_cli.main import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = ('torch', 'scipy', 'librosa', 'onnxruntime', 'starlette', 'numpy', 'pyarrow',\n"
        "         'rich', 'av', 'soundfile', 'matplotlib')\n"
        "print('HEAVY', [m for m in heavy if m in sys.modules])\n"
    )
    for arguments in (["--help"], ["similar", "--help"], ["recall", "train", "-h"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
        )
        assert "HEAVY []" in done.stdout, arguments


def test_a_command_loads_no_other_command():
    script = (
        "import sys\n"
        "sys.argv = ['audiorec', *sys.argv[1:]]\n"
        "from audiorec_cli.main import Commands, main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    pass\n"
        "from audiorec_cli.main import FOLDERS, PANELS\n"
        "own = {f'audiorec_cli.{FOLDERS[panel]}.{name}'.replace('-', '_')\n"
        "       for panel, names in PANELS.items() for name in names}\n"
        "print('LOADED', sorted(own & set(sys.modules)))\n"
    )
    for arguments, own in (
        (["--version"], []),
        (["info", "--help"], ["audiorec_cli.library.info"]),
        (["cold-start", "songs", "-h"], ["audiorec_cli.recommend.cold_start"]),
    ):
        # A variable of ours in the environment is looked for among the options of all commands.
        plain = {k: v for k, v in os.environ.items() if not k.startswith("AUDIOREC_")}
        command = [sys.executable, "-c", script, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=plain)
        assert done.stdout.splitlines()[-1] == f"LOADED {own}", arguments


@pytest.mark.parametrize("name", [name for name in PAGES if name not in COMMANDS])
def test_a_group_alone_prints_its_page_line_by_line_and_ends_with_2(name, audiorec):
    code, out, err = audiorec(*name.split()[1:])
    assert (code, out) == (2, "")
    assert "\\n" not in err
    assert err.startswith("Usage: ")
    assert len(err.splitlines()) > 10


def test_help_is_plain_in_a_pipe():
    done = run("similar", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert done.stdout.startswith("Usage: ")


def in_a_terminal(*arguments, **environment):
    """Run the command with a pseudo-terminal of 80 columns as stdout; return what it drew."""
    try:
        import pty
    except ImportError:
        pytest.skip("needs pseudo-terminals")
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "audiorec_cli.main", *arguments],
        stdout=follower,
        env={**os.environ, "COLUMNS": "80", "TERM": "xterm", **environment},
    ) as process:
        os.close(follower)
        drawn = b""
        while True:
            try:
                piece = os.read(leader, 65_536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            drawn += piece
    os.close(leader)
    assert process.returncode == 0
    return drawn.decode()


def test_help_has_colours_in_a_terminal_unless_they_are_not_wanted():
    coloured = in_a_terminal("playlist", "--help", NO_COLOR="")
    plain = in_a_terminal("playlist", "--help", NO_COLOR="1")
    assert "\x1b[36m--by sound|vector|FILE\x1b[0m" in coloured
    assert "\x1b" not in plain
    bare = re.sub(r"\x1b\[\d+m", "", coloured)
    assert bare.split() == plain.split()
    assert max(len(line) for line in bare.splitlines()) <= 80


def test_what_a_store_is_fits_a_terminal():
    store = Path(__file__).parents[2] / "fixtures/formats/vecs-v1.parquet"
    drawn = in_a_terminal("info", "--vectors", str(store)).splitlines()
    assert max(map(len, drawn)) <= 80
    first = next(n for n, line in enumerate(drawn) if line.startswith("classes: "))
    assert drawn[first + 1].startswith("  ")


def test_a_page_shows_the_options_of_a_class():
    @dataclass(frozen=True, kw_only=True)
    class Both:
        left: Annotated[int, chooses(help="One hand.")] = 1
        right: Annotated[int, chooses(help="The other.", panel=ADVANCED)] = 2

    app = group("Hands.")
    got = []

    @command(app)
    def one(name: Annotated[str, argument(help="A name.")], *, both: Both) -> None:
        """Take both."""
        got.append((name, both))

    @command(app)
    def two() -> None:
        """Take none."""

    assert isinstance(app, CommandGroup)
    assert isinstance(app.commands["one"], Command)
    app(["one", "x", "--right", "5"], standalone_mode=False)
    assert got == [("x", Both(left=1, right=5))]
    text = page_text(("one",), app.commands["one"])
    assert re.search(r"Options:\n  --left N .*One hand.*\n(.*\n)*Advanced:\n  --right N", text)


def test_an_option_that_does_not_say_what_it_can_do_is_refused():
    app = group("Hands.")
    with pytest.raises(TypeError, match="number: declare it as an option"):

        @command(app)
        def one(number: int = 1) -> None:
            """Take one."""


def test_a_common_option_is_one_object_for_all_commands():
    shared = {id(p): p.name for c in COMMANDS.values() for p in c.shared}
    assert sorted(shared.values()) == ["json", "metrics_textfile", "quiet"]
    page = page_text(("audiorec", "similar"), COMMANDS["audiorec similar"])
    assert re.search(r"Common options:\n(  .*\n)*  --json +Print one JSON document\.", page)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_names_are_completed(shell):
    assert "_AUDIOREC_COMPLETE" in run("--show-completion", shell).stdout
    line = {"COMP_WORDS": "audiorec sim", "COMP_CWORD": "1"}
    done = run(_AUDIOREC_COMPLETE=f"{shell}_complete", **line)
    assert (shell == "fish") or "similar" in done.stdout

"""Lists of our own on a server: made, replaced, removed, undone; what others made stays."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_player import KilledError, MadePlayer, MadeServer

from audiorec.errors import BusyStoreError, DamagedFileError, LostPlayerError, PlayerError
from audiorec.players.push import ledger_of, push, undo

URL = "made://server"


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOREC_DATA", str(tmp_path))
    return tmp_path


def put(server, wanted, *, configured=None, dry_run=False, player=None):
    """Push lists given as texts, a song a letter; return what became of each."""
    player = player or MadePlayer(server)
    with ledger_of(URL, "", looks=dry_run) as ledger:
        found = push(
            player,
            ledger,
            {name: tuple(songs) for name, songs in wanted.items()},
            configured=set(wanted) if configured is None else configured,
            there=set(server.songs),
        )
        return {one.name: one.action for one in found}


def back(server, *, dry_run=False):
    with ledger_of(URL, "", looks=dry_run) as ledger:
        found = undo(MadePlayer(server), ledger, there=set(server.songs))
        return {one.name: one.action for one in found}


def test_a_list_is_made_then_replaced_in_place_then_unchanged():
    server = MadeServer()
    assert put(server, {"Jazz": "abc"}) == {"Jazz": "created"}
    assert server.lists == {"l1": ("Jazz (audiorec)", ("a", "b", "c"))}
    assert put(server, {"Jazz": "cd"}) == {"Jazz": "replaced"}
    assert server.lists == {"l1": ("Jazz (audiorec)", ("c", "d"))}
    writes = server.writes
    assert put(server, {"Jazz": "cd"}) == {"Jazz": "unchanged"}
    assert server.writes == writes


def test_a_list_of_the_same_name_that_a_person_made_is_left_alone():
    server = MadeServer()
    server.lists["p1"] = ("Jazz (audiorec)", ("a",))
    assert put(server, {"Jazz": "bc"}) == {"Jazz": "left alone"}
    assert server.named() == {"Jazz (audiorec)": "a"}


@pytest.mark.parametrize("edit", [("a", "b", "c", "h"), ("a", "b"), ("c", "b", "a"), ()])
def test_a_list_that_a_person_edited_is_theirs(edit):
    server = MadeServer()
    put(server, {"Jazz": "abc"})
    server.lists["l1"] = ("Jazz (audiorec)", edit)
    assert put(server, {"Jazz": "de"}) == {"Jazz": "left alone"}
    assert back(server) == {"Jazz": "left alone"}
    assert put(server, {}, configured=()) == {"Jazz": "left alone"}
    assert server.lists["l1"][1] == edit


def test_a_list_that_a_person_renamed_is_theirs_and_ours_is_made_again():
    server = MadeServer()
    put(server, {"Jazz": "abc"})
    server.lists["l1"] = ("My jazz", ("a", "b", "c"))
    assert put(server, {"Jazz": "de"}) == {"Jazz": "created"}
    assert server.named() == {"My jazz": "abc", "Jazz (audiorec)": "de"}


def test_a_list_that_a_person_removed_is_made_again():
    server = MadeServer()
    put(server, {"Jazz": "abc"})
    del server.lists["l1"]
    assert put(server, {"Jazz": "abc"}) == {"Jazz": "created"}


def test_songs_that_left_the_server_are_no_edit():
    server = MadeServer()
    put(server, {"Jazz": "abc"})
    del server.songs["b"]
    assert put(server, {"Jazz": "de"}) == {"Jazz": "replaced"}


def test_a_list_that_left_the_settings_is_removed_and_comes_back():
    server = MadeServer()
    put(server, {"Jazz": "abc"})
    assert put(server, {}) == {"Jazz": "removed"}
    assert server.lists == {}
    assert put(server, {}) == {}
    assert back(server) == {"Jazz": "created"}
    assert server.named() == {"Jazz (audiorec)": "abc"}
    assert put(server, {}) == {"Jazz": "removed"}


def test_a_list_that_could_not_be_made_is_not_removed():
    server = MadeServer()
    put(server, {"Jazz": "abc"})
    assert put(server, {"Jazz": ""}) == {"Jazz": "left alone"}
    assert put(server, {}, configured={"Jazz"}) == {}
    assert server.named() == {"Jazz (audiorec)": "abc"}


def test_undo_gives_back_the_songs_and_is_done_once():
    server = MadeServer()
    put(server, {"Jazz": "abc", "Rock": "de"})
    put(server, {"Jazz": "fgh", "Rock": "de"})
    assert back(server) == {"Jazz": "replaced", "Rock": "removed"}
    assert server.named() == {"Jazz (audiorec)": "abc"}
    assert back(server) == {}


def test_a_dry_run_writes_nothing(data):
    server = MadeServer()
    put(server, {"Jazz": "abc"})
    before = {p: p.read_bytes() for p in data.rglob("*") if p.is_file()}
    looked = put(server, {"Jazz": "de", "New": "a"}, dry_run=True)
    assert looked == {"Jazz": "replaced", "New": "created"}
    assert put(server, {}, dry_run=True) == {"Jazz": "removed"}
    assert back(server, dry_run=True) == {"Jazz": "removed"}
    assert server.named() == {"Jazz (audiorec)": "abc"}
    assert {p: p.read_bytes() for p in data.rglob("*") if p.is_file()} == before


def test_two_accounts_have_two_ledgers(data):
    with ledger_of(URL, "ana") as one, ledger_of(URL, "ben") as other:
        assert one.path != other.path
    with ledger_of(URL, "ana"), pytest.raises(BusyStoreError), ledger_of(URL, "ana"):
        pass


@pytest.mark.parametrize("content", ["{", '{"schema": "audiorec/player-lists/9"}', "[]", "bits"])
def test_a_damaged_ledger_changes_nothing(content, data):
    server = MadeServer()
    put(server, {"Jazz": "abc"})
    (path,) = data.rglob("*.json")
    text = path.read_text()
    path.write_text(text.replace("l1", "l2") if content == "bits" else content)
    with pytest.raises(DamagedFileError, match="remove it"):
        put(server, {"Jazz": "de"})
    assert server.named() == {"Jazz (audiorec)": "abc"}


def test_a_server_that_does_not_show_what_it_took_is_an_error():
    class Hides(MadePlayer):
        def lists(self):
            return []

    server = MadeServer()
    with pytest.raises(PlayerError, match="does not show it"):
        put(server, {"Jazz": "abc"}, player=Hides(server))
    assert put(server, {"Jazz": "abc"}) == {"Jazz": "unchanged"}
    assert len(server.lists) == 1


STEPS = [{"Jazz": "abc"}, {"Jazz": "bcd", "Rock": "ef"}, {"Rock": "fg"}, {"Jazz": "abc"}]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("error", [KilledError, LostPlayerError])
@pytest.mark.parametrize("dies", range(1, 7))
def test_a_kill_at_any_write_leaves_old_or_new_lists_and_the_next_run_goes_on(dies, before, error):
    server = MadeServer()
    server.lists["p1"] = ("Mine", ("h",))
    allowed = {"abc", "bcd", "ef", "fg"}
    killed = 0
    for wanted in STEPS:
        try:
            put(server, wanted, player=MadePlayer(server, dies, before=before, error=error))
        except (KilledError, PlayerError):
            killed += 1
            own = [songs for name, songs in server.named().items() if name != "Mine"]
            assert set(own) <= allowed
            put(server, wanted)
        expected = {f"{name} (audiorec)": songs for name, songs in wanted.items()}
        assert server.named() == {"Mine": "h", **expected}
        assert len(server.lists) == len(server.named())  # none was made twice
    assert killed == 1


@pytest.mark.parametrize("n", range(1, 16))
def test_a_kill_between_ledger_and_server_loses_no_list(n, monkeypatch):
    """Die at the n-th write of the ledger: before it is on disk."""
    from audiorec.players import push as module

    server, count = MadeServer(), 0
    keep = module.ListLedger.keep

    def dying(self, name, entry):
        nonlocal count
        count += 1
        if count == n:
            raise KilledError
        keep(self, name, entry)

    for wanted in STEPS:
        monkeypatch.setattr(module.ListLedger, "keep", dying)
        try:
            put(server, wanted)
        except KilledError:
            monkeypatch.setattr(module.ListLedger, "keep", keep)
            put(server, wanted)
        assert server.named() == {f"{name} (audiorec)": songs for name, songs in wanted.items()}
        assert len(server.lists) == len(server.named())


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.dictionaries(
                st.sampled_from(["A", "B", "C"]), st.text("abcdefgh", min_size=1, max_size=5)
            ),
            st.just("undo"),
        ),
        max_size=6,
    )
)
def test_what_a_person_made_never_changes(tmp_path_factory, steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOREC_DATA", str(tmp_path_factory.mktemp("data")))
        server = MadeServer()
        mine = {"p1": ("Mine", ("a", "b")), "p2": ("A (audiorec)", ("c",)), "p3": ("B", ())}
        server.lists.update(mine)
        for step in steps:
            back(server) if step == "undo" else put(server, step)
            assert {key: server.lists.get(key) for key in mine} == mine
            if step != "undo":
                expected = {f"{n} (audiorec)": s for n, s in step.items() if n != "A"}
                ours = {k: v for k, v in server.lists.items() if k not in mine}
                assert {n: "".join(s) for n, s in ours.values()} == expected

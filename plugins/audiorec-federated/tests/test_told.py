"""What a run tells the partner: the same whoever plays what, of many users, of one set of ids."""

import threading
from contextlib import suppress

import numpy as np
import pytest
from direct_transport import Direct, Served
from needs import needs
from rehearsal import rehearse

from audiorec.errors import AudiorecError, InputError, PeerError, RefusedError
from audiorec.recall.registry import load_channel
from audiorec_federated.alignment import Alignment, AlignMusic, Normalised, write_alignment
from audiorec_federated.jobs import align, one_alignment, train
from audiorec_federated.keys import make_keys
from audiorec_federated.ledger import Ledger, note_release
from audiorec_federated.link import Caller, PartyRun
from audiorec_federated.plan import PartyPlan
from audiorec_federated.protocol import MessageKind

USERS = [f"u{n:03}" for n in range(120)]
TOWERS = """model = "two-tower"
recipe = { dimension = 4, width = 4, hidden = [4], negatives = 4, batch_size = 40, passes = 1, \
max_epochs = 1, min_users = 1 }
"""


@pytest.fixture
def parties(tmp_path):
    """Return what makes both plans, of aligned users of whom some play and some are known."""
    for role, other in (("music", "partner"), ("partner", "music")):
        made = make_keys(tmp_path / role / "keys")
        (tmp_path / other).mkdir(exist_ok=True)
        (tmp_path / other / f"{role}.pem").write_bytes(made.certificate)
        write_alignment(tmp_path / role / "aligned.parquet", Alignment(tuple(USERS), ("a" * 64,)))

    def make(players, known=USERS, more=""):
        rows = [f"{user},s{n % 7},{1_700_000_000 + n},play" for n, user in enumerate(players)]
        log = ["user_id,song_id,timestamp,event", *rows, "stranger,s1,1700000000,play"]
        (tmp_path / "music" / "plays.csv").write_text("\n".join(log))
        people = [f"{user},{'rock' if n % 2 else 'jazz'}" for n, user in enumerate(known)]
        text = "\n".join(["user_id,taste", *people, "other,rock", "another,jazz"])
        (tmp_path / "partner" / "people.csv").write_text(text)
        address = f"127.0.0.1:{rehearse.free_port()}"
        for role, other, data in (
            ("music", "partner", 'interactions = "plays.csv"'),
            ("partner", "music", 'profiles = "people.csv"'),
        ):
            (tmp_path / role / "party.toml").write_text(
                f'[federated]\nrole = "{role}"\nkeys = "keys"\npeer = "{other}.pem"\n'
                f'address = "{address}"\nwait_s = 20\n{data}\n{more or "recipe.min_users = 1"}\n'
            )
        return [PartyPlan.read(tmp_path / role / "party.toml") for role in ("music", "partner")]

    return make


def trained(music, partner):
    """Train both sides; return the music side's result, and the partner's, or their errors."""
    found, said = {}, []

    def run(plan, say=None):
        try:
            found[plan.role] = train(plan, say=say)
        except AudiorecError as error:
            found[plan.role] = error

    thread = threading.Thread(target=run, args=(music, said.append))
    thread.start()
    run(partner)
    thread.join(60)
    return found["music"], found["partner"], said


@pytest.mark.parametrize("model", ["one-way", "two-tower"])
def test_the_partner_hears_the_same_whether_or_not_an_aligned_user_plays(model, parties):
    if model == "two-tower":
        needs("torch")
    told = []
    for players in (USERS, USERS[:1], ()):
        plans = parties(players, more=TOWERS if model == "two-tower" else "")
        music, partner, said = trained(*plans)
        assert isinstance(music, dict), music
        assert any("no aligned user has a play" in line for line in said) is (not players)
        told.append({n: v for n, v in partner.items() if n not in ("model_id", "space", "figures")})
        channel = load_channel(plans[0].out)
        assert np.isfinite(channel.songs).all()
        assert channel.song_ids
    assert told[0] == told[1] == told[2]


def test_a_table_of_a_few_vectors_and_zeros_is_refused(parties):
    music, partner, _ = trained(*parties(USERS, known=USERS[:30]))
    assert isinstance(partner, RefusedError)
    refused = r"30 vectors that are not zero; this side takes 100 or more \(least_users\)"
    with pytest.raises(PeerError, match=refused):
        raise music


def test_few_users_are_neither_aligned_nor_trained(parties):
    music, _ = parties(USERS)
    with pytest.raises(InputError, match="99 ids; this side takes 100 or more"):
        align(music, Normalised.of(USERS[:99]))
    write_alignment(music.alignment, Alignment(tuple(USERS[:99]), ("a" * 64,)))
    with pytest.raises(InputError, match=r"aligned\.parquet: has 99 users; this side takes 100"):
        train(music)


def test_two_sides_with_few_common_users_write_no_alignment(parties):
    plans, found = parties(USERS), []

    def run(plan, first):
        with suppress(AudiorecError):
            align(plan, Normalised.of(f"v{n:03}" for n in range(first, first + 150)))
        found.append(plan.alignment.exists())

    for plan in plans:
        plan.alignment.unlink()
    threads = [threading.Thread(target=run, args=one) for one in zip(plans, (0, 51), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [False, False]


def counted(desk, ids):
    caller = Caller(Direct(desk))
    caller.hello("align")
    fields = {"ids": ids, "commitment": "0" * 64}
    return caller.ask(MessageKind.COUNT, fields, expect=MessageKind.COUNTED)


def test_who_leaves_an_alignment_does_not_begin_another_one_in_the_same_run(parties):
    """It could try other ids each time: what it commits to is checked at the end alone."""
    music, _ = parties(USERS)
    host = AlignMusic(Normalised.of(USERS), print, hear=one_alignment(music, PartyRun()))
    side = Served(host)
    counted(side.desk, 300)
    with pytest.raises(RefusedError, match="a run allows one"):
        counted(side.desk, 300)
    with pytest.raises(PeerError, match="both sides run federated align again"):
        side.join()
    assert [entry.count for entry in Ledger.read(music.ledger_path).entries] == [300]


@pytest.mark.parametrize(
    ("ids", "said"),
    [(99, "99 ids; this side takes 100 or more"), (1_000_001, r"allows 1,000,000 \(ids_a_day\)")],
)
def test_ids_are_limited_without_a_word_in_the_settings(ids, said, parties):
    music, _ = parties(USERS)
    side = Served(AlignMusic(Normalised.of(USERS), print, hear=one_alignment(music, PartyRun())))
    with pytest.raises(RefusedError, match=said):
        counted(side.desk, ids)
    with pytest.raises(PeerError, match=said):
        side.join()


def test_a_second_partner_s_folder_does_not_begin_with_nothing_spent(parties, tmp_path):
    more = "budget = { epsilon = 8.0 }"
    music, partner = parties(USERS, more=more)
    second = tmp_path / "second"
    second.mkdir()
    text = (tmp_path / "music" / "party.toml").read_text()
    log = 'interactions = "../music/plays.csv"'
    (second / "party.toml").write_text(text.replace('interactions = "plays.csv"', log))
    other = PartyPlan.read(second / "party.toml")
    assert note_release(music.ledger_path, music.parsed_budget(), "a" * 64, 9, 0.8) > 5
    with pytest.raises(InputError, match="beyond the budget of 8"):
        note_release(other.ledger_path, other.parsed_budget(), "b" * 64, 9, 0.8)
    assert partner.ledger_path == tmp_path / "partner" / "ledger.json"
    (second / "party.toml").write_text(f'{text}ledger = "own.json"\n')
    assert PartyPlan.read(second / "party.toml").ledger_path == second / "own.json"

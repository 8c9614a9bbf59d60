"""Alignment equals a plain intersection, in one order on all sides, and no id is in any byte."""

import re
import unicodedata
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import private_set_intersection.python as psi
import pytest
from direct_transport import Direct, Served
from hypothesis import given, settings
from hypothesis import strategies as st

from audiorec.errors import InputError, PeerError, ProtocolError, RefusedError, StoreError
from audiorec_federated import alignment
from audiorec_federated.alignment import (
    Alignment,
    AlignMusic,
    Commitment,
    Normalised,
    Salt,
    align_partner,
    bucket_pool,
    handler,
    is_in,
    read_alignment,
    write_alignment,
)
from audiorec_federated.link import Caller
from audiorec_federated.protocol import MAX_CHECKS, MessageKind, decode, joined


def here(*item):
    """Compute a bucket in this process: others are started once, by one test."""
    done = Future()
    try:
        done.set_result(handler()(item))
    except ProtocolError as error:
        done.set_exception(error)
    return done


class Side(Served):
    """A music side that aligns in a thread."""

    def __init__(self, ids, submit=here, **options):
        super().__init__(AlignMusic(Normalised.of(ids), submit, **options))


def greeted(side, observer=None):
    caller = Caller(Direct(side.desk, observer))
    caller.hello("align")
    return caller


def aligned(ours, theirs, *, observer=None, submit=here):
    """Align a partner with a music side; return both alignments, the partner's first."""
    side = Side(theirs, submit)
    found = align_partner(greeted(side, observer), Normalised.of(ours), submit)
    return found, side.join().found


def people(first, last):
    return [f"listener-{n}@example.org" for n in range(first, last)]


def test_both_sides_get_the_plain_intersection_in_one_order(monkeypatch):
    monkeypatch.setattr(alignment, "BUCKET_IDS", 8)
    monkeypatch.setattr(alignment, "MAX_BUCKETS", 3)  # in a message: twelve in five messages
    ours, theirs = people(0, 60), people(25, 90)
    partner, music = aligned(ours, theirs)
    assert set(partner.user_ids) == set(ours) & set(theirs)
    assert partner.user_ids == music.user_ids
    assert partner.ids == music.ids
    assert list(partner.user_ids) != sorted(partner.user_ids)  # nobody's order
    again, _ = aligned(ours, theirs)
    assert set(again.user_ids) == set(partner.user_ids)
    assert again.ids != partner.ids  # another salt


@pytest.mark.parametrize(
    ("ours", "theirs", "common"),
    [([], [], 0), (["a"], [], 0), ([], ["a"], 0), (["a"], ["b"], 0), (["a"], ["a"], 1)],
)
def test_small_and_empty_sets(ours, theirs, common):
    partner, music = aligned(ours, theirs)
    assert len(partner) == len(music) == common
    assert partner == music


def test_ids_are_compared_normalised_and_kept_as_they_were():
    composed, apart = "Zoë", unicodedata.normalize("NFD", "Zoë")
    partner, music = aligned([f" {apart}\t", "007", "Bob"], [composed, "7", "bob", "007"])
    pairs = dict(zip(partner.user_ids, music.user_ids, strict=True))
    assert pairs == {f" {apart}\t": composed, "007": "007"}  # case and zeros count


def test_ids_that_are_equal_when_normalised_count_once():
    found = Normalised.of(["b ", "a", "b", "b"])
    assert (found.forms, found.originals, found.merged) == (("a", "b"), ("a", "b "), 2)
    partner, music = aligned(["b ", "a", "b", "b"], ["b"])
    assert (partner.user_ids, music.user_ids) == (("b ",), ("b",))


@pytest.mark.parametrize("bad", ["", " \t", "\u2003"])
def test_an_empty_id_is_refused(bad):
    with pytest.raises(InputError, match="is empty without its white space"):
        Normalised.of(["a", bad])


def test_a_bucket_beyond_the_limit_is_refused_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr(alignment, "MAX_BUCKET_IDS", 5)
    with pytest.raises(InputError, match="a bucket has 6 ids; the protocol allows 5"):
        aligned(people(0, 6), people(0, 3))


@given(st.lists(st.text(max_size=8), max_size=25), st.lists(st.text(max_size=8), max_size=25))
@settings(max_examples=12, deadline=None)
def test_any_texts_align(ours, theirs):
    def filled(ids):
        return [one for one in ids if unicodedata.normalize("NFC", one).strip()]

    ours, theirs = filled(ours), filled(theirs)
    partner, music = aligned(ours, theirs)
    forms = [set(Normalised.of(ids).forms) for ids in (ours, theirs)]
    assert set(Normalised.of(partner.user_ids).forms) == forms[0] & forms[1]
    assert partner.ids == music.ids


def test_no_id_and_no_plain_hash_of_one_is_in_any_byte_sent():
    import hashlib

    heard = []
    ours, theirs = people(0, 30), people(10, 50)
    partner, _ = aligned(ours, theirs, observer=heard.append)
    assert len(partner) == 20
    crossed = b"".join(heard)
    assert len(crossed) > 60 * 35
    for user in people(0, 50):
        for text in (user, user.partition("@")[0]):
            assert text.encode() not in crossed
            for name in ("sha256", "sha1", "md5"):
                digest = hashlib.new(name, text.encode())
                assert digest.digest() not in crossed
                assert digest.hexdigest().encode() not in crossed
    # What names the common users means something to their owners alone, and nobody else is named.
    assert crossed.count(b"listener") == 0


def count(caller, ids):
    fields = {"ids": ids, "commitment": "0" * 64}
    caller.ask(MessageKind.COUNT, fields, expect=MessageKind.COUNTED)


def guess(side, guesses, *, said=None, in_bucket=None):
    """Ask a music side about guesses, as a partner that says to have `said` ids would."""
    caller = greeted(side)
    said = len(guesses) if said is None else said
    count(caller, said)
    elements = [Salt.of(caller.nonces).element(one) for one in guesses]
    asked = psi.client.CreateWithNewKey(True).CreateRequest(elements).SerializeToString()
    fields = {"first": 0, "ids": [said if in_bucket is None else in_bucket]}
    caller.ask(MessageKind.BUCKET, fields, joined([asked]), expect=MessageKind.ANSWER)
    return caller


@pytest.mark.parametrize(
    ("guesses", "said", "in_bucket", "reason"),
    [
        (300, 10, 10, r"expected 10 ids.*as said, got 300"),
        (300, 10, 300, r"expected 10 ids in all buckets, as said, got 300"),
        (5, 40, 5, "expected 40 ids in all buckets, as said, got 5"),
    ],
    ids=["a dictionary as 10 ids", "a dictionary as what it is", "fewer than it said"],
)
def test_a_partner_tries_as_many_ids_as_it_says(guesses, said, in_bucket, reason):
    side = Side(people(0, 50))
    with pytest.raises(RefusedError, match=reason):
        guess(side, people(0, guesses), said=said, in_bucket=in_bucket)
    with pytest.raises(ProtocolError):
        side.join()
    assert side.host.found is None


@pytest.mark.parametrize(
    ("first", "last", "reason"),
    [(77, 78, "a token that is unknown"), (0, 2, "2 common users of 1 ids")],
    ids=["a stranger", "more than it has"],
)
def test_a_partner_cannot_name_other_users_than_its_own(first, last, reason):
    side = Side(people(0, 5))
    caller = guess(side, people(0, 1))
    tokens = b"".join(map(Salt.of(caller.nonces).token, people(first, last)))
    fields = {"first": 0, "total": last - first}
    with pytest.raises(RefusedError, match=reason):
        caller.ask(MessageKind.COMMON, fields, tokens, expect=MessageKind.AGREED)
    with pytest.raises(ProtocolError):
        side.join()


class Cheat(AlignMusic):
    """A music side that says it has 10 ids, and answers with a dictionary of 300."""

    told = 10

    def _count(self, message):
        kind, fields, payload = super()._count(message)
        return kind, {**fields, "ids": 10}, payload

    def _answer(self, message):
        kind, fields, payload = super()._answer(message)
        return kind, {**fields, "ids": [self.told]}, payload


@pytest.mark.parametrize("told", [10, 300], ids=["as 10 ids", "as what they are"])
def test_a_music_side_cannot_try_more_ids_than_it_says(told):
    """The partner would name its members to it."""
    host = Cheat(Normalised.of(people(0, 300)), here)
    host.told = told
    side = Served(host)
    with pytest.raises(ProtocolError, match=r"expected 10 ids.*as said, got 300"):
        align_partner(greeted(side), Normalised.of(people(20, 40)), here)
    side.desk.close()


def test_both_sides_hear_how_many_ids_the_other_one_tries_and_may_refuse():
    heard = []
    hear = lambda *said: heard.append(said)  # noqa: E731
    side = Side(people(0, 7), hear=hear)
    align_partner(greeted(side), Normalised.of(people(3, 12)), here, hear=hear)
    side.join()
    assert [ids for ids, _ in heard] == [9, 7]
    assert all(re.fullmatch("[0-9a-f]{64}", root) for _, root in heard)

    def refuse(ids, _commitment):
        raise PeerError(f"{ids} ids are too many")

    side = Side(people(0, 7), hear=refuse)
    with pytest.raises(RefusedError, match="9 ids are too many"):
        align_partner(greeted(side), Normalised.of(people(3, 12)), here)
    with pytest.raises(PeerError, match="too many"):
        side.join()


@given(st.sets(st.text(max_size=4), min_size=1, max_size=20), st.data())
@settings(max_examples=50, deadline=None)
def test_a_commitment_shows_what_is_in_it_and_nothing_else(ids, data):
    forms, n = sorted(ids), len(ids)
    found, other = Commitment(forms), Commitment(forms)
    assert found.root != other.root  # nobody tells by it that two sets are the same
    one = data.draw(st.sampled_from(forms))
    opening = found.opening(one)
    assert is_in(found.root, n, one, opening)
    assert not is_in(found.root, n, one + "x", opening)
    assert not is_in(other.root, n, one, opening)
    place = data.draw(st.integers(0, len(opening) - 1))
    changed = bytearray(opening)
    changed[place] ^= 1
    assert not is_in(found.root, n, one, bytes(changed))
    assert not is_in(found.root, n, one, b"")
    assert not is_in(found.root, n, one, opening[:-1])


def test_a_commitment_to_more_ids_than_said_shows_nothing():
    """Whoever commits to a dictionary could choose from it as answers come."""
    forms = people(0, 1_000)
    found = Commitment(forms)
    assert is_in(found.root, 1_000, forms[3], found.opening(forms[3]))
    assert not is_in(found.root, 500, forms[3], found.opening(forms[3]))


def committed(forms, hidden):
    """Return a commitment to ids without some, which opens these with the path of another."""
    kept = sorted(set(forms) - set(hidden))

    class Narrow(Commitment):
        def opening(self, form):
            return super().opening(kept[0] if form in hidden else form)

    return Narrow(kept)


@pytest.mark.parametrize("cheat", ["partner", "music"])
def test_a_side_that_adds_ids_after_its_commitment_is_found_out(cheat, monkeypatch):
    """Ten guesses that were not in its set, among thirty common users, all of which are asked."""
    ids = {"partner": people(0, 30), "music": people(0, 40)}
    guesses, own = people(10, 20), Normalised.of(ids[cheat]).forms

    def commit(forms):
        return committed(forms, guesses) if forms == own else Commitment(forms)

    monkeypatch.setattr(alignment, "Commitment", commit)
    side = Side(ids["music"])
    with pytest.raises(PeerError, match="users of the set that it committed to"):
        align_partner(greeted(side), Normalised.of(ids["partner"]), here)
    if cheat == "partner":
        with pytest.raises(ProtocolError, match="a common user that was not in its set before"):
            side.join()
    assert side.host.found is None
    side.desk.close()


def test_each_side_draws_its_own_of_many_common_users():
    heard = []
    partner, music = aligned(people(0, 200), people(50, 250), observer=heard.append)
    assert partner == music
    asked, answered = (
        next(decode(one)["places"] for one in heard if decode(one).kind == kind)
        for kind in (MessageKind.CHECK, MessageKind.CHECKED)
    )
    assert len(asked) == len(answered) == MAX_CHECKS
    assert asked != answered  # 64 of 150, by chance
    assert max(*asked, *answered) < len(partner) == 150


def test_a_side_shows_common_users_alone():
    side = Side(people(0, 5))
    ids = Normalised.of(people(0, 1))
    caller = greeted(side)
    count(caller, 1)
    elements = [Salt.of(caller.nonces).element(one) for one in ids.forms]
    asked = psi.client.CreateWithNewKey(True).CreateRequest(elements).SerializeToString()
    caller.ask(
        MessageKind.BUCKET, {"first": 0, "ids": [1]}, joined([asked]), expect=MessageKind.ANSWER
    )
    token = Salt.of(caller.nonces).token(ids.forms[0])
    caller.ask(MessageKind.COMMON, {"first": 0, "total": 1}, token, expect=MessageKind.AGREED)
    with pytest.raises(RefusedError, match="expected rows below 1, got more"):
        caller.ask(MessageKind.CHECK, {"places": [1]}, expect=MessageKind.CHECKED)
    with pytest.raises(ProtocolError):
        side.join()


def test_questions_out_of_turn_are_refused():
    side = Side(people(0, 5))
    caller = greeted(side)
    bucket = {"first": 3, "ids": [1]}
    with pytest.raises(RefusedError, match="expected count now"):
        caller.ask(MessageKind.BUCKET, bucket, joined([b"x"]), expect=MessageKind.ANSWER)
    count(caller, 1)
    with pytest.raises(RefusedError, match="expected 1 buckets from 0"):
        caller.ask(MessageKind.BUCKET, bucket, joined([b"x"]), expect=MessageKind.ANSWER)
    with pytest.raises(RefusedError, match="expected bucket now"):
        caller.ask(MessageKind.COMMON, {"first": 0, "total": 0}, expect=MessageKind.AGREED)
    side.desk.close()


def test_buckets_are_computed_in_processes_of_their_own():
    """Bytes that are no message of the library are parsed there, whatever becomes of it."""
    with bucket_pool(1) as submit:
        partner, music = aligned(people(0, 20), people(12, 30), submit=submit)
        assert partner == music
        assert set(partner.user_ids) == set(people(12, 20))
        side = Side(people(0, 5), submit)
        caller = greeted(side)
        count(caller, 1)
        bad = joined([b"\xff\x00" * 70])
        fields = {"first": 0, "ids": [1]}
        with pytest.raises(RefusedError, match="expected requests of openmined-psi"):
            caller.ask(MessageKind.BUCKET, fields, bad, expect=MessageKind.ANSWER)
        with pytest.raises(ProtocolError):
            side.join()


def test_an_alignment_is_kept_as_it_is(tmp_path):
    found = Alignment(("b", "", "a"), ("ab" * 32, "cd" * 32))
    write_alignment(tmp_path / "aligned.parquet", found)
    assert read_alignment(tmp_path / "aligned.parquet") == found
    stored = read_alignment(Path("fixtures/formats/aligned-v1.parquet"))
    assert stored == Alignment(("Zoë", "", "007"), ("0a" * 32, "f5" * 32))
    with pytest.raises(StoreError, match="holds song_embeddings; align with the other party"):
        read_alignment(Path("fixtures/formats/embeddings-v1.parquet"))
    with pytest.raises(StoreError, match="no such file; align with the other party"):
        read_alignment(tmp_path / "gone.parquet")


def test_a_salt_separates_its_purposes():
    salt = Salt.of(("a" * 64, "b" * 64))
    assert salt.element("u") != salt.token("u").hex()
    assert Salt.of(("b" * 64, "a" * 64)).token("u") != salt.token("u")
    spread = np.bincount([salt.bucket(f"user {n}", 8) for n in range(4000)], minlength=8)
    assert spread.min() > 400


def test_a_person_leaves_an_alignment_and_all_other_rows_stay(tmp_path):
    from audiorec.listening.forget import KeptKind, forget

    path = tmp_path / "aligned.parquet"
    write_alignment(path, Alignment(("b", "c", "a"), ("ab" * 32,)))
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.json").write_text('{"log_fingerprints": ["%s"]}' % ("ab" * 32))
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.json").write_text('{"log_fingerprints": ["%s"]}' % ("cd" * 32))
    done = forget("c", [path, model, other])
    assert [(d.kind, d.removed, d.left, d.train_again) for d in done] == [
        (KeptKind.ALIGNED, 1, 2, False),
        (KeptKind.MODEL, 0, 0, True),
        (KeptKind.MODEL, 0, 0, False),
    ]
    # Steps are drawn by row number, so the row itself stays, and is nobody's.
    assert read_alignment(path) == Alignment(("b", "", "a"), ("ab" * 32,))
    assert forget("c", [path])[0].removed == 0

"""Alignment equals a plain intersection, in one order on all sides, and no id is in any byte."""

import threading
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import needs

needs("private_set_intersection")

from direct_transport import Direct

from audiorec.errors import InputError, ProtocolError, RefusedError, StoreError
from audiorec.recall.federated import psi
from audiorec.recall.federated.alignment import (
    Alignment,
    Normalised,
    read_alignment,
    write_alignment,
)
from audiorec.recall.federated.link import Caller, Desk
from audiorec.recall.federated.protocol import MessageKind
from audiorec.recall.federated.psi import Salt, align_music, align_partner


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Compute buckets here: processes are started once, by one test."""

    class Here:
        def __init__(self, *_, **__):
            self.work = psi.handler()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def ask(self, item):
            from audiorec.runs.workers import Answer

            return Answer(item, value=self.work(item))

    monkeypatch.setattr(psi, "Workers", Here)
    return monkeypatch


class Side:
    """An item side that aligns in a thread."""

    def __init__(self, ids, **options):
        self.desk, self.found, self.error = Desk(timeout_s=20), None, None
        given = (Normalised.of(ids), options)
        self.thread = threading.Thread(target=self._run, args=given, daemon=True)
        self.thread.start()

    def _run(self, ids, options):
        try:
            self.desk.welcome(self.desk.accept(20))
            self.found = align_music(self.desk, ids, **options)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error
            self.desk.close()


def aligned(ours, *theirs, observer=None):
    """Align a partner with item sides; return all alignments, the partner's first."""
    sides = [Side(ids) for ids in theirs]
    callers = [Caller(Direct(side.desk, observer)) for side in sides]
    for caller in callers:
        caller.hello("align")
    found = align_partner(callers, Normalised.of(ours))
    for side in sides:
        side.thread.join(20)
    return [found, *(side.found for side in sides)]


def people(first, last):
    return [f"listener-{n}@example.org" for n in range(first, last)]


def test_both_sides_get_the_plain_intersection_in_one_order(in_this_process):
    in_this_process.setattr(psi, "BUCKET_IDS", 8)
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


def test_one_bucket_may_be_far_larger(in_this_process):
    in_this_process.setattr(psi, "BUCKET_IDS", 10)
    plain = Salt.bucket

    def lopsided(self, form, n_buckets):
        return (
            n_buckets - 1 if int(form[9:].partition("@")[0]) % 9 else plain(self, form, n_buckets)
        )

    in_this_process.setattr(Salt, "bucket", lopsided)
    partner, music = aligned(people(0, 70), people(30, 110))
    assert set(partner.user_ids) == set(people(30, 70))
    assert partner.user_ids == music.user_ids


def test_a_bucket_beyond_the_limit_is_refused_before_anything_is_computed(in_this_process):
    in_this_process.setattr(psi, "MAX_BUCKET_IDS", 5)
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


def test_three_businesses_learn_only_what_all_three_have():
    partner, first, second = aligned(people(0, 40), people(10, 60), people(0, 25))
    assert set(partner.user_ids) == set(people(10, 25))
    assert partner.user_ids == first.user_ids == second.user_ids
    assert partner.ids == (*first.ids, *second.ids)
    assert first.ids != second.ids


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


def test_a_token_of_somebody_else_is_refused():
    side = Side(people(0, 5))
    caller = Caller(Direct(side.desk))
    caller.hello("align")
    request(caller, ["listener-1@example.org"])
    token = Salt.of(caller.nonces).token
    stranger = token("listener-77@example.org")
    with pytest.raises(RefusedError, match="a token is unknown to this side"):
        caller.ask(
            MessageKind.COMMON, {"first": 0, "total": 1}, stranger, expect=MessageKind.AGREED
        )
    side.thread.join(10)
    assert isinstance(side.error, ProtocolError)


def request(caller, guesses, *, said=None, in_bucket=None):
    """Ask an item side about guesses, as a partner that says to have `said` ids would."""
    said = len(guesses) if said is None else said
    caller.ask(MessageKind.COUNT, {"ids": said}, expect=MessageKind.COUNTED)
    library = psi._require()
    elements = [Salt.of(caller.nonces).element(guess) for guess in guesses]
    asked = library.client.CreateWithNewKey(True).CreateRequest(elements).SerializeToString()
    fields = {"bucket": 0, "ids": said if in_bucket is None else in_bucket}
    caller.ask(MessageKind.BUCKET, fields, asked, expect=MessageKind.ANSWER)
    caller.ask(MessageKind.BUCKET, {"bucket": -1, "ids": 0}, expect=MessageKind.ANSWER)


@pytest.mark.parametrize("in_bucket", [10, 300])
def test_a_partner_cannot_try_more_ids_than_it_says(in_bucket):
    """It says 10, and sends a dictionary in one bucket: as 10 ids, or as what they are."""
    side = Side(people(0, 50))
    caller = Caller(Direct(side.desk))
    caller.hello("align")
    with pytest.raises(RefusedError, match=r"expected 10 ids.*as said, got 300"):
        request(caller, people(0, 300), said=10, in_bucket=in_bucket)
    side.thread.join(10)
    assert isinstance(side.error, ProtocolError)
    assert side.found is None


def test_a_partner_that_says_more_than_it_sends_is_refused():
    side = Side(people(0, 50))
    caller = Caller(Direct(side.desk))
    caller.hello("align")
    with pytest.raises(RefusedError, match="expected 40 ids in all buckets, as said, got 5"):
        request(caller, people(0, 5), said=40, in_bucket=5)
    side.thread.join(10)
    assert isinstance(side.error, ProtocolError)


def test_a_partner_cannot_name_more_users_than_it_has():
    side = Side(people(0, 5))
    caller = Caller(Direct(side.desk))
    caller.hello("align")
    request(caller, people(0, 1))
    tokens = b"".join(map(Salt.of(caller.nonces).token, people(0, 2)))
    fields = {"first": 0, "total": 2}
    with pytest.raises(RefusedError, match="2 common users of 1 ids"):
        caller.ask(MessageKind.COMMON, fields, tokens, expect=MessageKind.AGREED)
    side.thread.join(10)
    assert isinstance(side.error, ProtocolError)


@pytest.mark.parametrize("told", [10, 300], ids=["as 10 ids", "as what they are"])
def test_an_item_side_cannot_try_more_ids_than_it_says(told, in_this_process):
    """It says 10, and answers with a dictionary: the partner would name its members to it."""
    desk, guesses = Desk(timeout_s=20), people(0, 300)

    def cheat():
        desk.welcome(desk.accept(20))
        desk.receive(MessageKind.COUNT)
        desk.reply(MessageKind.COUNTED, {"ids": 10, "buckets": 1})
        question = desk.receive(MessageKind.BUCKET)
        elements = [Salt.of(desk.nonces).element(guess) for guess in guesses]
        item = ("answer", b"", elements, question.payload, b"", int(question["ids"]))
        setup, response = psi.handler()(item)
        fields = {"bucket": 0, "setup": len(setup), "ids": told}
        desk.reply(MessageKind.ANSWER, fields, setup + response)

    thread = threading.Thread(target=cheat, daemon=True)
    thread.start()
    caller = Caller(Direct(desk))
    caller.hello("align")
    with pytest.raises(ProtocolError, match=r"expected 10 ids.*as said, got 300"):
        align_partner([caller], Normalised.of(people(20, 40)))
    thread.join(10)


def test_both_sides_say_how_many_ids_the_other_one_tries():
    said = []
    side = Side(people(0, 7), say=said.append)
    caller = Caller(Direct(side.desk))
    caller.hello("align")
    align_partner([caller], Normalised.of(people(3, 12)), say=said.append)
    side.thread.join(10)
    assert said == ["the other side tries 9 ids", "the other side tries 7 ids"]


def test_a_request_that_is_no_request_is_refused():
    side = Side(people(0, 5))
    caller = Caller(Direct(side.desk))
    caller.hello("align")
    caller.ask(MessageKind.COUNT, {"ids": 1}, expect=MessageKind.COUNTED)
    with pytest.raises(RefusedError, match="expected bucket 0"):
        caller.ask(
            MessageKind.BUCKET, {"bucket": 3, "ids": 1}, b"\xff" * 35, expect=MessageKind.ANSWER
        )


def test_bytes_that_are_no_message_of_the_library_end_the_alignment_alone(monkeypatch):
    """They are parsed by a process of their own, whatever becomes of it."""
    monkeypatch.undo()
    side = Side(people(0, 5))
    caller = Caller(Direct(side.desk))
    caller.hello("align")
    caller.ask(MessageKind.COUNT, {"ids": 1}, expect=MessageKind.COUNTED)
    bad = {"bucket": 0, "ids": 1}
    caller.ask(MessageKind.BUCKET, bad, b"\xff\x00" * 70, expect=MessageKind.ANSWER)
    with pytest.raises(RefusedError, match="the request of a bucket is unreadable"):
        caller.ask(MessageKind.BUCKET, {"bucket": -1, "ids": 0}, expect=MessageKind.ANSWER)
    side.thread.join(10)
    assert isinstance(side.error, ProtocolError)
    assert "expected requests of openmined-psi" in str(side.error)


def test_buckets_are_computed_in_processes_of_their_own(monkeypatch):
    monkeypatch.undo()
    partner, music = aligned(people(0, 20), people(12, 30))
    assert partner == music
    assert set(partner.user_ids) == set(people(12, 20))


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

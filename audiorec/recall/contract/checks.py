"""One set of checks for every channel, ours and yours.

    check_channel(MyChannel)  ──▶ nothing, or a `ContractError` with every rule that does not hold

Each check is a small experiment on made-up listening: two kinds of music, users that hear one of
them and whose profiles say which, songs that nobody has played. Users have names that can be found
in no honest model.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from audiorec.errors import ContractError, InputError
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import Candidates
from audiorec.recall.contract.channel import Channel, Horizon, Serves, best_of
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.contract.space import SharedSpace

K = 10
N_SONGS, N_NEW, N_USERS = 40, 6, 60
Make = Callable[[], Channel]
Check = Callable[[Make, RecallData], bool]


def check_channel(make: Make, data: RecallData | None = None) -> None:
    """Hold a channel to the contract (see `audiorec.recall.contract.channel`).

    Parameters
    ----------
    make : callable
        Returns a channel that is not fitted: its class, if all of its recipe has defaults.
    data : RecallData, optional
        What to fit it on, with songs that were never played; made up by default.

    Rules that the channel names in `Channel.waived` are passed over.

    Raises
    ------
    ContractError
        With a sentence for each rule that does not hold.
    """
    world = data or made_up_listening()
    waived = make().waived
    broken = [f"waives what is no rule: {rule!r}" for rule in waived if rule not in CHECKS]
    for rule, check in CHECKS.items():
        if rule in waived:
            continue
        try:
            held = check(make, world)
        except Exception as error:  # noqa: BLE001 - whatever a channel raises is an answer
            broken.append(f"{rule} (it raised {type(error).__name__}: {error})")
            continue
        if not held:
            broken.append(rule)
    if broken:
        raise ContractError(make().name, tuple(broken))


def made_up_listening(seed: int = 0) -> RecallData:
    """Return the listening of the checks: two kinds of music, and songs that nobody has played."""
    rng = np.random.default_rng(seed)
    half = N_SONGS // 2
    lists = []
    for user in range(N_USERS):
        songs = rng.integers(0, half, rng.integers(3, 12)) + half * (user % 2)
        lists.append([f"song-{song:03d}" for song in songs.tolist()])
    plays = Sequences.from_lists(lists, [f"listener-{user:04d}" for user in range(N_USERS)])
    seconds = (1.7e9 + 3600.0 * np.arange(len(plays.song))).astype(np.float64)
    new = tuple(f"song-new-{number}" for number in range(N_NEW))
    catalogue = tuple(sorted({*(f"song-{n:03d}" for n in range(N_SONGS)), *new}))
    kind = (np.arange(len(catalogue)) >= half).astype(np.int64)
    units = rng.normal(size=(len(catalogue), 4)) * 0.3 + np.eye(4)[kind]
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    artists = tuple(f"artist {number // 4}" for number in range(len(catalogue)))
    sound = Sound(catalogue, units.astype(np.float32), artists)
    hears = [("slow", "fast")[user % 2] for user in range(N_USERS)]
    profiles = Profiles(plays.owner_ids, {"hears": hears}, {"age": np.arange(N_USERS) % 30 + 20.0})
    return RecallData(replace(plays, time=seconds), new, Context(sound=sound, profiles=profiles))


@contextmanager
def _saved(channel: Channel) -> Iterator[Path]:
    """Save a channel into a folder that goes when the check is over."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        channel.save(path)
        yield path


def _asked(data: RecallData) -> Queries:
    """Return the users of the data as queries, with what is known of them beside their plays."""
    return data.context.asked(data.sequences)


def _recalled(channel: Channel, data: RecallData, k: int = K, **options: object) -> Candidates:
    return channel.recall(_asked(data), k, **options)  # type: ignore[arg-type]


def _same(one: Candidates, other: Candidates) -> bool:
    pairs = ((one.song, other.song), (one.similarity, other.similarity), (one.cold, other.cold))
    same = all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)
    return same and one.song_ids == other.song_ids


def _says_what_it_is(make: Make, data: RecallData) -> bool:  # noqa: ARG001
    channel = make()
    serves = channel.serves and channel.serves <= set(get_args(Serves))
    told = channel.name and channel.people and (type(channel).__doc__ or "").strip()
    return bool(serves and told) and channel.horizon in get_args(Horizon)


def _recipe_is_left_alone(make: Make, data: RecallData) -> bool:
    channel = make()
    before = repr(getattr(channel, "recipe", None))
    fitted = channel.fit(data)
    _recalled(fitted, data)
    recipe = getattr(channel, "recipe", None)
    about: Any = getattr(recipe, "__dataclass_params__", None)
    frozen = about is None or about.frozen
    return fitted is channel and frozen and repr(recipe) == before


def _data_is_left_alone(make: Make, data: RecallData) -> bool:
    ours = replace(data)  # with nothing worked out yet
    before = _content(ours)
    _recalled(make().fit(ours), ours, exclude=ours.sequences, cold=3)
    return _content(ours) == before


def _content(data: RecallData) -> list[bytes]:
    plays, sound = data.sequences, data.sound
    arrays: list[Any] = [plays.starts, plays.song, plays.time]
    arrays += [] if sound is None else [sound.units, sound.values]
    ids = " ".join((*plays.owner_ids, *plays.song_ids, *data.new_songs))
    return [ids.encode(), *(array.tobytes() for array in arrays)]


def _learns_nothing_before_fit(make: Make, data: RecallData) -> bool:
    try:
        _recalled(make(), data)
    except InputError:
        return True
    return False


def _refuses_empty_data(make: Make, data: RecallData) -> bool:
    try:
        make().fit(RecallData(Sequences.from_lists([[]]), data.new_songs))
    except InputError:
        return True
    return False


def _lists_are_ordered(make: Make, data: RecallData) -> bool:
    found = _recalled(make().fit(data), data, cold=N_NEW)
    for song, similarity, cold in zip(found.song, found.similarity, found.cold, strict=True):
        there = song >= 0
        if len(set(song[there].tolist())) != there.sum() or np.isnan(similarity[there]).any():
            return False
        for side in (there & ~cold, there & cold):
            keys = list(zip(-similarity[side], song[side], strict=True))
            if keys != sorted(keys):
                return False
    return bool((found.song >= 0).any())


def _save_and_load_change_nothing(make: Make, data: RecallData) -> bool:
    channel = make().fit(data)
    with _saved(channel) as path:
        loaded = type(channel).load(path)
        return _same(_recalled(channel, data, cold=3), _recalled(loaded, data, cold=3))


def _second_fit_refits(make: Make, data: RecallData) -> bool:
    once = make().fit(data)
    again = make().fit(made_up_listening(seed=1)).fit(data)
    return _same(_recalled(once, data), _recalled(again, data))


def _one_query_equals_a_batch(make: Make, data: RecallData) -> bool:
    channel, queries = make().fit(data), _asked(data)
    whole = channel.recall(queries, K)
    for row in (0, 1, len(queries) - 1):
        one = channel.recall(queries.take(np.array([row])), K)
        close = np.allclose(one.similarity[0], whole.similarity[row], 1e-5, 1e-6, equal_nan=True)
        if one.of(0) != whole.of(row) or not close:
            return False
    return True


def _cold_songs_are_apart(make: Make, data: RecallData) -> bool:
    channel = make().fit(data)
    plain, both = _recalled(channel, data), _recalled(channel, data, cold=3)
    new = set(data.new_songs)
    if any(song in new for row in range(len(plain)) for song in plain.of(row)):
        return False
    marked = [[both.song_ids[s] in new for s in row if s >= 0] for row in both.song.tolist()]
    flags = [cold[song >= 0].tolist() for cold, song in zip(both.cold, both.song, strict=True)]
    behind = all(row == sorted(row) and sum(row) <= 3 for row in marked)
    return (
        marked == flags
        and behind
        and np.array_equal(both.song[:, : plain.song.shape[1]], plain.song)
    )


def _new_songs_get_a_place(make: Make, data: RecallData) -> bool:
    # A catalogue needs no more than to say that it serves them; what it says has to hold.
    channel = make().fit(data)
    if "cold_song" not in channel.serves or not data.new_songs:
        return True
    return bool(_recalled(channel, data, cold=3).cold.any())


def _a_profile_is_enough(make: Make, data: RecallData) -> bool:
    channel = make().fit(data)
    people = data.context.profiles
    if "profile" not in channel.serves or people is None:
        return True
    known, nobody = people.user_ids[:2], Sequences.from_lists([[]], ["newcomer-0001"])
    asked = Sequences.from_lists([[] for _ in known], list(known))
    found = channel.recall(Queries(asked, None, people.for_users(known)), K)
    stranger = Queries(nobody, None, people.for_users(nobody.owner_ids))
    channel.recall(stranger, K)  # nothing is known of them: short lists are no error
    return all(found.of(row) for row in range(len(found)))


def _evidence_is_of_the_history(make: Make, data: RecallData) -> bool:
    found = _recalled(make().fit(data), data, cold=3)
    for row, evidence in enumerate(found.evidence):
        heard = {data.sequences.song_ids[song] for song in data.sequences[row]}
        named = [found.song_ids[song] for song in evidence[evidence >= 0].tolist()]
        if not heard.issuperset(named) or (evidence[found.song[row] < 0] >= 0).any():
            return False
    return True


def _users_and_songs_share_a_space(make: Make, data: RecallData) -> bool:
    channel = make().fit(data)
    if not isinstance(channel, SharedSpace):
        return True
    queries = _asked(data)
    users, songs = channel.embed_users(queries), channel.song_embeddings()
    sizes = (len(users), len(songs)) == (len(queries), len(channel.song_ids))
    good = sizes and users.shape[1] == songs.shape[1]
    good &= users.dtype == songs.dtype == np.float32
    good &= bool(np.isfinite(users).all() and np.isfinite(songs).all() and users.any())
    one = channel.embed_users(queries.take(np.array([1])))
    good &= np.allclose(one[0], users[1], 1e-4, 1e-5)
    if data.sound is not None and channel.hears != "nothing":
        heard = channel.embed_sound(data.sound)
        good &= heard.shape == (len(data.sound.song_ids), users.shape[1])
        good &= bool(np.isfinite(heard).all())
    with _saved(channel) as path:
        loaded = type(channel).load(path)
        good &= np.array_equal(loaded.song_embeddings(), songs)
        return good and np.array_equal(loaded.embed_users(queries), users)


def _exclude_holds(make: Make, data: RecallData) -> bool:
    channel = make().fit(data)
    found = _recalled(channel, data, exclude=data.sequences)
    everything = _recalled(channel, data, N_SONGS)
    for row in range(len(found)):
        heard = {data.sequences.song_ids[s] for s in data.sequences[row]}
        if found.of(row) != [song for song in everything.of(row) if song not in heard][:K]:
            return False
    return True


def _allowed_holds(make: Make, data: RecallData) -> bool:
    channel, few = make().fit(data), data.sequences.song_ids[::3]
    found, everything = (_recalled(channel, data, N_SONGS, allowed=a) for a in (few, None))
    for row in range(len(found)):
        if found.of(row) != [song for song in everything.of(row) if song in few]:
            return False
    return True


def _k_beyond_the_catalogue(make: Make, data: RecallData) -> bool:
    channel = make().fit(data)
    few, many = _recalled(channel, data, N_SONGS), _recalled(channel, data, 10 * N_SONGS)
    return all(few.of(row) == many.of(row) for row in range(len(few)))


def _a_shorter_list_is_the_beginning(make: Make, data: RecallData) -> bool:
    # Where the cut goes through songs of one similarity, it has to go through them by id.
    channel = make().fit(data)
    everything = _recalled(channel, data, N_SONGS)
    return all(
        _recalled(channel, data, k).of(row) == everything.of(row)[:k]
        for k in (1, 3, K)
        for row in range(0, len(data.sequences), 7)
    )


def _recall_and_judge_agree(make: Make, data: RecallData) -> bool:
    # The judge ranks blocks of similarities; users get what recall says.
    channel, queries = make().fit(data), _asked(data)
    for options in ({}, {"exclude": data.sequences}, {"allowed": data.sequences.song_ids[::3]}):
        found = channel.recall(queries, K, **options)
        blocks = channel.blocks(queries, **options)
        best = np.concatenate([best_of(block, ~channel.is_cold, K)[0] for block in blocks])
        if not np.array_equal(found.song[:, : best.shape[1]], best):
            return False
    return True


def _nobody_and_unknown_songs(make: Make, data: RecallData) -> bool:
    channel = make().fit(data)
    first = [data.sequences.song_ids[song] for song in data.sequences[0].tolist()]
    asked = Sequences.from_lists([[], ["never-seen"], first, ["never-seen", *first]])
    found = channel.recall(Queries(asked), K)
    nobody = channel.recall(Queries(Sequences.from_lists([])), K)
    return found.of(0) == found.of(1) and found.of(2) == found.of(3) and len(nobody) == 0


def _bundle_holds_no_user(make: Make, data: RecallData) -> bool:
    with _saved(make().fit(data)) as path:
        files = sorted(file for file in path.rglob("*") if file.is_file())
        content = b"".join(file.name.encode() + file.read_bytes() for file in files)
    return not _named(content, data.sequences.owner_ids)


def _named(content: bytes, user_ids: Sequence[str]) -> bool:
    """Whether an id stands in some bytes, one byte a letter or with zeros between them."""
    spelled = (content, content.replace(b"\0", b""))
    return any(user.encode() in text for user in user_ids for text in spelled)


def _threads_agree(make: Make, data: RecallData) -> bool:
    with ThreadPoolExecutor(4) as pool:
        channel = pool.submit(lambda: make().fit(data)).result()
        expected = _recalled(channel, data)
        return all(
            _same(expected, f) for f in pool.map(lambda _: _recalled(channel, data), range(8))
        )


def _loads_without_torch(make: Make, data: RecallData) -> bool:
    channel = make().fit(data)
    if not channel.light:
        return True
    kind = type(channel)
    with _saved(channel) as path:
        code = (
            f"import sys; from {kind.__module__} import {kind.__qualname__} as C; "
            f"C.load({str(path)!r}); sys.exit('torch' in sys.modules)"
        )
        if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
            return True  # nobody else can import it
        environment = {"PYTHONPATH": ":".join(p for p in sys.path if p)}
        return subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0  # noqa: S603


CHECKS: dict[str, Check] = {
    # First: once a channel has changed the data, a second time may change nothing more.
    "what it learns from stays as it was": _data_is_left_alone,
    "it says what it proposes, what it serves and for how long": _says_what_it_is,
    "fit returns the channel, and its recipe stays as it was": _recipe_is_left_alone,
    "before fit, recall is an InputError": _learns_nothing_before_fit,
    "data without a play is an InputError": _refuses_empty_data,
    "lists are ordered by similarity, equals by id, no song twice": _lists_are_ordered,
    "save and load change nothing": _save_and_load_change_nothing,
    "a second fit begins anew": _second_fit_refits,
    "one query gets the same alone and in a batch": _one_query_equals_a_batch,
    "songs never played come only if asked for, behind the others, marked": _cold_songs_are_apart,
    "what says that it serves new songs proposes some": _new_songs_get_a_place,
    "what says that it serves profiles answers to one alone": _a_profile_is_enough,
    "evidence is a song of the history": _evidence_is_of_the_history,
    "users and songs of a shared space are finite, and the same once loaded": (
        _users_and_songs_share_a_space
    ),
    "exclude holds, and changes nothing else": _exclude_holds,
    "allowed holds, and changes nothing else": _allowed_holds,
    "k beyond the catalogue gives what there is": _k_beyond_the_catalogue,
    "a shorter list is the beginning of a longer one, ties included": (
        _a_shorter_list_is_the_beginning
    ),
    "what recall proposes is what the judge ranks": _recall_and_judge_agree,
    "no history and unknown songs are no error and say nothing": _nobody_and_unknown_songs,
    "a bundle holds no id of a user": _bundle_holds_no_user,
    "fits in a thread, and threads agree": _threads_agree,
    "what says that it is light loads without torch": _loads_without_torch,
}

"""Servers, accounts and lists, as written in the user's own settings.

::

    [players.home]                        # audiorec sync home
    kind = "subsonic"
    url = "https://music.example.org"
    members = [{ user = "ana", secret = "env:ANA" }, { user = "ben", secret = "file:~/.ben" }]
    [players.home.lists.Tonight]
    recommend = "daily"                   # the other keys are options of `audiorec recommend`

Only the user's own file and one named on the command line are read: a file that lies in a folder
never opens the network. A secret stands in none of them, only where it is.
"""

import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from audiorec.errors import InputError, MissingFileError
from audiorec.files.own_settings import user_settings
from audiorec.files.user_files import as_field_type, as_type, from_table, read_settings
from audiorec.options import Field, check_range, fields_of, made
from audiorec.players.contract import PLAYERS, Account
from audiorec.recall.serving.answers import RecommendQuestion
from audiorec.search.questions import FindQuestion, PlaylistQuestion, SimilarQuestion

TABLE = "players"
MARK = " (audiorec)"  # behind the name of each list on a server
MOST_SECRET = 4096  # bytes
OTHERS = 0o077  # who else may read a file
# What a list's table names first, and the field of the question that it fills.
QUESTIONS: Mapping[str, tuple[type, str]] = {
    "recommend": (RecommendQuestion, "entry"),
    "playlist": (PlaylistQuestion, "seeds"),
    "similar": (SimilarQuestion, "seeds"),
    "find": (FindQuestion, "text"),
}
FILE = "file"  # a list from a playlist file


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMember:
    """An account of a server, and whose it is."""

    user: str = ""  # to sign in with; empty for servers without users
    secret: str = ""  # where the password is: ``env:NAME`` or ``file:PATH``
    name: str = ""  # the user id in the log; by default `user`, or the name of the server
    sign_in: str = ""  # see the kind of player


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRecipe:
    """A list to keep on a server: the answer to a question, or a playlist file."""

    name: str
    question: Any = None  # one of `QUESTIONS`
    file: Path | None = None
    members: tuple[str, ...] = ()  # who gets it; empty for everybody


RADIO = (
    ListRecipe(name="Tonight", question=RecommendQuestion()),
    ListRecipe(name="Radio", question=RecommendQuestion(entry="radio")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A music server or player.

    Raises `InputError` if two members have one name, or a list is for somebody else.
    """

    name: str  # in the settings; the `entry` of its plays in the log
    kind: str  # a name of `PLAYERS`, or ``module:Class``
    url: str
    members: tuple[ServerMember, ...] = (ServerMember(),)
    lists: tuple[ListRecipe, ...] = RADIO
    models: Path | None = None  # a folder of trained models, for lists that `recommend` makes
    by_sound: bool = False  # whether songs that nothing else names are fetched and heard

    def __post_init__(self) -> None:
        called = Counter(map(self.called, self.members))
        if not called or max(called.values()) > 1:
            raise InputError("two members have one name, or there is none; name each of them")
        for recipe in self.lists:
            if unknown := set(recipe.members) - set(called):
                raise InputError(f"{recipe.name}: there is no member {min(unknown)!r}")

    def player(self, member: ServerMember) -> Any:
        """Return the player of a member's account; nothing is connected yet.

        Raises `InputError` if there is no such kind, or the secret cannot be read.
        """
        about = {"url": self.url, "user": member.user, "sign_in": member.sign_in}
        try:
            account = Account(**about, secret=read_secret(member.secret))
            return PLAYERS.named(self.kind)(account)
        except InputError as error:
            raise InputError(f"[{TABLE}.{self.name}]: {error}") from error

    def called(self, member: ServerMember) -> str:
        """Return a member's user id in the log."""
        return member.name or member.user or self.name


def read_servers(names: Sequence[str], config: Path | None = None) -> list[Server]:
    """Return servers by name, from the user's own settings or from another file.

    Raises
    ------
    InputError
        If a server is not there, its table is wrong, or another table is for the same server.
    """
    where, tables = _tables(config)
    servers = []
    for name in names:
        if not isinstance(tables.get(name), Mapping):
            there = ", ".join(sorted(tables)) or "none"
            raise InputError(
                f"{where}: has no table [{TABLE}.{name}]; servers there: {there}; what such a "
                "table holds: audiorec sync --help"
            )
        servers.append(_server(name, tables[name], f"{where}: [{TABLE}.{name}]"))
        for other, table in tables.items():  # each would remove the lists of the other
            if other != name and isinstance(table, Mapping) and table.get("url") == servers[-1].url:
                raise InputError(f"{where}: [{TABLE}.{name}] and [{TABLE}.{other}] have one url")
    return servers


def server_names() -> list[str]:
    """Return the servers of the user's own settings."""
    return sorted(_tables(None)[1])


def _tables(config: Path | None) -> tuple[str, Mapping[str, Any]]:
    if config is not None:
        return str(config), read_settings(config, TABLE)
    own = user_settings()
    if own is None:
        return "your own settings", {}
    tables = own.content.get(TABLE, {})
    return str(own.path), tables if isinstance(tables, Mapping) else {}


def _server(name: str, content: Mapping[str, Any], where: str) -> Server:
    given = {key.replace("-", "_"): value for key, value in content.items()}
    try:
        if missing := {"kind", "url"} - set(given):
            raise InputError(f"lacks {' and '.join(sorted(missing))}")
        if "name" in given:
            raise InputError("unknown setting 'name': a server is called as its table")
        result: dict[str, Any] = {"name": name}
        if "lists" in given:
            lists = _table(given.pop("lists"))
            result["lists"] = tuple(_recipe(title, one) for title, one in lists.items())
        if "members" in given:
            if not isinstance(members := given.pop("members"), list):
                raise InputError("members must be a list of tables")
            result["members"] = tuple(
                from_table(ServerMember, _table(m), "members") for m in members
            )
        result |= {key: as_field_type(Server, key, value) for key, value in given.items()}
        return Server(**result)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _table(content: object) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise InputError(f"expected a table, got {content!r}")
    return content


def _recipe(name: str, content: object) -> ListRecipe:
    given = {key.replace("-", "_"): value for key, value in _table(content).items()}
    try:
        if not name.strip() or any(c in "/\\\0\r\n" for c in name):
            raise InputError("a name of a list has no line break, / or \\")
        about = {
            "name": name,
            "members": as_field_type(ListRecipe, "members", given.pop("members", ())),
        }
        kinds = [kind for kind in (*QUESTIONS, FILE) if kind in given]
        if len(kinds) != 1:
            raise InputError(f"give one of {', '.join((*QUESTIONS, FILE))}")
        if kinds == [FILE]:
            file = as_type(Path, FILE, given.pop(FILE)).expanduser()
            if given:
                raise InputError(f"a file has no {min(given)}")
            return ListRecipe(**about, file=file)
        kind, first = QUESTIONS[kinds[0]]
        question = _question(kind, {first: given.pop(kinds[0]), **given})
        return ListRecipe(**about, question=question)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _question(kind: type, given: Mapping[str, Any]) -> Any:
    """Return a question from the options of its command; those of its choice among them."""
    known = {field.key.replace("-", "_"): field for field in fields_of(kind)}
    first = {one.name for one in fields(kind)} & {"seeds", "text"}
    if unknown := sorted(given.keys() - known.keys() - first):
        names = ", ".join(sorted({*known, *first}))
        raise InputError(f"unknown key {unknown[0]!r}; there are: {names}")
    values = {field.name: field.default for field in known.values()}
    for key, value in given.items():
        if key in known:
            values[known[key].name] = _value(known[key], value)
        else:
            values[key] = _texts(key, value) if key == "seeds" else as_type(str, key, value)
    return made(kind, values)


def _value(field: Field, value: Any) -> Any:
    """Return a value that an option takes."""
    if field.is_several:
        return _texts(field.name, value)
    result = as_type(field.kind, field.name, value)
    check_range(field.option, field.name, result)
    return result


def _texts(name: str, value: Any) -> tuple[str, ...]:
    """Return a setting that is a list of texts; a single text counts as a list of one."""
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list) or not all(isinstance(one, str) for one in several):
        raise InputError(f"{name} must be texts, got {value!r}")
    return tuple(several)


def read_secret(place: str) -> str:
    """Return a secret from where it is kept; messages name the place alone.

    Raises
    ------
    InputError
        If there is none, or others can read its file.
    """
    if not place:
        return ""
    kind, _, name = place.partition(":")
    if kind == "env" and name:
        if result := os.environ.get(name):
            return result
        raise InputError(f"secret: the variable {name} is not set")
    if kind == "file" and name:
        return _read_secret(Path(name).expanduser())
    raise InputError('secret must be "env:NAME" or "file:PATH", not the secret')


def _read_secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise InputError(f"{path}: is not a file")
            if os.name == "posix" and about.st_mode & OTHERS:
                raise InputError(f"{path}: others can read it; run: chmod 600 {path}")
            result = file.read(MOST_SECRET).decode().strip()
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read") from error
    if not result:
        raise InputError(f"{path}: is empty")
    return result

"""A player in memory, as another package might bring it, and one that dies at a given moment."""

from audiorec.errors import PlayerError
from audiorec.listening.imports.rows import SongRef
from audiorec.players.contract import Account, Player, PlayerList, PlayerSong


class KilledError(BaseException):
    """The process ends here, whatever the code around it does."""


class MadeServer:
    """What a server holds; it stays when a client dies."""

    def __init__(self, songs="abcdefgh"):
        self.songs = {name: PlayerSong(song=SongRef(id=name, path=f"m/{name}")) for name in songs}
        self.lists = {}
        self.made = self.writes = 0

    def named(self):
        return {name: "".join(songs) for name, songs in self.lists.values()}


class MadePlayer(Player):
    """A player of a `MadeServer`; `dies` counts down the writes, before or after one of them."""

    def __init__(self, server, dies=None, *, before=False, error=KilledError):
        super().__init__(Account(url="made://server"))
        self.server, self.dies, self.before, self.error = server, dies, before, error

    def songs(self):
        yield from self.server.songs.values()

    def lists(self):
        return [PlayerList(key, name) for key, (name, _) in self.server.lists.items()]

    def songs_of(self, list_id):
        if list_id not in self.server.lists:
            raise PlayerError(f"no list {list_id}")
        return tuple(s for s in self.server.lists[list_id][1] if s in self.server.songs)

    def create(self, name, songs):
        def write():
            self.server.made += 1
            self.server.lists[f"l{self.server.made}"] = (name, self._checked(songs))

        self._write(write)

    def replace(self, list_id, songs):
        self.songs_of(list_id)
        checked = self._checked(songs)
        name = self.server.lists[list_id][0]
        self._write(lambda: self.server.lists.update({list_id: (name, checked)}))

    def remove(self, list_id):
        self.songs_of(list_id)
        self._write(lambda: self.server.lists.pop(list_id))

    def _checked(self, songs):
        if lost := set(songs) - set(self.server.songs):
            raise PlayerError(f"no song {lost}")
        return tuple(songs)

    def _write(self, write):
        self.server.writes += 1
        is_last = self.dies is not None and self.server.writes == self.dies
        if is_last and self.before:
            raise self.error("killed")
        write()
        if is_last:
            raise self.error("killed")

"""Keep a music server or player in step: what was played there, and lists that belong there.

::

    [players.home] of the user's settings ──settings──▶ `Server`: accounts, lists
    audiorec.players, entry points ──PLAYERS["subsonic"]──▶ a `Player`: one account of a server
    its songs, plays, likes ──match, log──▶ plays.parquet, with the ids of the store
    lists of the settings ──sync──▶ song ids ──push──▶ playlists of our own on the server

Nothing that a person made on a server is changed, and no secret is written anywhere.
"""

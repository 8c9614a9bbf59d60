"""Songs in an order to be played: a way between two, or so many minutes near some.

::

    store, songs ──of_store──▶ `PathOfSongs`, `PlaylistOfSongs`
                    │ units (n, W) ──find_path──────▶ `Path`      from one song to another
                    └              ──make_playlist──▶ `Playlist`  of a length, with curves
    rows of songs ──m3u8──▶ a file that players read

============  ======================================================================
``of_store``  paths and playlists of a store's songs, by their names
``path``      the smoothest way from one song to another
``playlist``  near some songs, as long as asked for, no artist twice in a row
``curves``    how a class's score moves over a playlist
``draft``     a playlist in the making
``remarks``   what of it is not as it was asked for, and why
``m3u8``      songs as extended M3U, with names that players and servers understand
============  ======================================================================

Public::

    of_store  path_between, playlist_near, SongList, PathOfSongs, PlaylistOfSongs, SPREAD
    path      find_path, Path
    playlist  make_playlist, Playlist
    draft     Wish
    curves    Curve, SHAPES, read_curves, deviations
    m3u8      PlaylistEntry, write_m3u8, render_m3u8, missing_files

Import the modules by name; the package itself imports nothing.
"""

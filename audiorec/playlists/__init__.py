"""Songs in an order to be played: a way between two, or so many minutes near some.

::

    units (n, W) of a store ──find_path──────▶ `Path`      from one song to another
                            ──make_playlist──▶ `Playlist`  of a length, with curves
    rows of songs ──m3u8──▶ a file that players read

============  ======================================================================
``path``      the smoothest way from one song to another
``playlist``  near some songs, as long as asked for, no artist twice in a row
``m3u8``      songs as extended M3U, with names that players and servers understand
============  ======================================================================

Public::

    path      find_path, Path
    playlist  make_playlist, Playlist, Wish, Curve, SHAPES
    m3u8      PlaylistEntry, write_m3u8, render_m3u8, missing_files

Import the modules by name; the package itself imports nothing.
"""

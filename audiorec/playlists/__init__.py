"""Playlists: a path between two songs, a list near some songs, or a whole library in lists.

::

    store, songs ──of_store──▶ `PathOfSongs`, `PlaylistOfSongs`
                    │ units (n, W) ──find_path──────▶ `Path`      from one song to another
                    └              ──make_playlist──▶ `Playlist`  of given length, with curves
    rows of songs ──m3u8──▶ a file for players
    store ──library_lists──▶ `DividedLibrary` ──list_folder──▶ a folder of playlists
            │ clusters: songs → groups of bounded size, stable from run to run
            └ group_names: groups → names

==================== ==================================================================
``of_store``         paths and playlists of a store's songs, by song names
``path``             the smoothest path from one song to another
``playlist``         a playlist near some songs, of given length, with artists spread
``listed_songs``     a list of songs as text and HTML
``curves``           target curves of a score or tempo over a playlist
``draft``            the working state of a playlist while it is built
``remarks``          where a playlist misses the request, and why
``m3u8``             extended M3U files that players and servers can read
``library_lists``    divide a whole library into named playlists
``clusters``         group songs by sound
``group_names``      name each group: genre, version, and what distinguishes it
``earlier_lists``    read the lists of an earlier run from their folder
``list_folder``      write the lists as files, without touching files of others
==================== ==================================================================

Public::

    of_store       path_between, playlist_near, SongList, PathOfSongs, PlaylistOfSongs, SPREAD
    path           find_path, Path
    playlist       make_playlist, Playlist
    draft          PlaylistRequest
    curves         Curve, SHAPES, read_curves, deviations
    m3u8           PlaylistEntry, write_m3u8, render_m3u8, missing_files
    library_lists  divide_library, DividedLibrary, NamedPlaylist, USUAL_SIZE
    earlier_lists  read_lists, EarlierLists
    list_folder    write_lists, WrittenLists

Import the modules by name; the package itself imports nothing.
"""

"""Songs in an order to be played: a way between two, or so many minutes near some.

::

    store, songs ──of_store──▶ `PathOfSongs`, `PlaylistOfSongs`
                    │ units (n, W) ──find_path──────▶ `Path`      from one song to another
                    └              ──make_playlist──▶ `Playlist`  of a length, with curves
    rows of songs ──m3u8──▶ a file that players read
    store ──library_lists──▶ `DividedLibrary` ──list_folder──▶ a folder of playlists
            │ clusters: songs → groups of bounded sizes, steady from night to night
            └ names_of_groups: groups → names

==================== ==================================================================
``of_store``         paths and playlists of a store's songs, by their names
``path``             the smoothest way from one song to another
``playlist``         near some songs, as long as asked for, no artist twice in a row
``listed_songs``     a list of songs as text and HTML
``curves``           how a class's score moves over a playlist
``draft``            a playlist in the making
``remarks``          what of it is not as it was asked for, and why
``m3u8``             songs as extended M3U, with names that players and servers understand
``library_lists``    a whole library divided into playlists with names
``clusters``         songs divided into groups by sound
``names_of_groups``  a name for each group: genre, version, what sets it apart
``earlier_lists``    the lists of an earlier night, as their folder knows them
``list_folder``      the lists as files, beside those of others
==================== ==================================================================

Public::

    of_store  path_between, playlist_near, SongList, PathOfSongs, PlaylistOfSongs, SPREAD
    path      find_path, Path
    playlist  make_playlist, Playlist
    draft     Wish
    curves    Curve, SHAPES, read_curves, deviations
    m3u8      PlaylistEntry, write_m3u8, render_m3u8, missing_files
    library_lists  divide_library, DividedLibrary, NamedPlaylist, USUAL_SIZE
    earlier_lists  read_lists, EarlierLists
    list_folder    write_lists, WrittenLists

Import the modules by name; the package itself imports nothing.
"""

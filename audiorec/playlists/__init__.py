"""Playlists: a path between two songs, a list near some songs, or a whole library in lists.

::

    store, songs ──of_store──▶ `PathOfSongs`, `PlaylistOfSongs`
                    │ units (n, W) ──find_path──────▶ `Path`      from one song to another
                    └              ──make_playlist──▶ `Playlist`  of given length, with curves
    rows of songs ──m3u8──▶ a file for players
    store ──library_lists──▶ `DividedLibrary` ──list_folder──▶ a folder of playlists
            │ clusters: songs → groups of bounded size, stable from run to run
            └ group_names: groups → names
"""

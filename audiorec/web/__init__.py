"""Web page of a library: browse and play songs, make playlists, see why a song was recommended.

::

    browser ──token, Host, Origin──▶ `Guard` ──▶ `BrowsePage`: files of this package, JSON, audio
        songs ──────────────▶ `SongColumns` columns of all, `SongView` one or two
        uri ─roots─▶ file ──▶ `SoundFiles` ──ranges──▶ parts of it, or of a worker's WAV
        lists ──────────────▶ `path_of`, `playlist_of`, `Saver`
        DIR of recall run ──▶ `RecommendationPages`: channels side by side, fused, with reasons
        state of the store ─▶ `store_state`

===================  ===================================================================
``server``           listens on a port and serves the page at an address with a token
``application``      the routes of the page
``access``           access control: token, host names, content security policy
``roots``            which files may be played: those below named folders, without links
``ranges``           HTTP range requests
``sound``            audio, waveforms and covers for a browser, read by a worker process
``song_columns``     all songs of a library as columns
``song_view``        one song, or two compared
``words``            numbers of a song in plain words
``lists``            paths and playlists, and saving them as files
``recommendations``  recommendations: channels, reasons, dials
``store_state``      the state of a store, and of a run in progress
``editions``         hot reload: rebuild a value when its files are replaced
``apis``             ``audiorec serve``: APIs for music servers and other programs
===================  ===================================================================

The folder ``static/`` holds the page itself: HTML, CSS and ES modules that need no build step; its
folder ``vendor/`` holds third-party code, with versions, licences and checksums. Starlette and
uvicorn come with the extra ``web``.

Public::

    server  serve, LOOPBACK

Import the modules by name; the package itself imports nothing.
"""

"""The page: see and hear a library, make lists, and ask why a song was recommended.

::

    browser ──token, Host, Origin──▶ `Guard` ──▶ `BrowsePage`: files of this package, JSON, audio
        songs ──────────────▶ `Shelf` columns of all, `SongView` one or two
        uri ─roots─▶ file ──▶ `SoundFiles` ──ranges──▶ parts of it, or of a worker's WAV
        lists ──────────────▶ `path_of`, `playlist_of`, `Saver`
        DIR of recall run ──▶ `Proposals`: channels side by side, fused, with reasons
        state of the store ─▶ `condition_of`

===============  ==================================================================
``server``       a port, an address with a token, and what answers behind it
``application``  the addresses of the page, and what answers to each
``access``       who may ask: the token, the names of the server, the page's policy
``roots``        which files may be heard: those below named folders, by no link
``ranges``       parts of a file over HTTP
``sound``        songs as a browser plays and draws them, by way of a worker
``shelf``        all songs of a library as columns
``song_view``    one song, or two
``words``        numbers of a song in the words of a listener
``lists``        paths, playlists, and the one thing that is written
``proposals``    recommendations: channels, reasons, dials
``condition``    the state of a store, and of a run at work
``editions``     what is made of files, made anew when one of them is replaced
``doors``        ``audiorec serve``: what music servers and other programs ask
===============  ==================================================================

The folder ``static/`` holds the page itself: HTML, CSS and ES modules that no tool has to build;
in it ``vendor/`` has what others wrote, with versions, licences and checksums. Starlette and
uvicorn come with the extra ``web``.

Public::

    server   serve, LOOPBACK

Import the modules by name; the package itself imports nothing.
"""

"""Web page of a library: browse and play songs, make playlists, see why a song was recommended.

::

    browser ──▶ `Gate` ──token, Host, Origin──▶ `Guard` ──▶ `BrowsePage`: files of it, JSON, audio
        songs ──────────────▶ `SongColumns` columns of all, `SongView` one or two
        uri ─roots─▶ file ──▶ `SoundFiles` ──ranges──▶ parts of it, or of a worker's WAV
        lists ──────────────▶ `path_of`, `playlist_of`, `Saver`
        DIR of recall run ──▶ `ServedNight`: what a night left, shared by all requests
            of it ──────────▶ `RecommendationPages`: channels side by side, fused, with reasons
        state of the store ─▶ `store_state`

The folder ``static/`` holds the page itself: HTML, CSS and ES modules that need no build step; its
folder ``vendor/`` holds third-party code, with versions, licences and checksums. Starlette and
uvicorn come with the extra ``web``.
"""

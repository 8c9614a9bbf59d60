"""HTTP APIs of ``audiorec serve``, one for each protocol that clients speak.

::

    vecs.parquet and files beside it ──`Editions`──▶ `Snapshot`: songs, names, artists, lists
    request ──`ApiServer`: rate, size, token──▶ audiomuse, subsonic, bliss, own ──▶ questions

==================  ============================================================
``server``          listens on a port and reloads the store when it changes
``connection``      timeout for clients that send their headers too slowly
``application``     all APIs on one port; the log
``limits``          limits on size, rate and time
``threads``         one compute thread per request
``request_counts``  Prometheus metrics
``messages``        a request and its response, independent of the framework
``snapshot``        a consistent view of all files, one per edition
``names``           the names that other programs have for songs
``artists``         artists by sound
``lists``           the lists of ``recall run``, read one user at a time
``searches``        similar songs, paths, playlists: queries shared by all APIs
``audiomuse``       AudioMuse-AI's plugins for Navidrome, Jellyfin and others
``subsonic``        OpenSubsonic's ``sonicSimilarity``
``bliss``           Lyrion's plugin BlissMixer
``own``             audiorec's own JSON API
``own_schemas``     JSON Schema of its responses
``forms``           parameters of its operations, and its OpenAPI document
==================  ============================================================

Public::

    server    serve_apis, read_token, check_token, PageSettings, LOOPBACK
    snapshot  SnapshotSources
    limits    RequestLimits
    threads   one_thread_each

Import the modules by name; the package itself imports nothing.
"""

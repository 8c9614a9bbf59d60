"""The doors of ``audiorec serve``: what music servers and other programs ask, in their words.

::

    vecs.parquet and what lies beside it ──`Editions`──▶ `Snapshot`: songs, names, artists, lists
    request ──`Doors`: rate, size, token──▶ audiomuse, subsonic, bliss, own ──▶ questions

===============  ==================================================================
``server``       a port, a token, a store that is watched
``connection``   clients that send their headers too slowly
``application``  all doors behind one port; the log
``limits``       size, rate and time
``threads``      one thread for each question
``tally``        what Prometheus reads
``exchange``     a request and its answer, without a framework
``snapshot``     what one request sees, read together
``names``        what other programs call a song
``artists``      artists by sound
``lists``        lists of ``recall run``, a user at a time
``questions``    near songs, a way, a playlist: what all doors ask
``audiomuse``    AudioMuse-AI's plugins for Navidrome, Jellyfin and others
``subsonic``     OpenSubsonic's ``sonicSimilarity``
``bliss``        Lyrion's plugin BlissMixer
``own``          audiorec's own JSON API
``own_schemas``  its answers in JSON Schema
``forms``        what its questions take, and its OpenAPI document
===============  ==================================================================

Public::

    server    serve_doors, read_token, check_token, PageWish, LOOPBACK
    snapshot  SnapshotSources
    limits    DoorLimits
    threads   one_thread_each

Import the modules by name; the package itself imports nothing.
"""

"""User-audio: a song's audio lies near the users who like it, whoever has heard it yet.

::

    log, sound, users ──learn──▶ a tower in its best state      held-out artists are left out
        ──channel──▶ histories become users, sound becomes songs; ``model.json``, weights, card
    any audio ──embed──▶ embeddings.parquet                     comparable with ``users.parquet``

===============  ===================================================================
``nearest``      songs and artists that sound like what was just played, untrained
``recipe``       everything but the data that decides what a model becomes
``held_out``     which songs a model never hears, and a log without them
``inputs``       songs heard by vectors, by features, or as audio decoded to log-mels
``log_mels``     audio → log-mel segments, in disposable workers
``data``         who likes what, sorted into what is learnt from and who judges
``batches``      which pairs are learnt from, and what stands against them
``closed_form``  the linear map that a tower starts from
``model``        the form of a tower, and its arithmetic in numpy
``tower``        the network in torch: on features, or end to end over a backbone
``trainer``      tower, data, recipe → the tower in its best state
``learn``        the above joined: listening and sound → a trained tower and its users
``channel``      the tower as a channel of recall, and its bundle
``embed``        stored sound, audio files, a store's songs → embeddings
``judge``        a model beside baselines, on artists and songs that it never heard
===============  ===================================================================

Public::

    nearest    NearestArtist, NearestArtistRecipe, NearestAudio, NearestRecipe
    channel    UserAudio
    recipe     UserAudioRecipe
    held_out   Split, artist_groups, assign_parts, write_known
    embed      EmbeddingReport, embed_audio, embed_stored, store_sources
    judge      Evaluation, judge_unheard
"""

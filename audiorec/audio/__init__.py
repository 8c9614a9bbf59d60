"""Audio file to log-mel segments: the first stage, in flat memory whatever the length.

::

    path ──sniff──▶ container, claimed length          content decides, never the extension
         ──decode─▶ blocks of samples (n,), 16 kHz     mono float32, with an `AudioInfo`
         ──mel────▶ frames (f, 96)                     one STFT over the whole track
         ──segment▶ `Segment` (187, 96), one per 3 s   what the backbone takes

=====================  =============================================================
``sniff``              what a file is, before any decoder sees it
``headers``, ``atoms`` what its header says: length, codec, encryption
``raw``                the contract of the two readers: blocks, or giving up
``soundfile_reader``   WAV, AIFF, AU, FLAC, MP3 → blocks (n, channels)
``pyav_reader``        Ogg, M4A, ADTS, CAF, and what the first gave up on → the same
``mono``               blocks (n, channels) → mono at 16 kHz, with measured levels
``decode``             the above joined: limits, fallback, status
``mel``, ``segment``   blocks → frames → segments, as they come
``content``            a hash of the audio packets, which retagging leaves alone
``tags``               title, artist, album
``stderr``             what C libraries print, kept for the error's reason
=====================  =============================================================

Import the modules by name; the package itself imports nothing.
"""

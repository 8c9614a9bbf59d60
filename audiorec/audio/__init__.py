"""Audio file to log-mel segments: the first stage, in flat memory whatever the length.

::

    path ──sniff──▶ container, claimed length          content decides, never the extension
         ──decode─▶ blocks of samples (n,), 16 kHz     mono float32, with an `AudioInfo`
         ──mel────▶ frames (f, 96)                     one STFT over the whole track
         ──segment▶ `Segment` (187, 96), one per 3 s   what the backbone takes

====================  =============================================================
``sniff``             what a file is, before any decoder sees it
``headers``           what its header says: length, codec
``mpeg_header``       the same for MP3 and ADTS, which have none but their frames
``atoms``             the boxes of an MP4: whether it is whole, and whether encrypted
``raw``               the contract of the two readers: blocks, or giving up
``soundfile_reader``  WAV, AIFF, AU, FLAC, MP3 → blocks (n, channels)
``pyav_reader``       Ogg, M4A, ADTS, CAF, and what the first gave up on → the same
``mono``              blocks (n, channels) → mono at 16 kHz, with measured levels
``decode``            the above joined: limits, fallback, status
``mel``               blocks → log-mel frames, as they come
``segment``           frames → segments, as they come
``envelope``          blocks → the waveform as it is drawn, some thousand pieces
``content``           a hash of the audio packets, which retagging leaves alone
``tags``              title, artist, album, ids
``stderr``            what C libraries print, kept for the error's reason
====================  =============================================================

Public::

    decode    decode, waveform
    mel       log_mel
    segment   segments
    envelope  envelope
    content   content_hash
    tags      SongTags, header_duration_s, read_tag, read_tags
"""

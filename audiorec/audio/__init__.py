"""Audio file to log-mel segments: the first stage, in flat memory whatever the length.

::

    path ──sniff──▶ container, claimed length          content decides, never the extension
         ──decode─▶ blocks of samples (n,), 16 kHz     mono float32, with an `AudioInfo`
         ──mel────▶ frames (f, 96) of power            one STFT over the whole track
         ──level──▶ LUFS, and a gain                   each track at one loudness
         ──segment▶ `Segment` (187, 96), one per 3 s   what the backbone takes

====================  =============================================================
``sniff``             what a file is, before any decoder sees it
``headers``           what its header says: length, codec
``mpeg_header``       the same for MP3 and ADTS, which have none but their frames
``ac3_header``        the same for AC-3 and E-AC-3
``atoms``             the boxes of an MP4: whether it is whole, and whether encrypted
``compressed``        headers of WavPack, Monkey's Audio, True Audio, Musepack
``dsd``               headers of DSF and DFF, and where their tags lie
``asf``               the objects of a WMA: length, encryption
``matroska``          the elements of Matroska and WebM: length, encryption, tags
``refused``           what is known by its first bytes and not read
``raw``               the contract of the two readers: blocks, or giving up
``soundfile_reader``  WAV, AIFF, AU, FLAC, MP3 → blocks (n, channels)
``pyav_reader``       all others, and what the first gave up on → the same
``mono``              blocks (n, channels) → mono at 16 kHz, with measured levels
``decode``            the above joined: limits, fallback, status
``filterbank``        the window and the mel bands of a spec
``mel``               blocks → spectra → mel power, as they come → log-mel frames
``level``             spectra → loudness of the track → its gain
``grid``              where segments lie in a track
``clips``             blocks → segments whose spectrograms are made one by one
``segment``           all that joined: blocks → segments at one loudness
``framing``           blocks cut anywhere → frames of one size, for what listens along
``tempo``             blocks → beats a minute, and how far to believe it
``tonality``          blocks → tonic and scale, and how far to believe them
``attributes``        the two above, heard while a song is decoded
``envelope``          blocks → the waveform as it is drawn, some thousand pieces
``playable``          what a player has to know of a file, and a WAV that all can play
``content``           a hash of the audio packets, which retagging leaves alone
``tags``              title, artist, album, ids
``ape_tags``          the tags at the end of WavPack, Monkey's Audio and Musepack
``stderr``            what C libraries print, kept for the error's reason
====================  =============================================================

Public::

    decode    decode, waveform
    mel       log_mel
    level     loudness_lufs, gain
    segment   levelled, segments
    tempo     Tempo, TempoMeter
    tonality  Key, KeyMeter
    attributes  Attributes, Listened, METHODS
    envelope  envelope
    playable  probe, write_wav, Playable
    content   content_hash, content_hash_of
    sniff     sniff, sniff_open, Container
    stderr    captured_stderr
    tags      SongTags, all_tags, header_duration_s, read_tag, read_tags
"""

"""Audio file to log-mel segments: the first stage, in constant memory whatever the length.

::

    path ──sniff──▶ container, claimed length          from the content, never the extension
         ──decode─▶ blocks of samples (n,), 16 kHz     mono float32, with an `AudioInfo`
         ──mel────▶ frames (f, 96) of power            one STFT over the whole song
         ──level──▶ LUFS and a gain                    every song at the same loudness
         ──segment▶ `Segment` (187, 96), one per 3 s   the backbone's input

====================  ==============================================================
``sniff``             detects the container before any decoder sees the file
``headers``           container headers: claimed length, codec
``mpeg_header``       the same for MP3 and ADTS, which have frame headers only
``ac3_header``        the same for AC-3 and E-AC-3
``atoms``             MP4 boxes: is the file complete, is it encrypted
``compressed``        headers of WavPack, Monkey's Audio, True Audio, Musepack
``dsd``               headers of DSF and DFF, and where their tags lie
``asf``               WMA objects: length, encryption
``matroska``          Matroska and WebM elements: length, encryption, tags
``unsupported``       formats recognised by their first bytes and refused
``raw``               the contract of the two readers: blocks or a `DecoderError`
``soundfile_reader``  WAV, AIFF, AU, FLAC, MP3 → blocks (n, channels)
``pyav_reader``       other formats, and files that libsndfile gave up on → the same
``mono``              blocks (n, channels) → mono at 16 kHz, with measured levels
``decode``            joins the above: limits, fallback, status
``filterbank``        the window and the mel bands of a spec
``mel``               blocks → spectra → mel power, streaming → log-mel frames
``level``             spectra → loudness of the song → its gain
``grid``              where segments lie in a song
``clips``             blocks → segments with a spectrogram computed for each
``segment``           joins the above: blocks → segments at one loudness
``framing``           blocks of any length → frames of fixed size, for the meters
``tempo``             blocks → beats per minute, with a confidence
``tonality``          blocks → tonic and scale, with a confidence
``attributes``        tempo and key, measured while a song is decoded
``envelope``          blocks → a waveform overview of a few thousand points
``playable``          format details for a player, and conversion to a WAV
``content``           a hash of the audio packets, unchanged by retagging
``tags``              title, artist, album, ids
``ape_tags``          the tags at the end of WavPack, Monkey's Audio and Musepack
``stderr``            captures what C libraries print, for error messages
====================  ==============================================================

Public::

    decode      decode, waveform
    mel         log_mel
    level       loudness_lufs, gain
    segment     levelled, segments
    tempo       Tempo, TempoMeter
    tonality    Key, KeyMeter
    attributes  Attributes, AttributeMeter, METHODS
    envelope    envelope
    playable    probe, write_wav, Playable
    content     content_hash, content_hash_of
    sniff       sniff, sniff_open, Container
    stderr      captured_stderr
    tags        SongTags, all_tags, header_duration_s, read_tag, read_tags
"""

"""Audio file to log-mel segments: the first stage, in constant memory whatever the length.

::

    path ──sniff──▶ container, claimed length          from the content, never the extension
         ──decode─▶ blocks of samples (n,), 16 kHz     mono float32, with an `AudioInfo`
         ──mel────▶ frames (f, 96) of power            one STFT over the whole song
         ──level──▶ LUFS and a gain                    every song at the same loudness
         ──segment▶ `Segment` (187, 96), one per 3 s   the backbone's input
"""

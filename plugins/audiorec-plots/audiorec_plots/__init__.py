"""Draw scores, songs, libraries, users and reports as pictures, for a notebook or a file.

::

    ScoreSeries, `Envelope` ──song_figure─────▶ waveform, and the scores over time
    two ScoreSeries         ──compare_figure──▶ their mean scores, and both over time
    a store                 ──library_figure──▶ a map: colour by genre, marker by version
    a map, plays, shares    ──user_figure─────▶ one user's plays on the map, and a portrait
    reports of channels     ──report_figure───▶ each measure with its interval
    a report of correlation ──correlation_figure──▶ users by r, beside shuffled completions
    a figure                ──write_picture───▶ PNG, SVG or HTML, byte for byte reproducible

No window is opened: functions take arrays or a store and return a matplotlib Figure, created
without pyplot. Only the command reads audio, for waveform and spectrogram, in a worker (`sound`).
"""

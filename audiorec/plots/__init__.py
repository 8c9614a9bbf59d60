"""Draw scores, songs, libraries and users as pictures, for a notebook or a file.

::

    ScoreSeries, `Envelope` ──song_figure─────▶ waveform, and the scores over time
    two ScoreSeries         ──compare_figure──▶ their mean scores, and both over time
    a store                 ──library_figure──▶ a map: colour by genre, marker by version
    a map, plays, shares    ──user_figure─────▶ one user's plays on the map, and a portrait
    reports of channels     ──report_figure───▶ each measure with its interval
    a figure                ──write_picture───▶ PNG, SVG or HTML, byte for byte reproducible

===================  ===================================================================
``song``             one song: its waveform and its scores over time
``compare``          two songs: where their scores differ
``library_map``      a library as a two-dimensional map, with names and counts
``user``             one user: plays on the map, and a portrait
``report``           reports of recall channels side by side
``panels``           scores over time, drawn as areas or as a heat map
``hubs``             songs that are near to many others, and where their names fit
``colours``          colours and markers of classes, distinguishable by the colour-blind
``lettering``        text from outside, as far as this machine's fonts can draw it
``figures``          create an empty figure, and write it to a file
``style``            the settings in which figures are drawn and saved
``notebook_figure``  a figure that notebooks display
===================  ===================================================================

Nothing is decoded and no window is opened: functions take arrays or a store and return a
matplotlib Figure, created without pyplot. Needs the extra ``plot``.

Public::

    song         song_figure, SONG_SIZE
    compare      compare_figure, COMPARE_SIZE
    library_map  library_figure, map_library, draw_map, LibraryMap, MAP_SIZE
    user         user_figure, USER_SIZE
    report       report_figure, report_rows
    figures      write_picture, picture_format, check_size, require_plots

Import the modules by name; the package itself imports nothing.
"""

"""Log-mel segments to backbone features, class scores and one vector per song.

::

    segments (T, 187, 96) ──backbone──▶ features: tags (T, 50), penultimate (T, 200), ...
                          ──heads─────▶ scores (T, 14)
                          ──statistics▶ vector (84,)
"""

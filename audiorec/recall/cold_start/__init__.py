"""Cold start: recommend new songs to users, and audiences for new songs.

::

    files ──sides───▶ songs (S, W), users (U, W), heard pairs; ``tastes`` of the users
          ──newcomers▶ songs that are new and music
          ──job─────▶ lists, block by block; ``assign`` resolves limits on both sides
          ──tables──▶ audience.parquet | songs.parquet, and the tastes beside it
"""

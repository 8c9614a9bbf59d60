"""Cold start: recommend new songs to users, and audiences for new songs.

::

    files ──sides───▶ songs (S, W), users (U, W), heard pairs; ``tastes`` of the users
          ──newcomers▶ songs that are new and music
          ──job─────▶ lists, block by block; ``assign`` resolves limits on both sides
          ──tables──▶ audience.parquet | songs.parquet, and the tastes beside it

=============  ======================================================================
``plan``       the request: kind and length of the lists, limits on both sides
``tastes``     tastes of users, as vectors to compare and as features for a ranker
``new_songs``  detection of copies of known audio, and of songs that are not music
``sides``      input files, opened and matched: songs and users as unit vectors
``assign``     assignment of songs to users under limits on both sides
``tables``     schemas of the output files, and the division of exposures over lists
``job``        the complete job, which resumes after a kill
=============  ======================================================================

Public::

    job        ColdStart
    plan       ColdStartPlan, ListLimits, LEAST_SIMILARITY
    tastes     Tastes
    new_songs  SongFacts, Screening, KnownAudio
    sides      ColdStartFiles, ColdStartInputs, Side, embedding_sides, open_inputs
    assign     assign
    tables     ListSummary, SummaryList, summarise_lists, rank_weights, tastes_path, whole_parts
"""

"""New songs to the users who may like them, and users to the new songs they may like.

::

    files ──sides───▶ songs (S, W), users (U, W), what was heard; ``tastes`` of the users
          ──newcomers▶ songs that are new, and music
          ──job─────▶ lists, block by block; ``assign`` chooses where songs compete
          ──tables──▶ audience.parquet | songs.parquet, and the tastes beside it

=============  ======================================================================
``plan``       what is asked for, and how much room that leaves on both sides
``tastes``     what users like, as vectors to compare by and as numbers for a ranker
``newcomers``  which new songs are copies of known audio, and which are no music
``sides``      the files, opened and matched: songs and users as unit vectors
``assign``     who hears which song, when both sides have limits
``tables``     columns of the files, and how exposures are divided over the lists
``job``        the above joined: a job that goes on after a kill
=============  ======================================================================

Public::

    job        ColdStart
    plan       ColdStartPlan, Room, LEAST_SIMILARITY
    tastes     Tastes
    newcomers  SongFacts, Screening, KnownAudio
    sides      ColdStartFiles, ColdStartInputs, Side, embedding_sides, open_inputs
    assign     assign
    tables     ListSummary, ShownList, summarise_lists, rank_weights, tastes_path, whole_parts
"""

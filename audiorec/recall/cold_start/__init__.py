"""New songs to the users who may like them, and users to the new songs they may like.

::

    files ──sides───▶ songs (S, W), users (U, W), what was heard, tastes
          ──job─────▶ lists, block by block; ``assign`` chooses where songs compete
          ──tables──▶ audience.parquet | songs.parquet

==========  ======================================================================
``plan``    what is asked for, and how much room that leaves on both sides
``sides``   the files, opened and matched: songs and users as unit vectors, tastes
``assign``  who hears which song, when both sides have limits
``tables``  columns of the lists, and how exposures are divided over them
``job``     the above joined: a job that goes on after a kill
==========  ======================================================================

Public::

    job        ColdStart
    plan       ColdStartPlan, Room
    sides      ColdStartFiles, ColdStartInputs, Side, embedding_sides, open_inputs
    assign     assign
    tables     count_lists, rank_weights, whole_parts
"""

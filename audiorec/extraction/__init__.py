"""Extract many songs to a store: list, decode, score, write rows; always resumable.

::

    paths ──catalogue──▶ sources ──plan──▶ new and changed songs
          ──run──▶ worker processes ──pipeline──▶ `Song` (vector, scores, features)
          ──journal──▶ vecs.parquet, vecs.errors.parquet, optional scores and features

    many machines:  manifest ──shards──▶ one part each, by one of `audiorec.engines`

===============  ====================================================================
``catalogue``    folders, globs, lists and manifests to `Source` rows
``naming``       song ids: the forms of ``--id-from``
``plan``         options of a run; which songs to extract and which rows to keep
``pipeline``     one song through all stages: audio, tagger, statistics
``backbones``    checks and adds a user's network, and configures extractors
``run``          the main loop: workers, journal, commit, report
``rows``         the output rows of one song
``estimate``     predicts the CPU time of a run
``watch``        updates a store when its folders change, by notification or polling
``reader``       single songs, each in a worker process
``manifest``     the songs of a sharded run, in a fixed order
``shards``       one shard of a manifest to one part of a store
``shard_tasks``  shards as tasks for an engine, and the report on all of them
===============  ====================================================================

Public::

    catalogue    Source, find_songs, read_list, read_manifest, uri_of
    naming       Naming, parse_naming, read_id_table, row_aliases
    plan         Plan
    pipeline     Extractor, ExtractorConfig, Song
    backbones    add_backbone, extractor_by_id, extractor_config
    run          extract, run, preview, make_outputs, run_metadata, Policy, RunOptions
    estimate     estimate
    watch        EVERY_S, SETTLE_S, best_change_source, watch
    reader       vector, scores, taggram, Reader, song_reader, taggram_reader, hash_reader,
                 envelope_reader
    manifest     find_sources, write_manifest
    shards       ShardConfig, local_parts, part_name, process_shard, read_shard
    shard_tasks  ShardOutcome, ShardsReport, ShardTask, gather, shard_tasks
"""

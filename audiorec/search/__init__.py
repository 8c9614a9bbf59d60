"""Similarity search over a store: nearest songs, with filters, limits and explanations.

::

    store ──`SearchableStore`──▶ `Space`: unit vectors (m, W) of the songs
          query ──prepare──▶ unit (W,) ──search, near──▶ `Neighbours`
                                         │ topk, or an index: the nearest songs, exactly
                                         │ choice: which songs are eligible (filters, music)
                                         └ diversify: limits per artist or album, diversity
          `Neighbours` ──explain──▶ reasons

=================  ====================================================================
``searchable``     a store with similarity search
``named``          resolve a text to a song id
``space_choice``   choose the default space of a store
``space``          the spaces in which songs are compared, their search and its result
``result_tables``  search results as tables, for people and for pandas
``bandwidth``      how limited audio bandwidth changes a song's vector
``scaling``        standardise and weight vectors, and normalise them to unit length
``topk``           exact top-k search over millions of vectors
``index``          search through a faiss index beside the store, for millions of songs
``index_build``    build such an index, in pieces for large stores
``index_files``    its files, and the worker processes that read them
``choice``         which songs are eligible, and the limits per artist and album
``near``           the nearest eligible songs of one query or several
``music``          tell music from speech, noise, silence and jingles
``tag_means``      mean backbone tags of every song
``attributes``     tempo, key and moods of the songs, where the store has them
``filters``        parse conditions and patterns, and select the matching songs
``diversify``      pick from a ranking under limits, trading similarity for diversity
``explain``        break a similarity down by class and statistic
``all_pairs``      the nearest songs of every song, as a resumable job
``duplicates``     find the same audio stored more than once
``atlas``          a two-dimensional map of a store
=================  ====================================================================

Public::

    searchable    SearchableStore
    named         song_named, song_of_file, stored_spelling
    space_choice  SpaceChoice, AutoBy
    choice        Choice, Chosen
    near          near_one, away_from, MINIMUM
    tag_means     tag_means, TagMeans
    music         is_music, why_not_music, why_vector_not_music
    space         Space, Neighbours, Neighbour, mean_direction, TABLES
    bandwidth     BandwidthEffect, second_moment
    scaling       By, DEFAULT_WEIGHTS
    topk          top_k
    index         check_index
    index_build   build_index
    index_files   IndexInfo, index_path, read_info
    attributes    numbers_of, tonic_of
    filters       parse_conditions, matching, excluding, mean_scores, class_number, text_codes,
                  name_codes
    diversify     Limit
    explain       Explanation, Reason
    all_pairs     all_pairs
    duplicates    find_duplicates, series_beside, Group
    atlas         write_atlas, project, top_classes, MapKind

Import the modules by name; the package itself imports nothing.
"""

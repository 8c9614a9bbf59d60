"""Which songs are alike: any song to its neighbours, with filters, limits and reasons.

::

    store ──`SearchableStore`──▶ `Space`: unit vectors (m, W) of the songs
          query ──prepare──▶ unit (W,) ──search, near──▶ `Neighbours`
                                         │ topk, or an index: who is nearest, exactly
                                         │ choice: who may come (filters, music)
                                         └ diversify: how many of one kind, how alike
          `Neighbours` ──explain──▶ why

===============  =====================================================================
``searchable``   a store that knows which songs are alike
``named``        which song a text means
``comparing``    what songs are compared by where nobody says
``space``        what songs are compared by; the search; its result
``listed``       its result as a table, for people and for pandas
``narrowing``    what a narrow band does to a song's vector
``scaling``      columns of wildly different scales → vectors of length 1; the weights
``topk``         the k nearest of millions, and their exact order
``index``        an index of faiss beside a store, for libraries of millions
``index_build``  makes one, of many songs in pieces
``index_files``  its files, and the processes of its own that read them
``choice``       which songs may come, and how many of one kind
``near``         the songs near one or several, among those that may come
``music``        which songs are music
``tag_means``    what the backbone hears in them: mean tags of every song
``attributes``   tempo, key and moods of the songs, where the store has them
``filters``      conditions and patterns in words → which songs are meant
``diversify``    the best of a ranking: at most so many of one kind, not all alike
``explain``      a similarity taken apart, by class and statistic
``all_pairs``    the nearest songs of every song, as a job that can be stopped
``duplicates``   the same audio more than once
``atlas``        a store as a map in two dimensions
===============  =====================================================================

Public::

    searchable   SearchableStore
    named        song_named, song_of_file, as_stored
    comparing    Basis, AutoBy
    choice       Choice, Chosen
    near         near_one, away_from, MINIMUM
    tag_means    tag_means, TagMeans
    music        is_music, why_not, why_no_music
    space        Space, Neighbours, Neighbour, mean_direction, TABLES
    narrowing    Narrowing, moment_of
    scaling      By, DEFAULT_WEIGHTS
    topk         top_k
    index        check_index
    index_build  build_index
    index_files  IndexInfo, index_path, read_info
    attributes   numbers_of, tonic_of
    filters      parse_conditions, matching, excluding, mean_scores, class_number,
                 text_codes, name_codes
    diversify    Limit
    explain      Explanation, Reason
    all_pairs    all_pairs
    duplicates   find_duplicates, series_beside, Group
    atlas        write_atlas, project, likeliest, MapKind

Import the modules by name; the package itself imports nothing.
"""

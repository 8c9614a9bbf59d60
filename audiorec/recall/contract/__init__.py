"""What all families of recall share: data, the channel, its candidates, and the checks.

::

    `RecallData` ──Channel.fit──▶ channel ──recall(`Queries`, k)──▶ `Candidates`
                                          ──check_channel──▶ the contract holds, or says where not

==============  ====================================================
``data``        what channels learn from, and what they are asked
``candidates``  lists of songs, with the reason for each
``reading``     what is known beside the listening, from files
``asking``      a channel is asked about many users, block by block
``tables``      candidates and targets as tables: ours, and anybody's
``counted``     what channels share that learn by counting
``channel``     one way to propose songs: the words that all share
``trained``     what a training by steps came to
``settings``    what can be set in a channel, and what it means
``space``       channels whose users and songs lie in one space
``interests``   those that give a user several embeddings, and the table of them
``song_facts``  what is known of songs, as the numbers that a model learns from
``next_song``   channels that learn what is played next: all but the network
``job``         a channel is trained and written; what was stopped goes on
``checks``      one set of checks for every channel
==============  ====================================================

Public::

    data        Context, Queries, RecallData, Sound
    candidates  Candidates, ReasonKind, SCHEMA
    reading     read_context
    asking      write_candidates
    tables      Lists, read_candidates, read_targets
    counted     Counted
    channel     Channel, best_of, block_rows
    trained     Trained
    settings    Setting, settings_of
    space       SharedSpace, users_in, write_users
    interests   InterestSpace, NamedInterest, UserInterests, write_interests
    next_song   NextSong
    job         is_first_process, train_channel
    checks      check_channel
"""

"""The recall contract: data, the channel interface, candidates and conformance checks.

::

    `RecallData` ──Channel.fit──▶ channel ──recall(`Queries`, k)──▶ `Candidates`
                                          ──check_channel──▶ an error lists each violated rule

================  ==================================================================
``data``          training data and queries
``candidates``    ranked songs, with the reason for each list
``reading``       read side information, sound and profiles from files
``batch_recall``  write the candidates of many users, block by block
``default_list``  songs for users without a history
``tables``        read candidates and targets, written by audiorec or by other tools
``counting``      base class of channels that learn by counting
``channel``       base class of all channels
``trained``       the result of an iterative training
``settings``      the fields of a recipe, with defaults and meanings
``space``         channels that embed users and songs in one space
``interests``     channels with several embeddings per user, and their table
``side_encoder``  encode side information and sound as model inputs
``next_song``     base class of next-song models: everything but the network
``job``           train a channel and write its bundle, with resume
``checks``        conformance checks that every channel must pass
================  ==================================================================

Public::

    data          Context, Queries, RecallData, Sound
    candidates    Candidates, ReasonKind, SCHEMA
    reading       read_context
    batch_recall  write_candidates
    default_list  DEFAULT, DefaultList, default_users
    tables        Lists, read_candidates, read_targets
    counting      CountingChannel
    channel       Channel, top_songs, block_rows
    trained       Trained
    settings      Setting, settings_of
    space         SharedSpace, users_in, write_users
    interests     InterestSpace, InterestDescription, UserInterests, write_interests
    next_song     NextSong
    job           is_first_process, train_channel
    checks        check_channel
"""

"""The user model: a history of liked songs and a profile become one embedding.

::

    likes, vectors, profiles ──examples──▶ (history, next liked song)
        ──trainer──▶ network in its best state      ``learning.fit`` is the loop
        ──job──────▶ users_model/
    interactions, profiles ──model──▶ users.parquet
    sequences ──channel──▶ songs near each user

============  ====================================================================
``recipe``    everything but the data that decides what a model becomes
``examples``  likes as examples: held out, of an epoch, of a batch
``network``   the model in torch, for training
``trainer``   data, recipe → the model of the best epoch
``model``     the same in numpy: its folder, catalogues of songs, embeddings
``job``       the above joined: listening, songs and profiles → model, users
``channel``   the model as a channel of recall: learnt from plays in their order
============  ====================================================================

Public::

    job        SongInputs, embed_users, train_user_model, training_data,
               write_song_side, write_users
    model      UsersModel
    recipe     UsersRecipe
"""

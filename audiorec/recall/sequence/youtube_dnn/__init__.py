"""youtube-dnn: embed a user from a history of plays or likes, and a profile.

::

    `RecallData` ──channel──▶ sound, profiles, and each play with those before it
        ──trainer──▶ best state of the network      ``learning.fit_refit`` is the loop
    history, profile ──model──▶ user ──channel──▶ songs near each user

=============  ==========================================================
``channel``    the recall channel: training data and answers
``recipe``     hyper-parameters
``examples``   plays as training examples: held-out part, epochs, batches
``network``    the model in torch, for training
``trainer``    data, recipe → the trained model
``model``      the same in numpy: embeddings of users
``sound_map``  embeddings of unplayed songs, from sound and artist
=============  ==========================================================

Public::

    channel  YoutubeDnn
    recipe   YoutubeDnnRecipe
"""

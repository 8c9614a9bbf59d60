"""Two businesses, one model: users by what the one knows, songs by what the other plays.

::

    partner: profiles, interests, tags ──UserHalf──▶ vectors of users ──▶ gradients, and back
    music:   songs, plays              ──ItemHalf──▶ gradients, clipped and noised
        learner    both in one process, for `recall train`: the same numbers, bit for bit
    songs ──two_tower | mmoe──▶ a channel; users ──▶ vectors, lists
    what crossed ──audit──▶ what it gave away    steps ──accounting──▶ epsilon, where one is valid

=================  ===================================================================
``recipe``         everything but the data that decides what a model becomes
``user_features``  what is known of users, as numbers
``draws``          what both sides draw alike: who judges, who is in a step
``noise``          clipping, noise and rounding of what crosses
``towers``         users' tower in torch: one network, or experts and gates
``forward``        the same in numpy, for answers
``ranking``        the loss of retrieval, and ranks among all items
``secret``         what a half keeps to itself
``item_half``      the half that has songs and plays
``user_half``      the half that knows users
``halves``         what each business starts from
``learner``        both halves in one process
``user_model``     users' tower as a bundle of its own
``channel``        what both channels share
``two_tower``      the channel ``two-tower``
``mmoe``           the channel ``mmoe``
=================  ===================================================================

Public::

    recipe      MmoeRecipe, TwoTowerRecipe
    noise       Defence
    channel     Towers
    user_model  UserModel
"""

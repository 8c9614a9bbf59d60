"""Two businesses, one model: users by what the one knows, songs by what the other plays.

::

    partner: profiles, interests, tags ──UserHalf──▶ vectors of users ──▶ gradients, and back
    music:   songs, plays              ──ItemHalf──▶ gradients, clipped and noised
        learner    both in one process, for `recall train`: the same numbers, bit for bit
    songs ──two_tower | mmoe──▶ a channel; users ──▶ vectors, lists
    what crossed ──audit──▶ what it gave away    steps ──accounting──▶ epsilon, where one is valid

    plan of each party ──jobs──▶ psi: `Alignment` ──▶ together: both halves, step by step
        UserParty ──Caller──▶ protocol, over TLS: flight ──▶ Desk ──▶ ItemParty
    the partner's rows ──serving──▶ vectors of users

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
``protocol``       messages as bytes: what may stand in them, how large they may be
``link``           the two ends of a connection: who asks, who answers
``flight``         messages over the network, with a certificate on both sides
``keys``           a party's key and certificate
``psi``            which users all parties have
``alignment``      these users as a file
``places``         checkpoints of a party, and the last one that both have
``party``          a half as a learner whose other half is elsewhere
``together``       a training from hello to finish, whoever dies meanwhile
``spaces``         what the space of vectors is called
``plan``           the table ``[federated]`` of a party's settings
``holdings``       what a party holds: its ids, its plays
``jobs``           what each command of a party does
``serving``        vectors of users: a table, ONNX, or answers to the music side
``onnx_tower``     users' tower as ONNX
``audited``        the audit of a party's plan
``attacks``        what an attacker would do with what crossed
``audit``          attacks on a configuration, undefended and as it is
``accounting``     epsilon, where one is valid
=================  ===================================================================

Public::

    recipe      MmoeRecipe, TwoTowerRecipe
    noise       Defence
    channel     Towers
    user_model  UserModel
    keys        CERTIFICATE_FILE, make_keys, spoken
    plan        PartyPlan
    holdings    own_ids
    jobs        align, alignment_plan, train
    serving     fetch_users, serve_users, user_table, write_tower
    audited     audit_both, audit_gradients, audit_vectors
"""

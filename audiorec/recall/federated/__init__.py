"""Vertical federated learning: one party has user profiles, the other songs and plays.

::

    partner: profiles, interests, tags ──UserHalf──▶ user vectors; gradients come back
    music:   songs, plays              ──ItemHalf──▶ gradients, clipped and noised
        learner    both in one process, for `recall train`: identical results, bit for bit
    songs ──two_tower | mmoe──▶ a channel; users ──▶ vectors, lists
    exchanged data ──audit──▶ what it leaks    steps ──accounting──▶ epsilon, where one is valid

    plan of each party ──jobs──▶ psi: `Alignment` ──▶ train_parties: both halves, step by step
        UserParty ──Caller──▶ protocol, over TLS: flight ──▶ Desk ──▶ ItemParty
    the partner's rows ──serving──▶ vectors of users

=================  ===================================================================
``recipe``         hyper-parameters of both models
``user_features``  profiles as numeric features
``shared_draws``   random choices shared by both sides: validation rows, batches
``noise``          clipping, noise and rounding of the exchanged numbers
``towers``         user tower in torch: one network, or experts and gates
``forward``        the same in numpy, for serving
``ranking``        retrieval loss, and full ranks of the targets
``secret``         the private seed of a half
``item_half``      the half trained on songs and plays
``user_half``      the half trained on profiles
``sides``          input data of each half
``learner``        both halves in one process
``user_model``     user tower as a separate bundle
``channel``        base class of both channels
``two_tower``      the channel ``two-tower``
``mmoe``           the channel ``mmoe``
``protocol``       message encoding: the fields of each kind and their bounds
``link``           the two ends of a connection: caller and desk
``flight``         transport over Arrow Flight with mutual TLS
``keys``           a party's key and certificate
``psi``            private set intersection of the parties' user ids
``alignment``      the aligned users as a file
``resume_points``  checkpoints of a party, and the latest one common to both
``party``          a half as a learner that exchanges messages with the other party
``train_parties``  a training run from hello to finish, including reconnects
``spaces``         ids of embedding spaces
``plan``           the table ``[federated]`` of a party's settings
``party_data``     the data of a party: its ids, its plays
``jobs``           the commands of a party
``serving``        user vectors: as a table, as ONNX, or served to the music side
``onnx_tower``     user tower as ONNX
``plan_audit``     the audit of a party's plan
``attacks``        attacks on the exchanged data
``audit``          attacks on a configuration, undefended and defended
``accounting``     epsilon, where one is valid
=================  ===================================================================

Public::

    recipe      MmoeRecipe, TwoTowerRecipe
    noise       Defence
    channel     Towers
    user_model  UserModel
    keys        CERTIFICATE_FILE, make_keys, readable_fingerprint
    plan        PartyPlan
    party_data  own_ids
    jobs        align, alignment_plan, train
    serving     fetch_users, serve_users, user_table, write_tower
    plan_audit  audit_both, audit_gradients, audit_vectors
"""

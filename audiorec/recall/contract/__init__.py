"""The recall contract: data, the channel interface, candidates and conformance checks.

::

    `RecallData` ──Channel.fit──▶ channel ──recall(`Queries`, k)──▶ `Candidates`
                                          ──check_channel──▶ an error lists each violated rule
"""

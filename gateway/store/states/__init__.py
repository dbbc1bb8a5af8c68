"""The states of calls: a document for each call, and how far the streams have been read for them.

    call_documents what is kept of a call, and how it is written down
    call_store     the documents in Redis: reading, putting, dropping
    progress       where the keeper of states stands on one shard: lease, place, what comes next
    unread         what the keeper has not taken in yet

One process at a time keeps the states of a shard, by a lease as subscribers have it.
"""

"""What the feed reads: the streams without a group, and messages among processes.

    shard_reader reading shards behind given ids, on a connection of its own
    tail         the end of all shards, for whoever is watching
    history      what was published before, read again by place
    tickets      what stands for a token, once and for a short time
    mailbox      messages between the processes that share a Redis, at most once

None of it holds a lease: readers come and go, and nothing waits for them.
"""

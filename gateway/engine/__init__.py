"""The client of Redis and Valkey: it knows no key of ours.

Where the servers are, in the order of asking:

    url          what the URL in the configuration says
    access       what it takes to be let in, beside the URL
    topology     which server has a key: always one, or one that must be asked for
    servers      from a URL to its topology
    sentinel     the master of a Sentinel set
    cluster      the map of a Cluster
    redis_py     asking a Sentinel or a node of a Cluster, by redis-py

How they are spoken to:

    resp         the protocol over one connection: packed commands out, replies in, in order
    dialing      how a connection comes to be: addresses, TLS, logging in
    link         one connection, one exchange at a time, made anew after a failure
    pool         links to lend, as many as there are exchanges at once
    spread       one exchange over several servers
    replies      what an error means: wait, give up, or turn to another server
    script       a Lua script, as an engine is told of it
    engine       for most: commands, scripts, blocking reads, over links that are lent
    own_links    for who never shares: packed commands on connections of its own
    listening    a channel, on a connection of its own

What a server says of itself:

    info         INFO: memory, and whether its append-only file is still rewritten
    requirements what an engine has to be before anything is written to it

Who talks never decides who has a key: that is the topology's business, and it is asked anew only
when somebody doubts it. Nothing whose outcome is unknown is sent again here.
"""

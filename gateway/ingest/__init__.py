"""Ingest: a signed webhook in, an answer out once the event is safe.

    listener ──▶ connection ──────────────▶ webhooks ──▶ acceptance ──▶ intake (journal, ack)
                  └─ aiohttp_connection ─▶ aiohttp_app ─┘   ├─ inflate
                                                            └─ signature

    listener           the public port: accepts, bounds and ends connections
    load_sharing       who accepts next, where workers share a socket
    listener_state     what all connections of a listener share
    capacity           room for one more connection
    eviction           who makes room
    connection         plain webhooks, taken straight from the socket, answered in order
    requests           plain requests, cut out of what was read
    buffers            what is held of requests that are not whole
    last_words         the last answer, to who will not be read
    socket_reader      when the sockets of plain senders are read
    unread             whether a socket has something that nobody has read yet
    aiohttp_connection everything else, handed to aiohttp with what it lacks
    aiohttp_app        the routes there
    webhooks           what both do with a webhook that is wholly read
    acceptance         an event, or whose fault it is that it is none
    inflate            gunzip, bounded
    signature          Stream's signature
    answers            every answer there is
    intake             all webhooks of a tick: one journal write, then their answers

Nothing here waits for a subscriber, and no stranger can make it hold more than its bounds.
"""

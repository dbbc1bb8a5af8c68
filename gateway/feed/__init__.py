"""The feed: whoever watches a call gets its events, as Stream's SDKs expect them or plainly.

    service        all of it in one process, put together
    hub            who watches which call, and an event's way to all of them
    members        whom an event names
    leaving        whom an event shuts out of its call: it is the last one that they get
    shut_out       whom events have lately shut out, and when
    waiting        watchers that wait for a call to name them
    connections    who is connected, by connection and by user, and how many may be
    connection_ids their names, which tell the process that holds them
    admission      how fast newcomers are let in
    opening        how a request becomes a WebSocket of the feed
    origins        from which pages the feed may be opened
    pages          what browsers load: feed.js and the demo page
    liveness       whether the other end is still there, as the kernel knows it
    pacing         something done to everybody, spread evenly over a time

    plain          `/feed`, for those without an SDK of Stream's
    sdk            Stream's own protocol
    websocket      the protocol below both

A tail reads the streams without a group, the hub knows who watches what, and each watcher has a
bounded outbox. It never waits for a watcher and never imports the other two paths.
"""

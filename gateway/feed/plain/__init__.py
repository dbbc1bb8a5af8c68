"""The plain feed: `GET /feed`, for those without an SDK of Stream's.

    feed         the routes: a WebSocket, server-sent events, tickets
    credentials  where a client may put its token
    tickets      for clients that can send nothing but an address
    session      one client, on whichever transport: what it watches, and its way to live
    access       what it may watch: by the call, by its token, or by Stream's word
    requests     what clients ask for, checked
    refusals     what is refused, with Stream's code and an HTTP status
    messages     what is said, on a WebSocket and as server-sent events
    frames       event frames, each built once for all watchers of one shape
    watcher      what one wants, and what waits for it
    type_filter  which types of events it wants
    cursors      where it stands, in a text that it gives back to go on from there
    replay       from a cursor to where the tail stood when it joined
    socket       the transport that is a WebSocket
    sse          the transport that is an answer that never ends

One JSON object for each message, and an event is the very bytes that Stream signed.
"""

"""WebSockets (RFC 6455), the server's side.

    handshake    the opening
    connection   one of them, from the handshake to its end
    frames       frames that a server sends
    frame_reader frames that a client sends, each bounded before it is kept
    drain        waiting until the other side has taken most of what was written

No task for each socket: a connection is a protocol of the event loop.
"""

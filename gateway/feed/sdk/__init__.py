"""Stream's own socket, as its unmodified SDKs expect it.

    sockets      `GET /video/connect`
    watcher      one connection: its token first, then signs of life and events
    messages     what is said there, apart from events
    registration a request names the connection that is to watch, wherever it is held

What Stream's SDKs do not expect is never sent there.
"""

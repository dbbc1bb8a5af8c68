"""Names of hosts, looked up for everything that connects: subscribers, sources, Stream, Redis.

    resolver   the addresses of a name: asked anew, the last known ones while nobody tells
    known      for how long those stand in
    trouble    a name in trouble: told once at its beginning, once at its end
    threads    calls that may hang, each in a thread that nobody ever waits for
    connector  the resolver for clients of aiohttp's
    own_names  the hosts that we listen at

The one door to the system's resolver (`getaddrinfo`: /etc/hosts, DNS, whatever nsswitch names).
"""

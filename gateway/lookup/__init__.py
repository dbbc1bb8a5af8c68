"""Names of hosts, looked up for everything that connects: subscribers, sources, Stream, Redis.

The one door to the system's resolver (`getaddrinfo`: /etc/hosts, DNS, whatever nsswitch names).
Who needs addresses asks `resolver`; who has a client of aiohttp's takes its `connector`. Calls
that may hang run in `threads` that nobody ever waits for at the end.
"""

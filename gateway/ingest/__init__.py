"""Ingest: a signed webhook in, an answer out once the event is safe.

    listener ──▶ fast_path ──────────▶ reception ──▶ acceptance ──▶ intake (journal, ack)
                    └─ handover ─▶ handler ─┘          ├─ inflate
                       (aiohttp)                       └─ signature

- `listener` binds the port, bounds the connections and enforces every deadline.
- `fast_path` takes plain webhooks by itself (`request_head` parses them, `answering` keeps the
  answers in order); any other request goes, with its connection, through `handover` to aiohttp
  and the routes in `handler`. `surroundings` is what all connections share.
- `acceptance` decides, without any I/O, whether a body is an event or whose fault it is not.
- `answers` has every answer there is; both paths give the same ones.
"""

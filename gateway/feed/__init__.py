"""The feed: whoever watches a call gets its events, as Stream's SDKs expect them or plainly.

A tailer reads the streams without a group, a hub knows who watches what, and each watcher has a
bounded outbox. It never waits for a watcher and never imports the other two paths.
"""

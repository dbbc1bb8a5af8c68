"""Stream's own socket, as its unmodified SDKs expect it."""

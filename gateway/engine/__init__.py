"""The client of Redis and Valkey: it knows no key of ours."""

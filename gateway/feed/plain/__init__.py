"""The plain feed: `GET /feed`, for those without an SDK of Stream's."""

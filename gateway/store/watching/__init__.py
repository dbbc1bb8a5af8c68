"""What the feed reads from the streams, without a group."""

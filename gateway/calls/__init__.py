"""What a call is and who may see it: tokens, access, call state, filters, Stream's error codes."""

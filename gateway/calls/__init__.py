"""What a call is and who may see it: tokens, call state, filters, Stream's error codes. Pure."""

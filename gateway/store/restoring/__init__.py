"""What Redis has lost of subscribers is put back."""

"""What subscribers' workers take from the streams, and give back."""

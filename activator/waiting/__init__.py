"""What clients may ask of their wait, and what they are told while it lasts."""

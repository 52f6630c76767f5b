"""What models take, how much they may take together, and which of them goes when another one comes."""

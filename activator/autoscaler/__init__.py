"""How many pods each revision has: seen, decided, done."""

"""When each op of a network runs, and how soon the next inference may follow."""

"""What each position of a row must predict: one file an objective, numpy only."""

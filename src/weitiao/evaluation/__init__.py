"""What a model answers, how good the answers are, and how sure one can be of it."""

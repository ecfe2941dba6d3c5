"""Speed, memory and quality of Weitiao beside its peers, on the same rows: ``make bench`` measures all of it."""

"""The same jobs in other tuners. Each file runs in an environment of its own, and imports nothing of Weitiao."""

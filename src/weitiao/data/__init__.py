"""The user's data: read as they are, divided, checked, every row accounted for."""

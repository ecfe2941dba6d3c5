"""Models: found, checked, loaded, and understood well enough to tune any of them."""

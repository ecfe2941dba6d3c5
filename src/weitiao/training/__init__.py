"""From rows to learned weights: one loss, one loop, and checkpoints that are whole or invisible."""

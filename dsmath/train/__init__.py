"""Train: loss, optimizer, the pure step, checkpoints, metrics, the loop."""

"""From a prepared training set to batches: tokens, packed rows, the order in which they come."""

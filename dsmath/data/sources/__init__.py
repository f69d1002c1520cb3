"""A file per source of training examples: where its rows come from, and what they become."""

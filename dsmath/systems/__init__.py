"""The systems of the paper's Table 5, and some more: a record each, of how its weights, prompt and tools are used."""

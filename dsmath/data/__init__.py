"""Data: sources, conversion to examples, mixture, packing, the input pipeline."""

"""Layouts of published decoders: what config.json says, and where in which tensor each of our weights lies."""

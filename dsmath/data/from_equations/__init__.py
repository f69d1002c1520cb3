"""Ape210K's equations as programs and chains of thought, in Chinese; topics of school problems by their words."""

"""The training set, in the order in which a row passes:

sources/           published files, and what their rows become: a file each
from_annotations/  GSM8K's annotated solutions as programs
from_equations/    Ape210K's equations as programs and chains of thought
stages/            from rows to examples, a file per shard: verified, decontaminated, without duplicates, written
beam/              the stages as pipelines
preparation.py     connects them; mixture.py, inputs.py, manifest.py: what is wanted, what is there, what came of it
prepared.py        a prepared set, read back
feed/              from examples to batches
problems.py        what a model is asked, whose solutions are a source again (dsmath/cli/annotate.py)
"""

"""MAWPS: the parts SingleEq, SingleOp, AddSub and MultiArith, in the order of ToRA's evaluation (data_loader.py there).

The gold answer is the number, without `.0`. The files are ToRA's too, as the authors' own server is gone.
"""

from dsmath.suites.suite import Download, Layout, Suite, fields, github, number

_FILES = tuple(f"{part}.jsonl" for part in ("singleeq", "singleop", "addsub", "multiarith"))

SUITE = Suite(
    name="mawps",
    title="MAWPS",
    langs=("en",),
    citation="Koncel-Kedziorski et al., MAWPS: A Math Word Problem Repository, 2016, NAACL",
    size=2065,
    layout=Layout(
        files=(_FILES,),
        downloads=tuple(Download(name, github(f"microsoft/ToRA/main/src/data/mawps/{name}"), None) for name in _FILES),
        question=lambda row: row["input"].strip(),
        gold=lambda row: number(row["target"]),
        meta=fields(),
    ),
)

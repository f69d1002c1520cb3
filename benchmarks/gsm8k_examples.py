"""GSM8K's training set as chain of thought, which several benchmarks feed."""

from pathlib import Path

from dsmath.data.sources import gsm8k
from dsmath.records import COT, Example, Piece, Source


def chains(data_dir: Path) -> list[Example]:
    """An example per row of DATA_DIR/gsm8k/train.jsonl, in its order."""
    found = []
    for key, row in gsm8k.SOURCE.rows({"train.jsonl": data_dir / "gsm8k" / "train.jsonl"}):
        draft = gsm8k.SOURCE.drafts[COT](row)
        (text,) = draft.turns
        found.append(Example(key, "gsm8k", "en", COT, draft.question, (Piece(Source.MODEL, text),), draft.answer))
    return found

"""Qwen's `qwen.tiktoken`: a line per token, its bytes in base64 and its rank, which is both its id and its priority.

It becomes a byte-level BPE of `tokenizers`, which everything else here knows already: tiktoken joins the pair whose
joint bytes rank lowest, and so does BPE if all pairs that make a token are merges, in the order of the tokens' ranks.
"""

import base64
import binascii
from pathlib import Path

import tokenizers

from dsmath.error import UserError

NAME = "qwen.tiktoken"
END = "<|endoftext|>"
# tokenization_qwen.py of Qwen-72B: behind the ranks, in this order.
SPECIALS = (END, "<|im_start|>", "<|im_end|>", *(f"<|extra_{i}|>" for i in range(205)))
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def backend(path: Path) -> tokenizers.Tokenizer:
    """The tokenizer of such a file. Raises UserError for one that can't be read."""
    ranks = _read(path)
    written = _letters()
    vocabulary = {"".join(map(written.__getitem__, token)): rank for token, rank in ranks.items()}
    merges = []
    for token, rank in ranks.items():
        cuts = ((token[:i], token[i:]) for i in range(1, len(token)))
        merges += [(rank, ranks[a], ranks[b], a, b) for a, b in cuts if a in ranks and b in ranks]
    pairs = [
        ("".join(map(written.__getitem__, a)), "".join(map(written.__getitem__, b))) for *_, a, b in sorted(merges)
    ]
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, pairs, ignore_merges=True))
    made.normalizer = tokenizers.normalizers.NFC()
    made.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(SPLIT), behavior="isolated"),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens([tokenizers.AddedToken(name, normalized=False) for name in SPECIALS])
    return made


def _read(path: Path) -> dict[bytes, int]:
    try:
        lines = [line.split() for line in path.read_bytes().splitlines() if line.strip()]
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in lines}
    except (ValueError, binascii.Error) as e:
        raise UserError(f"cannot read {path}: {e}; expected a base64 token and its rank on each line") from e
    if sorted(ranks.values()) != list(range(len(lines))):
        raise UserError(
            f"{path} has {len(lines)} lines, but not each rank from 0 on once; the file is torn: copy it again"
        )
    if lacking := [byte for byte in range(256) if bytes((byte,)) not in ranks]:
        raise UserError(f"{path} has no token for byte {lacking[0]}; expected one for each: copy it again")
    return ranks


def _letters() -> dict[int, str]:
    """The character for each byte in a byte-level vocabulary, as GPT-2 has it: itself where it can be seen."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + i) for i, byte in enumerate(others)}

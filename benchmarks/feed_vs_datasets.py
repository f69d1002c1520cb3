"""Tokens that a core tokenises and packs in a second, against `datasets` with `tokenizers`.

    python benchmarks/feed_vs_datasets.py --data_dir DATA [--row_length 4096] [--rounds 5]

GSM8K's training set as chain of thought, in SmolLM2's chat format with its tokenizer, prompts masked: from records
to batches of rows in numpy. dsmath reads the records of a prepared set, on disk, `datasets` a table in memory. Both
make the same ids and labels, which is checked first. Two packings:

    cut    concatenated, and split where a row ends
    whole  first fit into 64 open rows

Sides:

    dsmath    the pipeline that training uses, in one process
    datasets  a batched `map` that calls `encode_batch` on prompts and on answers, and masks labels; a second one, in
              Arrow's format, that packs (for "cut" by new offsets alone); then `iter` in numpy's format, and padding.
              It keeps its tables in memory. Its "cut" rows have no segments, which dsmath's have

One thread each: RAYON_NUM_THREADS=1, TOKENIZERS_PARALLELISM=false. Sides take turns, in an order that rotates, after
one turn each that isn't counted, but shown: the one in which dsmath sees its words for the first time. Speeds are by
CPU seconds of the process, and medians; ratios are medians of the rounds' ratios. What
dsmath has made ahead when a turn ends is not counted.

Last, how many chips a core feeds at this speed with the 7B, in rows of 4,096 tokens and at 40% of their peak.
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ |= {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}  # before the libraries look

import datasets
import gsm8k_examples
import numpy as np
import pyarrow as pa
import tokenizers

from dsmath import chips, config, recipes
from dsmath.data import prepared
from dsmath.data.feed import pipeline
from dsmath.data.feed.tokenise import Tokenise
from dsmath.data.stages import write
from dsmath.model import smollm2
from dsmath.records import COT, Example
from dsmath.text import template, tokenizer
from dsmath.train.metrics import flops_per_token

IGNORED = -100  # label of what isn't trained
BINS = 64
MFU = 0.4
TEMPLATE = template.find("chatml")


class Turn(NamedTuple):
    tokens: int
    seconds: float  # of CPU

    @property
    def speed(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds


class Ours:
    """As many batches as hold as many tokens as all examples do."""

    def __init__(self, examples: prepared.Records, tok: tokenizer.HFTokenizer, data: config.Data, rows: int):
        fresh = tokenizer.HFTokenizer(tok._backend, bos=None, eos=str(TEMPLATE.end))  # which has seen no words yet
        self._tokenise = Tokenise(fresh, TEMPLATE, loss_on_tool_output=False)
        self._examples, self._data, self._size = examples, data, rows
        self._seeds = itertools.count()

    def labelled(self) -> list[tuple[list[int], list[int]]]:
        """Ids and labels of each example."""
        columns = (self._tokenise([example]).columns for example in self._examples)
        return [(ids.tolist(), np.where(trained, targets, IGNORED).tolist()) for ids, targets, trained in columns]

    def __call__(self, tokens: int) -> int:
        made, parts = 0, (pipeline.Part("gsm8k", self._examples, weight=None, epochs=1),)
        rows = pipeline.batches(parts, self._tokenise, self._data, rows=self._size, seed=next(self._seeds))
        with contextlib.closing(rows):
            while made < tokens:
                made += int(np.count_nonzero(next(rows)["segments"]))
        return made


class Datasets:
    """All examples, once."""

    def __init__(self, examples: prepared.Records, tok: tokenizer.HFTokenizer, data: config.Data, rows: int):
        self._backend = tokenizers.Tokenizer.from_str(tok._backend.to_str())
        self._backend.encode_special_tokens = False  # prompts are one text each, as from a chat template
        self._end = tok.special(str(TEMPLATE.end))
        self._row_length, self._size, self._pack = data.row_length, rows, {"cut": cut, "whole": first_fit}[data.packing]
        self._texts = datasets.Dataset.from_dict(
            {
                "prompt": [prompt(example) for example in examples],
                "answer": [example.solution[0].text for example in examples],
            }
        )

    def _tokenise(self, batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        prompts = self._backend.encode_batch(batch["prompt"], add_special_tokens=False)
        answers = self._backend.encode_batch(batch["answer"], add_special_tokens=False)
        made: dict[str, list[list[int]]] = {"input_ids": [], "labels": []}
        for asked, answered in zip(prompts, answers, strict=True):
            question, answer = asked.ids, [*answered.ids, self._end]
            made["input_ids"].append([*question, *answer[:-1]])
            made["labels"].append([IGNORED] * (len(question) - 1) + answer)  # of the next token, as dsmath's
        return made

    def tokenised(self) -> datasets.Dataset:
        """Ids and labels of each example."""
        int32 = datasets.Features({name: datasets.List(datasets.Value("int32")) for name in ("input_ids", "labels")})
        return self._texts.map(
            self._tokenise, batched=True, remove_columns=self._texts.column_names, features=int32, **IN_MEMORY
        )

    def __call__(self, tokens: int) -> int:
        packed = (
            self.tokenised()
            .with_format("arrow")
            .map(lambda table: self._pack(table, self._row_length), batched=True, **IN_MEMORY)
        )
        made = 0
        for rows in packed.with_format("numpy").iter(self._size):
            batch = padded(rows, self._row_length)
            made += int(sum(map(len, rows["input_ids"])))
            assert batch["input_ids"].shape[1] == self._row_length
        return made


IN_MEMORY = {"load_from_cache_file": False, "keep_in_memory": True}


def prompt(example: Example) -> str:
    """The prompt as one text, special tokens and all."""
    parts = TEMPLATE.prompt(example.question, lang=example.lang, mode=example.mode)
    return "".join(part if isinstance(part, str) else part.name for part in parts)


def cut(table: pa.Table, row_length: int) -> pa.Table:
    """The lists of every column, joined and split."""
    columns = []
    for column in table.combine_chunks().columns:
        values = column.chunk(0).flatten()
        offsets = np.append(np.arange(0, len(values), row_length, dtype=np.int32), np.int32(len(values)))
        columns.append(pa.ListArray.from_arrays(offsets, values))
    return pa.table(columns, names=table.column_names)


def first_fit(table: pa.Table, row_length: int) -> pa.Table:
    """Lists that fit a row, row by row, and how long each was."""
    lengths = np.diff(table["input_ids"].combine_chunks().offsets.to_numpy())
    members: list[list[int]] = []
    opened, free = 0, np.empty(0, int)
    for i, length in enumerate(lengths):
        if length > row_length:
            continue
        fits = np.flatnonzero(free >= length)
        if not len(fits):
            opened, free = len(members), np.full(BINS, row_length)
            members += [[] for _ in range(BINS)]
            fits = np.zeros(1, int)
        members[opened + fits[0]].append(i)
        free[fits[0]] -= length
    members = [of_row for of_row in members if of_row]
    taken = table.take(np.concatenate(members)).combine_chunks()
    each = lengths[np.concatenate(members)]
    first = np.cumsum([0, *map(len, members)]).astype(np.int32)
    offsets = np.append(0, np.cumsum(each))[first].astype(np.int32)
    columns = [pa.ListArray.from_arrays(offsets, column.chunk(0).flatten()) for column in taken.columns]
    parts = pa.ListArray.from_arrays(first, pa.array(each.astype(np.int32)))
    return pa.table([*columns, parts], names=[*table.column_names, "seq_lengths"])


def padded(rows: dict[str, Any], row_length: int) -> dict[str, np.ndarray]:
    """A batch, as a collator makes it; with positions where rows say what they hold."""
    shape = (len(rows["input_ids"]), row_length)
    batch = {"input_ids": np.zeros(shape, np.int32), "labels": np.full(shape, IGNORED, np.int32)}
    for name, column in batch.items():
        for row, values in zip(column, rows[name], strict=True):
            row[: len(values)] = values
    if "seq_lengths" in rows:
        batch["position_ids"] = np.zeros(shape, np.int32)
        for row, lengths in zip(batch["position_ids"], rows["seq_lengths"], strict=True):
            ends = np.cumsum(lengths)
            row[: ends[-1]] = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    return batch


def measured(sides: dict[str, Callable[[int], int]], tokens: int, rounds: int) -> Iterator[dict[str, Turn]]:
    """A turn of each side, again and again; the first isn't to be counted."""
    order = itertools.cycle(sides)
    for _ in range(rounds + 1):
        turns = {}
        for _ in sides:
            begun, name = time.process_time(), next(order)
            turns[name] = Turn(sides[name](tokens), time.process_time() - begun)
        next(order)
        yield turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--row_length", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    datasets.disable_progress_bars()

    stack = contextlib.ExitStack()
    written = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "gsm8k.array_record"
    write.write(gsm8k_examples.chains(args.data_dir), written)
    examples = prepared.Records([str(written)])
    tok = tokenizer.from_gguf(smollm2.fetch())
    report: dict[str, Any] = {"row_length": args.row_length}
    arch = config.parse(config.Arch, recipes.deepseek_math_7b().to_dict())
    for packing in ("cut", "whole"):
        data = config.Data(("gsm8k",), (COT,), 0, args.row_length, BINS, packing)
        size = max(1, 8192 // args.row_length)
        ours, theirs = Ours(examples, tok, data, size), Datasets(examples, tok, data, size)
        expected = [(row["input_ids"], row["labels"]) for row in theirs.tokenised()]
        assert Ours(examples, tok, data, 1).labelled() == expected, "the sides make different ids or labels"
        tokens = sum(len(ids) for ids, _ in expected)
        cold, *turns = measured({"dsmath": ours, "datasets": theirs}, tokens, args.rounds)
        speeds = {name: statistics.median(turn[name].speed for turn in turns) for name in cold}
        ratios = [turn["dsmath"].speed / turn["datasets"].speed for turn in turns]
        print(f"{packing}: {len(examples)} examples, {tokens} tokens, rows of {args.row_length}, {args.rounds} rounds")
        for name, speed in speeds.items():
            fed = {c.name: speed * flops_per_token(arch, 4096) / (MFU * c.peak_flops) for c in chips.CHIPS}
            print(
                f"  {name:9}{speed / 1e6:5.2f} M tokens/s and core ({cold[name].speed / 1e6:.2f} in the first turn): "
                f"{fed['v5p']:.0f} v5p, {fed['v5e']:.0f} v5e, {fed['h100']:.0f} h100"
            )
        print(f"  dsmath is {statistics.median(ratios):.2f} x as fast ({min(ratios):.2f} to {max(ratios):.2f})")
        first = {name: turn.speed for name, turn in cold.items()}
        report[packing] = {"speeds": speeds, "first": first, "ratio": statistics.median(ratios), "ratios": ratios}
    stack.close()
    print(json.dumps(report))


if __name__ == "__main__":
    main()

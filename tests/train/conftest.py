"""A small world to train in: a decoder of two layers, a tokenizer of its own, examples of uneven length."""

import numpy as np
import pytest

from dsmath.config import Arch, Config, Data, Eval, Mesh, Sandbox, Start, Train
from dsmath.data.feed import pipeline
from dsmath.data.feed.pipeline import Part
from dsmath.data.feed.tokenise import Tokenise
from dsmath.records import Example, Piece, Source
from dsmath.text import template, tokenizer

ROW_LENGTH = 128


def make_examples(number: int) -> list[Example]:
    """Sums with solutions of one to four sentences."""
    return [
        Example(
            id=f"sum-{i}",
            source="own",
            lang="en",
            mode="cot",
            question=f"Add {i} to {7 * i}.",
            solution=(Piece(Source.MODEL, " ".join([f"The sum is {8 * i}."] * (1 + i % 4))),),
            answer=str(8 * i),
        )
        for i in range(number)
    ]


def make_tokenizer() -> tokenizer.HFTokenizer:
    """Trained on the examples and their prompts, so that an example takes 35 to 65 tokens."""
    after = template.INSTRUCTIONS["en", "cot"] + "\n\nAssistant:"
    texts = [f"User: {e.question}{after} {e.solution[0].text}" for e in make_examples(40)]
    return tokenizer.train(texts, vocab_size=384)


CONFIG = Config(
    seed=3,
    model=Arch(
        vocab_size=384,
        hidden_size=16,
        intermediate_size=32,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=4,
        rope_theta=10000.0,
        norm_eps=1e-5,
        tie_embeddings=True,
        max_positions=ROW_LENGTH,
    ),
    start=Start(weights="random", tokenizer="train", template="reference"),
    mesh=Mesh(data=1, fsdp=1, tensor=1),
    data=Data(sources=("embedded",), modes=("cot",), embedded_problems=9, row_length=ROW_LENGTH, packing_bins=4),
    train=Train(
        steps=8,
        batch_rows=8,
        microbatches=2,
        learning_rate=0.01,
        warmup_steps=2,
        beta1=0.9,
        beta2=0.95,
        weight_decay=0.1,
        clip_norm=1.0,
        remat="dots",
        loss_on_tool_output=False,
        checkpoint_every=3,
        keep_checkpoints=2,
    ),
    eval=Eval(
        suites=("embedded",),
        modes=("cot",),
        protocol="reference",
        samples=1,
        limit=None,
        slots=4,
        cache_length=64,
        decode_steps=4,
        max_new=32,
        rounds=2,
        temperature=0.0,
        top_p=1.0,
        top_k=None,
        grader="reference",
    ),
    sandbox=Sandbox(timeout_s=5.0, memory_mb=512, output_kb=64, workers=1, required_level="L1"),
)


@pytest.fixture(scope="session")
def batch() -> dict[str, np.ndarray]:
    """Eight packed rows. Rows differ in how many tokens are trained, and one has none."""
    tokenise = Tokenise(make_tokenizer(), template.TEMPLATES["reference"], loss_on_tool_output=False)
    rows = pipeline.batches(
        (Part("own", make_examples(40), weight=None, epochs=1),), tokenise, CONFIG.data, rows=8, seed=0
    )
    batch = next(rows)
    batch["trained"][2] = False
    return batch

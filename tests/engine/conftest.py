"""A small world to generate in: a random decoder that writes varied ASCII, and engines over it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsmath.config import Arch
from dsmath.engine.engine import Engine
from dsmath.model import decoder, paged
from dsmath.records import Piece, Source
from dsmath.text import tokenizer as tokenizers
from dsmath.text.generator import Completion, Request, Sampling

ARCH = Arch(
    vocab_size=320,
    hidden_size=32,
    intermediate_size=64,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    rope_theta=10000.0,
    norm_eps=1e-5,
    tie_embeddings=False,
    max_positions=1024,
)
CACHE = 320  # tokens of a sequence
PAGE = 16  # tokens, so that most sequences have several
GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, seed=0)


@pytest.fixture(scope="session")
def tokenizer() -> tokenizers.HFTokenizer:
    lines = ["a wren and two larks share nine figs", "print(3 * 14)\nthe total is 42 figs", "```output\n7\n```\n"]
    return tokenizers.train(lines * 3, vocab_size=ARCH.vocab_size)


@pytest.fixture(scope="session")
def ends(tokenizer) -> tuple[int, ...]:
    """Several end tokens, so that the random model meets one every hundred tokens or so."""
    return tokenizer.eos, tokenizer.bos, *tokenizer.encode("@~|")


@pytest.fixture(scope="session")
def params(tokenizer) -> decoder.Params:
    """Weights large enough that no two contexts give alike logits; a head that prefers ASCII."""
    params = jax.tree.map(
        lambda x: x * 12 if x.ndim > 1 else x, jax.jit(functools.partial(decoder.init, ARCH))(jax.random.key(5))
    )
    params["layers"] |= {name: jnp.ones_like(params["layers"][name]) for name in ("attn_norm", "mlp_norm")}
    readable = [tokenizer.decode([i]).isprintable() and tokenizer.decode([i]).isascii() for i in range(ARCH.vocab_size)]
    params["head"] = jnp.where(jnp.array(readable)[:, None], params["head"], 0.0)
    return params


@pytest.fixture(scope="session")
def engine(params, tokenizer, ends):
    """Makes engines; those of the same numbers are the same one, since compiling is what takes time. The pool has so
    many pages, or as many as the slots may ask for.
    """
    page_bytes = paged.page_bytes(paged.XLA, ARCH, PAGE, jnp.float32)

    @functools.lru_cache
    def make(slots: int, decode_steps: int = 8, *, pages: int | None = None, ahead: int | None = None) -> Engine:
        return Engine(
            decoder.unstack(params),
            ARCH,
            tokenizer,
            end_tokens=ends,
            slots=slots,
            cache_length=CACHE,
            decode_steps=decode_steps,
            pool_bytes=None if pages is None else pages * page_bytes,
            page_tokens=PAGE,
            ahead=ahead,
        )

    return make


@pytest.fixture(scope="session")
def argmax_loop(params, ends):
    """Greedy ids by a full forward pass per token: what the engine must reproduce."""

    @jax.jit
    def best(tokens_1T, length):
        ones, positions = jnp.ones_like(tokens_1T), jnp.arange(tokens_1T.shape[1])[None]
        hidden = decoder.hidden(params, tokens_1T, positions, ones, arch=ARCH, keep=None)
        return jnp.argmax(decoder.logits(params, hidden[0, length - 1]))

    @functools.lru_cache
    def generate(ids: tuple[int, ...], max_new: int) -> tuple[int, ...]:
        row = list(ids)
        while len(row) < min(len(ids) + max_new, CACHE):
            padded_T = row + [0] * (-len(row) % 160)
            row.append(int(best(jnp.array([padded_T]), len(row))))
            if row[-1] in ends:
                break
        return tuple(row[len(ids) :])

    return generate


def request(id: str, ids, *, max_new: int = 40, stop=(), sampling: Sampling = GREEDY, hold: bool = False) -> Request:
    pieces = (Piece(Source.PROMPT, "", tuple(ids)),)
    return Request(id=id, pieces=pieces, max_new=max_new, stop=tuple(stop), sampling=sampling, hold=hold)


def prompts(count: int) -> list[tuple[int, ...]]:
    """Random prompts of 1 to 90 tokens: shorter and longer than a lane."""
    rng = np.random.default_rng(11)
    return [tuple(rng.integers(2, ARCH.vocab_size, size=n).tolist()) for n in rng.integers(1, 90, size=count)]


def run(engine: Engine, requests) -> dict[str, Completion]:
    """Submit all, poll until idle."""
    for r in requests:
        engine.submit(r)
    done = {}
    while not engine.idle:
        done |= {c.id: c for c in engine.poll()}
    return done

"""What the benchmarks of decoding share: SmolLM2-135M-Instruct, engines, GSM8K's questions, ways that take turns."""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from dsmath import config
from dsmath.config import Arch, Mesh
from dsmath.data.source import Unusable
from dsmath.data.sources import gsm8k
from dsmath.engine.engine import Engine
from dsmath.engine.pages import Match
from dsmath.model import decoder, smollm2, weights
from dsmath.records import TOOL, Piece, Problem, Source, Stop
from dsmath.rollout import protocols
from dsmath.rollout.rollout import Setup
from dsmath.sharding import TRAINING, make_mesh
from dsmath.suites import catalogue
from dsmath.text import template, tokenizer
from dsmath.text.codec import Codec, TokenCodec
from dsmath.text.generator import Completion, Generator, Request, Sampling
from dsmath.text.tokenizer import Tokenizer

SLOTS = 16
LONGEST = 1024  # tokens of a sequence
GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=None, seed=0)
CHAT = template.find("chatml")
LIMITS = config.Sandbox(timeout_s=10.0, memory_mb=1024, output_kb=64, workers=2)
TOOLS = Setup(
    template=CHAT,
    protocol=protocols.find("reference"),
    mode=TOOL,
    sampling=GREEDY,
    max_new=512,
    rounds=2,
    samples=1,
    checkpoint="recorded",
    step=0,
)

Ids = tuple[int, ...]


class Model(NamedTuple):
    """A model on the first device."""

    arch: Arch
    stacked: decoder.Params
    params: decoder.Params  # the same, unstacked
    tokenizer: Tokenizer


def model_of(arch: Arch, stacked: decoder.Params) -> Model:
    """A model with SmolLM2's tokenizer."""
    params = jax.device_put(decoder.unstack(stacked))
    return Model(arch, stacked, params, tokenizer.from_gguf(smollm2.fetch()))


def smollm2_model() -> Model:
    """The published weights, fetched where they aren't there."""
    mesh = make_mesh(Mesh(1, 1, 1))
    return model_of(*weights.open_start(weights.SMOLLM2, None, seed=0, mesh=mesh, rules=TRAINING))


def engine_of(model: Model, *, ends: Collection[int], slots: int = SLOTS, **settings: Any) -> Engine:
    """An engine as an evaluation has it."""
    rest = {"cache_length": LONGEST, "decode_steps": 8} | settings
    return Engine(model.params, model.arch, model.tokenizer, end_tokens=ends, slots=slots, **rest)


def blind(engine: Engine) -> Engine:
    """An engine that recognises nothing of what its pages hold."""
    engine._scheduler.pages.match = lambda ids: Match([], 0, 0)
    return engine


def prompts(model: Model, data_dir: Path, count: int) -> list[Piece]:
    """The first questions of GSM8K's test set, for chain of thought."""
    problems, codec = catalogue.problems("gsm8k", data_dir, limit=count), TokenCodec(model.tokenizer)
    return [codec.encode(Source.PROMPT, CHAT.prompt(p.question, lang=p.lang, mode="cot")) for p in problems]


def run(engine: Generator, requests: Iterable[Request], look: Callable[[], None] = lambda: None) -> dict[str, Ids]:
    """What an engine answers, by id; nothing is left in flight. `look` is called after each dispatch."""
    for request in requests:
        engine.submit(request)
    done: dict[str, Ids] = {}
    while not engine.idle:
        done |= {c.id: c.ids for c in engine.poll()}
        look()
    return done


def seconds(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """How long each way took in each round; they take turns, after one of each that doesn't count."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(rounds + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            if i:
                taken[name].append(time.perf_counter() - begun)
    return taken


def ratio(over: list[float], under: list[float]) -> str:
    """The median of the rounds' ratios, and these."""
    ratios = [a / b for a, b in zip(over, under, strict=True)]
    return f"{statistics.median(ratios):.2f} (rounds: {', '.join(f'{r:.2f}' for r in ratios)})"


@dataclasses.dataclass(frozen=True)
class Solution:
    """A question of GSM8K's training set with a program, as a model would write it in two generations."""

    problem: Problem
    first: str  # ends with the program
    last: str


def solutions(data_dir: Path, count: int) -> list[Solution]:
    """The first rows whose annotations make a program."""
    found: list[Solution] = []
    for key, row in gsm8k.SOURCE.rows({"train.jsonl": data_dir / "gsm8k" / "train.jsonl"}):
        if len(found) == count:
            break
        with contextlib.suppress(Unusable):
            draft = gsm8k.SOURCE.drafts[TOOL](row)
            problem = Problem(key, "gsm8k", "en", draft.question, draft.answer, {})
            found.append(Solution(problem, *draft.turns))
    return found


class Recorded:
    """A `Generator` that computes with an engine, and says what is recorded: real programs, whatever the weights.

    Each generation has as many tokens as what it says, the tokens of the stop text included. Where the recorded words
    come back in a later request, the engine gets the ones that it generated, so that it finds what it holds.
    """

    def __init__(self, engine: Engine, written: Iterable[Solution]):
        """The engine has no end tokens."""
        self.codec, self._engine = engine.codec, engine
        self._script = {
            s.problem.id: ((s.first, template.written(CHAT.asks), Stop.TEXT), (s.last, "", Stop.END)) for s in written
        }
        self._turn: dict[str, int] = {}
        self._said: dict[str, Ids] = {}  # by the engine, for what is recorded

    def submit(self, request: Request) -> None:
        """See `Engine.submit`."""
        turn = self._turn[request.id] = self._turn.get(request.id, -1) + 1
        text, asks, _ = self._script[request.id][turn]
        new = len(self._ids(text)) + len(self._ids(asks))
        self._engine.submit(dataclasses.replace(request, pieces=self._own(request), max_new=new, stop=()))

    def poll(self) -> list[Completion]:
        """See `Engine.poll`."""
        return [self._recorded(done) for done in self._engine.poll()]

    def release(self, id: str) -> None:
        """See `Engine.release`."""
        self._engine.release(id)

    @property
    def idle(self) -> bool:
        """See `Engine.idle`."""
        return self._engine.idle

    @property
    def pool_use(self) -> float:
        """See `Engine.pool_use`."""
        return self._engine.pool_use

    def _recorded(self, done: Completion) -> Completion:
        text, _, stop = self._script[done.id][self._turn[done.id]]
        self._said[done.id] = self._said.get(done.id, ()) + done.ids
        return dataclasses.replace(done, piece=Piece(Source.MODEL, text, self._ids(text)), end=(), stop=stop)

    def _own(self, request: Request) -> tuple[Piece, ...]:
        said, own = self._said.get(request.id, ()), []
        for piece in request.pieces:
            if piece.source is Source.MODEL:
                size = len(piece.ids or ())
                piece, said = dataclasses.replace(piece, ids=said[:size]), said[size:]
            own.append(piece)
        return tuple(own)

    def _ids(self, text: str) -> Ids:
        return self.codec.encode(Source.MODEL, (text,)).ids or ()


def in_one_go(codec: Codec, written: Solution, shown: str) -> Request:
    """As many known and new tokens as a solution's two generations have, without a pause between them."""
    asked, (asks, *rest) = CHAT.prompt(written.problem.question, lang="en", mode=TOOL), CHAT.output(shown, asked=True)
    known = codec.encode(Source.PROMPT, (*asked, "".join(template.written(parts) for _, parts in rest)))
    new = [codec.encode(Source.MODEL, (text,)) for text in (written.first, template.written(asks[1]), written.last)]
    return Request(written.problem.id, (known,), sum(len(piece.ids or ()) for piece in new), (), GREEDY)

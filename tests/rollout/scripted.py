"""A generator that answers from a script, and rollouts against it."""

import dataclasses
import json

from dsmath.error import UserError
from dsmath.records import Piece, Problem, Source, Stop, Trajectory
from dsmath.rollout import protocols
from dsmath.rollout.rollout import Setup, rollout
from dsmath.rollout.ways import Way
from dsmath.text import template as templates
from dsmath.text import tokenizer as tokenizers
from dsmath.text.codec import Codec, TokenCodec
from dsmath.text.generator import Completion, Request, Sampling

TEMPLATE = templates.find("reference")
GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, seed=7)
TOKENIZER = tokenizers.train(["```python\nprint(1)\n```output\n The answer is \\boxed{12}.\n\n"] * 4, vocab_size=400)
CODEC = TokenCodec(TOKENIZER)


def problem(id: str, *, suite: str = "gsm8k", question: str = "What is 6 * 7?", gold: str = "42") -> Problem:
    return Problem(id, suite, "en", question, gold, {})


@dataclasses.dataclass(frozen=True)
class Says:
    """A generation of the script: its text, and how it ends."""

    text: str
    stop: Stop


class ScriptedGenerator:
    """Answers from a script, one request per poll, and checks that requests, holds and releases fit together."""

    def __init__(self, script: dict[str, list[Says]], *, longest: int = 10_000, codec: Codec = CODEC):
        self.codec = codec
        self.script = {id: list(said) for id, said in script.items()}
        self.longest = longest
        self.queue: list[Request] = []
        self.requests: list[Request] = []
        self.held: dict[str, tuple[Piece, ...]] = {}
        self.released: list[str] = []

    pool_use = None

    @property
    def idle(self) -> bool:
        return not self.queue

    def submit(self, request: Request) -> None:
        size = sum(len(piece.text if piece.ids is None else piece.ids) for piece in request.pieces)
        if size > self.longest:
            raise UserError(f"{size} tokens; the cache holds {self.longest}")
        if (held := self.held.pop(request.id, None)) is not None:
            assert request.pieces[0] == self.first(request.id).pieces[0] == held[0]
        else:
            assert all(request.id != r.id for r in self.requests), "a later generation without a held sequence"
        assert all(request.id != r.id for r in self.queue)
        self.queue.append(request)
        self.requests.append(request)

    def poll(self) -> list[Completion]:
        assert self.queue, "polled without work"
        request = self.queue.pop(0)
        said = self.script[request.id].pop(0)
        piece = self.codec.encode(Source.MODEL, (said.text,))
        if request.hold:
            self.held[request.id] = (*request.pieces, piece)
        end = (TOKENIZER.eos,) if said.stop is Stop.END else ()
        return [Completion(id=request.id, piece=piece, end=end, stop=said.stop)]

    def release(self, id: str) -> None:
        del self.held[id]
        self.released.append(id)

    def first(self, id: str) -> Request:
        return next(r for r in self.requests if r.id == id)


def setup(*, mode: str = "tool", rounds: int = 2, protocol: str = "reference", samples: int = 1) -> Setup:
    return Setup(
        template=TEMPLATE,
        protocol=protocols.find(protocol),
        mode=mode,
        sampling=GREEDY,
        max_new=64,
        rounds=rounds,
        samples=samples,
        checkpoint="scripted",
        step=3,
    )


def setup_of(way: Way, mode: str) -> Setup:
    """As an evaluation of a system has it, but for lengths."""
    return dataclasses.replace(
        setup(mode=mode, rounds=way.protocol.rounds),
        template=way.template,
        protocol=way.protocol,
        otherwise=way.otherwise,
    )


def run_way(
    way: Way, mode: str, script: dict[str, list[Says]], sandbox, **kwargs
) -> tuple[Trajectory, ScriptedGenerator]:
    """The trajectory of problem "p" asked in this way, all of whose script is said; it comes back from JSON."""
    generator = ScriptedGenerator(script, codec=kwargs.pop("codec", CODEC), longest=kwargs.pop("longest", 10_000))
    (trajectory,) = rollout([problem("p", **kwargs)], generator, sandbox, setup_of(way, mode))
    assert not generator.held
    assert not any(generator.script.values()), "the whole script was said"
    assert Trajectory.from_json(json.loads(json.dumps(trajectory.to_json()))) == dataclasses.replace(
        trajectory, elapsed_s=round(trajectory.elapsed_s, 4), waited_s=round(trajectory.waited_s, 4)
    )
    return trajectory, generator


def run(problems, generator, sandbox, *, done=(), in_flight=64, **kwargs):
    return rollout(problems, generator, sandbox, setup(**kwargs), done=done, in_flight=in_flight)


def run_one(said, sandbox, *, codec: Codec = CODEC, **kwargs) -> tuple[Trajectory, ScriptedGenerator]:
    """The trajectory of one problem, which comes back from JSON as it went in."""
    generator = ScriptedGenerator({"p": said}, codec=codec)
    (trajectory,) = run([problem("p")], generator, sandbox, **kwargs)
    assert not generator.held
    assert not generator.script["p"], "the whole script was said"
    assert trajectory.prompt.source is Source.PROMPT
    assert all(piece.source is not Source.PROMPT for piece in trajectory.response)
    again = Trajectory.from_json(json.loads(json.dumps(trajectory.to_json())))
    assert dataclasses.replace(again, elapsed_s=0, waited_s=0) == dataclasses.replace(
        trajectory, elapsed_s=0, waited_s=0
    )
    return trajectory, generator

"""Asking a scripted server: a request, several, or a whole problem."""

from dsmath.engine.remote.asking import Remote
from dsmath.engine.remote.retrying import Patience
from dsmath.engine.remote.talk import Endpoint
from dsmath.records import Piece, Source
from dsmath.rollout import protocols
from dsmath.rollout.rollout import Setup, rollout
from dsmath.text import template as templates
from dsmath.text.generator import Completion, Request, Sampling
from tests.engine.served import serving
from tests.rollout.scripted import problem

GREEDY = Sampling(0.0, 1.0, None, 7)
QUICK = Patience(tries=4, backoff_s=0.01, longest_backoff_s=0.05, total_s=5.0)
PROMPT = Piece(Source.PROMPT, "What is 6 * 7?")


def remote(server, api="chat", *, patience=QUICK, concurrency=4, key="", **changes) -> Remote:
    options = {name: changes.pop(name) for name in ("price", "told", "key_name", "answered") if name in changes}
    return Remote(Endpoint(server.url, "m", api, **changes), key, concurrency=concurrency, patience=patience, **options)


def request(*pieces: Piece, id="p", stop=(), ends=(), sampling=GREEDY, hold=False, max_new=64) -> Request:
    return Request(id, pieces or (PROMPT,), max_new, stop, sampling, hold, ends)


def answers(generator: Remote, *requests: Request) -> dict[str, Completion]:
    """What came of requests, each exactly once."""
    found = []
    for each in requests:
        generator.submit(each)
    while not generator.idle:
        found += generator.poll()
    assert sorted(c.id for c in found) == sorted(r.id for r in requests)
    return {completion.id: completion for completion in found}


def ask(answer, api="chat", *pieces: Piece, **changes) -> tuple[Completion, list[dict]]:
    """What came of one request, and the bodies that were posted for it."""
    options = {name: changes.pop(name) for name in ("prefill", "price", "patience") if name in changes}
    with serving(answer if callable(answer) else lambda seen, n: answer) as server:
        generator = remote(server, api, **options)
        (completion,) = answers(generator, request(*pieces, **changes)).values()
        generator.close()
        return completion, [seen.body for seen in server.seen]


def solve(answer, sandbox, mode="tool", protocol="strict", template=templates.MESSAGES, **changes):
    """The trajectory of one problem, and the bodies that were posted for it."""
    found = protocols.find(protocol)
    setup = Setup(template, found, mode, GREEDY, 64, found.rounds, 1, "m", 0)
    with serving(answer) as server:
        generator = remote(server, **changes)
        (trajectory,) = rollout([problem("p")], generator, sandbox, setup)
        assert not generator._talks, "every conversation was let go of"
        generator.close()
        return trajectory, [seen.body for seen in server.seen]


def poll_on(generator: Remote, found: list) -> None:
    while not generator.idle:
        found += generator.poll()


def run(generator: Remote, count: int) -> list:
    """Requests until something ends them all; what was returned before."""
    found = []
    for i in range(count):
        generator.submit(request(Piece(Source.PROMPT, f"Q{i}"), id=f"p{i}"))
    poll_on(generator, found)
    return found

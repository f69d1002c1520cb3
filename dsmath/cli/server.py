"""`dsmath evaluate` against a server: its flags, the record of a closed system, the key, what may be spent."""

import contextlib
import dataclasses
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from absl import flags

from dsmath import config, journal, recipes, runs
from dsmath.cli import experiment
from dsmath.error import UserError
from dsmath.records import MODES, TOOL, Stop
from dsmath.systems.system import System

if TYPE_CHECKING:
    from dsmath.engine.remote.talk import Endpoint, Price
    from dsmath.rollout.evaluation import Subject
    from dsmath.rollout.ways import Ways

# Twice as many responses are under way, which has to be more than the unanswered ones that tell that a server is gone.
LEAST_SLOTS = 3

log = logging.getLogger(__name__)

OURS = (
    *("model", "api", "functions", "prefill", "key_env", "concurrency", "temperature", "max_new", "price", "budget"),
    *("tries", "backoff_s", "request_s"),
)


@dataclasses.dataclass(frozen=True)
class Asked:
    """An evaluation of a server: its folder, its settings, how it is asked, and what opens the connection."""

    run: runs.Run
    settings: config.Config
    ways: "Ways"
    open: Callable[[], contextlib.AbstractContextManager["Subject"]]


def define(values: flags.FlagValues) -> None:
    """Declare the flags."""
    flags.DEFINE_string("server", None, "base URL of a server with OpenAI's API to evaluate", values)
    flags.DEFINE_string("model", None, "what the server calls the model", values)
    flags.DEFINE_enum("api", None, ["chat", "completions", "responses"], "of the server; chat, if nothing says", values)
    flags.DEFINE_bool("functions", False, "in mode tool, our sandbox is a function that the model calls", values)
    flags.DEFINE_bool("prefill", False, "the server goes on with an unfinished message, as vLLM and SGLang do", values)
    flags.DEFINE_string("key_env", None, "environment variable with the key; it goes to the server alone", values)
    flags.DEFINE_integer("concurrency", 8, "requests to the server at a time (8)", 1, flag_values=values)
    flags.DEFINE_float("temperature", None, "of a server's model (0)", 0, flag_values=values)
    flags.DEFINE_integer(
        "max_new", None, "tokens a server may answer, hidden reasoning included", 1, flag_values=values
    )
    flags.DEFINE_list("price", None, "dollars per million tokens asked and answered, such as 2.5,10", values)
    budget = "dollars after which nothing more is begun; what is begun, twice --concurrency responses, is ended"
    flags.DEFINE_float("budget", None, budget, 0, flag_values=values)
    flags.DEFINE_integer("tries", 8, "of a request before it counts as failed (8)", 1, flag_values=values)
    flags.DEFINE_float("backoff_s", 1.0, "seconds before a second try, then twice as many (1)", 0, flag_values=values)
    flags.DEFINE_float("request_s", 600.0, "seconds for the whole of an answer (600)", 0.01, flag_values=values)


def is_asked(values: flags.FlagValues, system: System | None) -> bool:
    """Whether the flags ask for a server. Raises UserError where some do that need one."""
    if values.server or (system is not None and system.served is not None):
        return True
    if given := [name for name in OURS if values[name].present]:
        raise UserError(f"--{given[0]} is for a server; expected its base URL by --server, or a closed --system")
    return False


def asked(values: flags.FlagValues, system: System | None) -> Asked:
    """The evaluation that the flags ask for. Raises UserError where they lack something or contradict each other."""
    for other in ("weights", "step", "template"):
        if getattr(values, other) is None or (other == "template" and values.api == "completions" and system is None):
            continue
        raise UserError(f"--{other} is given, but a {'system' if system else 'server'} is asked; expected one of them")
    if importlib.util.find_spec("httpx2") is None:
        raise UserError("asking a server takes the package httpx2; pip install 'dsmath[server]' brings it")
    endpoint = _endpoint(values, system)
    name, key = _key(values, system, endpoint.url)
    price = _price(values)
    settings = _settings(values, system)
    if not values.workdir and not (folder := endpoint.model.replace("/", "-").strip("-.")):
        raise UserError(f"--model is {endpoint.model!r}, which names no folder; give one by --workdir")
    run = runs.Run(values.workdir or Path("runs") / folder)
    if run.config.exists():
        raise UserError(f"{run.workdir} holds a run that was trained; expected another --workdir for a server")
    ways = _ways(values, system, endpoint, settings)
    return Asked(run, settings, ways, lambda: _opened(values, endpoint, name, key, price, run, ways))


@contextlib.contextmanager
def _opened(
    values: flags.FlagValues,
    endpoint: "Endpoint",
    key_name: str,
    key: str,
    price: "Price | None",
    run: runs.Run,
    ways: "Ways",
) -> Iterator["Subject"]:
    from dsmath.engine.remote.asking import Remote
    from dsmath.engine.remote.retrying import Patience
    from dsmath.engine.remote.spending import Spending
    from dsmath.rollout.evaluation import Subject

    patience = Patience(tries=values.tries, backoff_s=values.backoff_s, total_s=values.request_s)
    lines = [line for one in run.evaluations() for path in one.journals() for line in journal.read(path)]
    ended = [line for line in lines if line.get("stop") not in (Stop.FAILED, Stop.TOO_LONG)]
    answered = {(line.get("mode") == TOOL, on) for line in ended for on in (False, bool(line.get("programs")))}
    with contextlib.ExitStack() as stack:
        spending = None
        if price is not None and values.budget is not None:
            out = stack.enter_context(journal.Journal(run.spent, durable=False))
            told = (line["usage"] for line in lines if "usage" in line)
            spending = Spending(values.budget, price, out, journal.read(run.spent), told)
        remote = Remote(
            endpoint,
            key,
            key_name=key_name,
            concurrency=values.concurrency,
            patience=patience,
            price=price,
            told=spending.add if spending else None,
            answered=answered,
        )
        stack.enter_context(contextlib.closing(remote))
        facts = {"server": endpoint.url, "model": endpoint.model, "api": endpoint.api, "prefill": endpoint.prefill}
        spent = spending.why if spending else str
        yield Subject(remote, ways, f"{endpoint.model} at {endpoint.url}", 0, facts, spent)


def _endpoint(values: flags.FlagValues, system: System | None) -> "Endpoint":
    from dsmath.engine.remote.exchange import checked
    from dsmath.engine.remote.talk import CHAT, COMPLETIONS, RESPONSES, Endpoint

    served = system.served if system else None
    if system is not None and served is not None and served.retired and not values.model:
        raise UserError(f"{system.name} is retired: {served.retired}; name a model that is left with --model")
    url = values.server or (served.server if served else None)
    if not url:
        raise UserError(f"{system.name if system else 'the model'} has no server; expected its base URL by --server")
    model = values.model or (served.model if served else None)
    if not model:
        raise UserError("--model is missing; expected what the server calls it, such as --model gpt-4o")
    api = values.api or (served.api if served else COMPLETIONS if system else CHAT)
    if system is not None and served is None and api != COMPLETIONS:
        raise UserError(f"{system.name} has a prompt of its own, which a chat would lay out anew: --api completions")
    if served is not None and api not in (served.api, RESPONSES) and not (api == CHAT and values.functions):
        raise UserError(f"{values.system} isn't asked by --api {api}; expected {served.api}, or chat with --functions")
    if (values.functions or values.prefill) and api != CHAT:
        raise UserError(f"--functions and --prefill are for --api chat; it is {api}")
    return Endpoint(checked(url, "").rstrip("/"), model, api, prefill=values.prefill)


def _key(values: flags.FlagValues, system: System | None, url: str) -> tuple[str, str]:
    """The name and the value of the key. Without --key_env, a system's key goes to its own server alone."""
    served = system.served if system else None
    own = served is not None and served.server is not None and url == served.server.rstrip("/")
    name = values.key_env or (served.key if served and own else "")
    if name and not os.environ.get(name, "").strip():
        raise UserError(f"the environment variable {name} isn't set; expected the key for {url} in it")
    if name and url.startswith("http://") and urlsplit(url).hostname not in ("localhost", "127.0.0.1", "::1"):
        log.warning("the key in %s goes to %s in clear text; https:// would hide it", name, url)
    return name, os.environ[name].strip() if name else ""


def _price(values: flags.FlagValues) -> "Price | None":
    from dsmath.engine.remote.talk import Price

    if values.price is None:
        if values.budget is not None:
            raise UserError("--budget needs --price; expected dollars per million tokens, such as --price 2.5,10")
        return None
    try:
        prompt, completion = map(float, values.price)
        if not (0 <= prompt < float("inf") and 0 <= completion < float("inf")):
            raise ValueError
    except ValueError:
        given = ",".join(values.price)
        raise UserError(f"--price is {given!r}; expected two numbers, asked and answered, such as 2.5,10") from None
    return Price(prompt, completion)


def _settings(values: flags.FlagValues, system: System | None) -> config.Config:
    if values["config"].value is not None:
        base = experiment.settings(values)
    elif values.suites is None:
        raise UserError("--suites is missing; expected the benchmarks for a server, such as --suites gsm8k,math")
    else:
        modes = tuple(mode for mode in MODES if mode in system.ways) if system else recipes.evaluation().modes
        sections = {"eval": recipes.evaluation(modes=modes), "sandbox": recipes.sandbox()}
        base = config.parse(config.Config, recipes.experiment(**sections).to_dict())
    budgets = config.need(base.eval, "eval")
    changes = {name: getattr(values, name) for name in ("temperature", "max_new") if getattr(values, name) is not None}
    slots = max(values.concurrency, LEAST_SLOTS)
    return dataclasses.replace(base, eval=dataclasses.replace(budgets, slots=slots, **changes))


def _ways(values: flags.FlagValues, system: System | None, endpoint: "Endpoint", settings: config.Config) -> "Ways":
    from dsmath.engine.remote.talk import COMPLETIONS, RESPONSES
    from dsmath.rollout import protocols
    from dsmath.rollout.ways import Way, always
    from dsmath.systems import fewshot
    from dsmath.text import template as templates

    examples = None if values.examples is None else Path(values.examples)
    protocol = protocols.find(config.need(settings.eval, "eval").protocol)
    hosted = Way(templates.FUNCTIONS, protocols.find("hosted"))
    called = Way(templates.FUNCTIONS, protocols.find("functions"))
    if endpoint.api == COMPLETIONS and system is None:
        return always(templates.find(values.template or "reference"), protocol)
    ways: Ways = always(templates.MESSAGES, protocol) if system is None else fewshot.ways(system, examples)
    if endpoint.api == RESPONSES:
        return lambda suite, mode: hosted if mode == TOOL else ways(suite, mode)
    return lambda suite, mode: called if mode == TOOL and values.functions else ways(suite, mode)

"""From a config to what is trained or evaluated: the tokenizer, the weights, a model that is ready to generate."""

import dataclasses
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dsmath import config, runs, runtime, storage
from dsmath.config import Arch, Start, need
from dsmath.error import UserError
from dsmath.text import chat_template
from dsmath.text import template as templates
from dsmath.text import tokenizer as tokenizers

if TYPE_CHECKING:
    import jax

    from dsmath.model.decoder import Params
    from dsmath.rollout.evaluation import Subject
    from dsmath.rollout.ways import Ways

log = logging.getLogger(__name__)

TOKENIZER_EXAMPLES = 20_000  # of the training set, to train a tokenizer on


def tokenizer(settings: config.Config, run: runs.Run) -> tokenizers.Tokenizer:
    """The run's tokenizer: the one saved in its folder, else the one that its config calls for."""
    start = need(settings.start, "start")
    if runs.is_whole(run.tokenizer):
        return tokenizers.load(run.tokenizer)
    if start.tokenizer == "train":
        log.info("training a tokenizer on the training set")
        size = need(settings.model, "model").vocab_size
        return tokenizers.train(_texts(run, settings, start.template), vocab_size=size)
    return tokenizer_of(start)


def tokenizer_of(start: Start) -> tokenizers.Tokenizer:
    """The tokenizer that a run starts from. Raises UserError if it isn't there."""
    if start.tokenizer != "weights":
        return tokenizers.load(Path(start.tokenizer))
    if start.weights == "random":
        raise UserError('config.start.tokenizer is "weights", but random weights have none; expected "train" or a path')
    if start.weights == "smollm2":
        from dsmath.model import gguf, smollm2

        path = smollm2.fetch()
        return tokenizers.from_gguf(path, gguf.open_file(path))
    return tokenizers.load(storage.path(start.weights))


def ways(settings: config.Config) -> "Ways":
    """How the model of a config is asked: by its own template, under the protocol that its evaluation names."""
    from dsmath.rollout import protocols
    from dsmath.rollout.ways import always

    template = template_of(need(settings.start, "start"))
    return always(template, protocols.find(need(settings.eval, "eval").protocol))


def template_of(start: Start) -> templates.Template:
    """How the model of a start is talked to. Raises UserError if its folder is to say it, and doesn't."""
    if start.template != templates.OWN:
        return templates.find(start.template)
    found = chat_template.from_folder(storage.path(start.weights), tokenizer_of(start))
    if found is None:
        raise UserError(f"{start.weights} comes with no chat template; choose one of: {', '.join(templates.TEMPLATES)}")
    return found


def load(
    settings: config.Config, run: runs.Run, step: int | None, ways: "Ways", trained: "Params | None" = None
) -> "Subject":
    """The model of a step in the engine of this host's devices, to be asked in these ways.

    `trained` are the parameters of that step where it is just being trained, on the devices of all processes.
    """
    import jax
    import jax.numpy as jnp

    from dsmath.engine import memory
    from dsmath.engine.engine import Engine
    from dsmath.engine.replicas import Replicas
    from dsmath.model import decoder, weights
    from dsmath.model.fingerprint import fingerprint
    from dsmath.rollout.evaluation import Subject
    from dsmath.sharding import DECODING, decoding_shape, host_mesh, local, part, place, replicas
    from dsmath.text.codec import end_tokens

    start, budgets = need(settings.start, "start"), need(settings.eval, "eval")
    arch = weights.arch_of(start.weights, settings.model)
    shape = decoding_shape(settings.mesh)
    mesh, tokens, dtype = host_mesh(shape), tokenizer(settings, run), runtime.compute_dtype()
    check_vocabulary(tokens, arch)
    if trained is not None and step is not None:
        print_of = fingerprint(trained)
        params = local(decoder.cast(trained, dtype), decoder.axes(arch), shape, DECODING)
    else:
        step, _, params = open_step(settings, run, step, mesh)
        print_of = fingerprint(params)
        params = decoder.cast(params, dtype)
    asked = (ways(suite, mode) for suite in budgets.suites or ("",) for mode in budgets.modes)
    ends = frozenset(
        id
        for way in asked
        for template in filter(None, (way.template, way.otherwise))
        for id in end_tokens(template, tokens)
    )
    name = f"{start.weights} + {step} steps of {run.name}" if step else start.weights
    length, meshes, axes = budgets.cache_length or arch.max_positions, replicas(mesh), decoder.unstacked_axes(arch)
    params = jax.block_until_ready(place(decoder.unstack(params), axes, mesh, DECODING))  # before looking what is free
    engines = [
        Engine(
            part(params, axes, one, DECODING),
            arch,
            tokens,
            end_tokens=ends,
            slots=-(-budgets.slots // len(meshes)),
            cache_length=length,
            decode_steps=budgets.decode_steps,
            pool_bytes=memory.share(one, budgets.pool_share, of=len(meshes)),
            mesh=one,
            dtype=dtype,
        )
        for one in meshes
    ]
    facts = {
        "model": dataclasses.asdict(arch),
        "tokenizer": tokens.fingerprint,
        "cache_length": length,
        "dtype": jnp.dtype(dtype).name,
    }
    generator = engines[0] if len(engines) == 1 else Replicas(engines)
    return Subject(generator, ways, f"{name} ({print_of})", step, facts)


def open_step(
    settings: config.Config, run: runs.Run, step: int | None, mesh: "jax.sharding.Mesh"
) -> tuple[int, Arch, "Params"]:
    """The step, the last one if None is asked for, its architecture and its parameters, to decode with."""
    from dsmath.model import weights
    from dsmath.sharding import DECODING

    source = need(settings.start, "start").weights
    return weights.open_step(run, step, source, settings.model, seed=settings.seed, mesh=mesh, rules=DECODING)


def check_vocabulary(tokens: tokenizers.Tokenizer, arch: Arch) -> None:
    """Raise UserError where a tokenizer has tokens that the model doesn't."""
    if tokens.vocab_size > arch.vocab_size:
        raise UserError(
            f"config.model.vocab_size is {arch.vocab_size}, but the tokenizer has {tokens.vocab_size} tokens; "
            "choose config.start.tokenizer and config.model of one model"
        )


def of_folder(settings: config.Config, folder: Path, template: str | None) -> config.Config:
    """An experiment with the model of an HF folder, as `start_of_folder` has it."""
    from dsmath.model import weights

    start = start_of_folder(folder, template)
    return dataclasses.replace(settings, model=weights.arch_of(start.weights, settings.model), start=start)


def start_of_folder(folder: Path, template: str | None) -> Start:
    """How to start from an HF folder: with its own chat template, unless a `template` is named."""
    name = template or _template_of(folder)
    templates.check(name)
    return Start(str(folder), "weights", name)


def _template_of(folder: Path) -> str:
    theirs = tokenizers.chat_template(folder)
    for template in templates.TEMPLATES.values():
        if theirs == template.chat_template():
            return template.name
    if theirs is not None:
        return templates.OWN
    log.info("%s has no chat template: the prompt is that of the paper's evaluation; --template chooses one", folder)
    return "reference"


def _texts(run: runs.Run, settings: config.Config, name: str) -> Iterator[str]:
    from dsmath.data import prepared

    examples, template = prepared.examples(run.data, settings), templates.find(name)
    # Drawn, not every n-th: modes and languages stand in a rhythm of their own.
    drawn = random.Random(0).sample(range(len(examples)), min(len(examples), TOKENIZER_EXAMPLES))
    for example in (examples[i] for i in sorted(drawn)):
        prompt = template.prompt(example.question, lang=example.lang, mode=example.mode)
        yield "".join(part for part in prompt if isinstance(part, str))
        yield from (piece.text for piece in example.solution)

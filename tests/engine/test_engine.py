"""The engine on a random decoder: batching, order, holding and restarts change no answer."""

import dataclasses
import random

import jax.numpy as jnp
import pytest

from dsmath.engine.engine import LANE, Engine
from dsmath.error import UserError
from dsmath.model import decoder
from dsmath.records import Stop
from dsmath.text.generator import Sampling
from dsmath.text.template import Special
from tests.engine.conftest import ARCH, CACHE, GREEDY, PAGE, prompts, request, run

SAMPLED = Sampling(temperature=0.8, top_p=0.9, top_k=50, seed=7)


@pytest.fixture(scope="module")
def greedy(argmax_loop):
    """Twenty prompts and their greedy answers."""
    return [(f"r{i}", ids, argmax_loop(ids, 40)) for i, ids in enumerate(prompts(20))]


def test_answers_vary_and_some_end_early(greedy, ends):
    answers = [answer for *_, answer in greedy]
    assert len(set(answers)) == len(answers)
    assert 2 < sum(answer[-1] in ends for answer in answers) < 18


@pytest.mark.parametrize(
    ("slots", "more"),
    [(1, {}), (3, {}), (16, {}), (64, {}), (3, {"ahead": 1}), (16, {"ahead": 1}), (16, {"pages": 21})],
    ids=str,
)
def test_greedy_is_the_argmax_of_full_forward_passes_at_any_batch_size_and_order(engine, greedy, ends, slots, more):
    requests = [request(id, ids) for id, ids, _ in greedy]
    random.Random(slots).shuffle(requests)
    done = run(engine(slots, **more), requests)
    for id, _, answer in greedy:
        assert done[id].ids == answer
        assert done[id].stop == (Stop.END if answer[-1] in ends else Stop.LENGTH)


def test_one_token_per_dispatch_is_eight(engine, greedy):
    done = run(engine(3, 1), [request(id, ids) for id, ids, _ in greedy[:6]])
    assert {id: c.ids for id, c in done.items()} == {id: answer for id, _, answer in greedy[:6]}


def test_samples_depend_on_request_and_seed_alone(engine, greedy):
    requests = [request(id, ids[:LANE], sampling=SAMPLED) for id, ids, _ in greedy[:8]]
    alone = run(engine(1), requests)
    for slots in (3, 16, 64):
        assert run(engine(slots), reversed(requests)) == alone
    other = dataclasses.replace(SAMPLED, seed=8)
    again = run(engine(16), [dataclasses.replace(r, sampling=other) for r in requests])
    assert all(again[r.id].ids != alone[r.id].ids for r in requests)
    twins = run(engine(16), [dataclasses.replace(requests[0], id=id) for id in ("x", "y")])
    assert twins["x"].ids != twins["y"].ids


@pytest.mark.parametrize("ahead", [0, 1])
def test_sequences_that_are_put_back_give_the_same_samples(engine, greedy, ahead):
    requests = [
        request(f"{id}#{i}", ids[:LANE], max_new=200, sampling=SAMPLED) for i in range(3) for id, ids, _ in greedy
    ]
    crowded, roomy = run(engine(16, pages=21, ahead=ahead), requests), run(engine(3), requests)
    assert sum(done.put_backs for done in crowded.values()) > 2
    assert not any(done.put_backs for done in roomy.values())
    assert {id: done.ids for id, done in crowded.items()} == {id: done.ids for id, done in roomy.items()}


def test_samples_of_a_problem_share_its_prompt_and_are_those_of_one_alone(engine, greedy):
    _, ids, _ = max(greedy, key=lambda g: len(g[1]))
    requests = [request(f"p#{i}", ids, sampling=SAMPLED) for i in range(6)]
    e = engine(16)
    for r in requests:
        e.submit(r)
    e.poll()
    e.poll()
    running = e._scheduler.running
    assert len(running) == 6
    assert len({s.pages[0] for s in running}) == 1  # of one page there are six users
    assert len({s.pages[len(ids) // PAGE] for s in running}) == 6  # the last one is copied before it is written
    assert run(e, []) == {r.id: run(engine(1), [r])[r.id] for r in requests}


def test_rows_of_one_batch_are_drawn_each_by_its_own_sampling(engine, greedy, argmax_loop):
    samplings = [SAMPLED, GREEDY] * 3
    mixed = [request(id, ids[:LANE], sampling=s) for (id, ids, _), s in zip(greedy[:6], samplings, strict=True)]
    done, alone = run(engine(16), mixed), run(engine(1), mixed)
    assert done == alone
    assert done["r1"].ids == argmax_loop(mixed[1].ids, 40)


def test_a_sequence_sampled_in_two_parts_is_the_one_sampled_in_one(engine, greedy):
    id, ids, _ = greedy[3]
    ids = ids[:LANE]
    whole = run(engine(1), [request(id, ids, max_new=30, sampling=SAMPLED)])[id].ids
    first = run(engine(1), [request(id, ids, max_new=11, sampling=SAMPLED, hold=True)])[id].ids
    rest = run(engine(1), [request(id, ids + first, max_new=19, sampling=SAMPLED)])[id].ids
    assert first + rest == whole


def test_going_on_from_a_held_sequence_equals_a_fresh_prefill(engine, greedy, argmax_loop):
    e = engine(3)
    appended = prompts(20)[-3:]
    first = run(e, [request(id, ids, max_new=9, hold=True) for id, ids, _ in greedy[:3]])
    longer = [ids + first[id].ids + more for (id, ids, _), more in zip(greedy[:3], appended, strict=True)]
    done = run(e, [request(f"r{i}", ids, max_new=12) for i, ids in enumerate(longer)])
    for i, ids in enumerate(longer):
        assert done[f"r{i}"].ids == argmax_loop(ids, 12)


def test_going_on_computes_only_what_is_new(engine, greedy):
    e = engine(3)
    id, ids, _ = greedy[0]
    first = run(e, [request(id, ids, max_new=9, hold=True)])[id].ids
    e.submit(request(id, ids + first + (5, 6), max_new=1))
    (sequence,) = e._scheduler._waiting
    assert sequence.reach == len(ids) + len(first) - 1  # the last token generated was never put in
    run(e, [])


def test_going_on_after_a_change_of_the_past_rolls_the_cache_back(engine, greedy, argmax_loop):
    e = engine(3)
    _, ids, _ = greedy[2]
    for past in (ids, (*ids[: len(ids) // 2], 9, 8, 7), (4, 4)):
        done = run(e, [request("same", past, max_new=20, hold=True)])
        assert done["same"].ids == argmax_loop(past, 20)
    e.release("same")


def test_others_decode_while_a_sequence_is_held(engine, greedy):
    e = engine(3)
    run(e, [request("held", greedy[0][1], max_new=9, hold=True)])
    done = run(e, [request(id, ids) for id, ids, _ in greedy[1:8]])
    assert {id: c.ids for id, c in done.items()} == {id: answer for id, _, answer in greedy[1:8]}
    rest = run(e, [request("held", greedy[0][1] + greedy[0][2][:9], max_new=31)])["held"]
    assert greedy[0][2][:9] + rest.ids == greedy[0][2]


def test_a_held_sequence_gives_way_and_going_on_from_it_changes_nothing(engine, greedy, argmax_loop):
    e = engine(1, pages=CACHE // PAGE)
    run(e, [request("held", greedy[0][1], max_new=5, hold=True)])
    long = (greedy[1][1] * 300)[:290]
    assert run(e, [request("long", long, max_new=20)])["long"].ids == argmax_loop(long, 20)
    assert not e._scheduler._held
    rest = run(e, [request("held", greedy[0][1] + greedy[0][2][:5], max_new=35)])["held"]
    assert greedy[0][2][:5] + rest.ids == greedy[0][2]


def test_new_parameters_answer_like_a_fresh_engine_and_nothing_is_compiled_again(params, tokenizer, ends, greedy):
    rest = {"end_tokens": ends, "slots": 3, "cache_length": CACHE, "decode_steps": 8}
    e = Engine(decoder.unstack(params), ARCH, tokenizer, **rest)
    id, ids, answer = greedy[0]
    assert run(e, [request(id, ids, hold=True)])[id].ids == answer
    compiled = e._programs.dispatch._cache_size()
    other = params | {"norm": params["norm"] * jnp.linspace(0.5, 1.5, ARCH.hidden_size)}
    e.load(decoder.unstack(other))
    assert run(e, [request(id, ids + answer[:3], max_new=20)])[id].ids != answer[3:23]
    fresh = Engine(
        decoder.unstack(other), ARCH, tokenizer, end_tokens=ends, slots=3, cache_length=CACHE, decode_steps=8
    )
    assert run(e, [request("x", ids)])["x"].ids == run(fresh, [request("x", ids)])["x"].ids
    assert e._programs.dispatch._cache_size() == compiled
    e.submit(request("y", ids))
    with pytest.raises(RuntimeError, match="expected an idle engine"):
        e.load(decoder.unstack(params))


def test_released_while_generating_frees_its_slot_when_it_ends(engine, greedy):
    e = engine(1)
    e.submit(request("held", greedy[0][1], max_new=5, hold=True))
    e.poll()
    e.release("held")
    assert set(run(e, [request("next", greedy[1][1], max_new=2)])) == {"held", "next"}


def test_the_end_of_an_occupant_does_not_reach_the_next(engine, greedy, ends):
    e = engine(1)
    ended = [g for g in greedy if g[2][-1] in ends]
    assert ended
    for id, ids, answer in [*ended[:2], *greedy[:3]] * 2:
        assert run(e, [request(id, ids)])[id].ids == answer


def test_a_prompt_that_closes_with_an_end_token_is_answered(engine, ends, argmax_loop):
    ids = (5, 6, ends[0])
    assert run(engine(1), [request("r", ids)])["r"].ids == argmax_loop(ids, 40)


@pytest.mark.parametrize("max_new", [1, 2, 8, 9, 10])
def test_max_new_is_exact(engine, greedy, max_new):
    id, ids, answer = greedy[0]
    done = run(engine(3), [request(id, ids, max_new=max_new)])[id]
    assert (done.ids, done.stop) == (answer[:max_new], Stop.LENGTH)


def test_a_full_cache_ends_a_generation(engine, argmax_loop):
    for free in (1, 2, 13):
        ids = (prompts(20) * 2)[0] * 300
        ids = ids[: CACHE - free]
        done = run(engine(3), [request("r", ids, max_new=400), request("beside", ids[:7], max_new=20)])
        assert done["r"].ids == argmax_loop(ids, 400)
        assert len(done["r"].ids) == free or done["r"].stop is Stop.END
        assert done["beside"].ids == argmax_loop(ids[:7], 20)


def test_a_prompt_without_room_for_an_answer_is_refused_and_nothing_else_is_lost(engine, greedy):
    e = engine(3)
    id, ids, answer = greedy[0]
    e.submit(request(id, ids))
    e.poll()
    with pytest.raises(UserError, match=rf"room for {CACHE} .*config.eval.cache_length to {CACHE + 1}"):
        e.submit(request("long", (3,) * CACHE))
    assert {id: c.ids for id, c in run(e, []).items()} == {id: answer}


def test_weights_that_are_broken_are_said_to_be(params, tokenizer, ends):
    broken = params | {"norm": params["norm"].at[3].set(jnp.nan)}
    rest = {"end_tokens": ends, "slots": 3, "cache_length": CACHE, "decode_steps": 8}
    e = Engine(decoder.unstack(broken), ARCH, tokenizer, **rest)
    e.submit(request("r", (5, 6, 7)))
    with pytest.raises(UserError, match="logits after 3 tokens of 'r' are no numbers; its weights are broken"):
        run(e, [])


def test_a_pool_without_room_for_one_sequence_is_refused_and_one_with_it_serves_all(engine, greedy):
    fewest = CACHE // PAGE
    with pytest.raises(UserError, match=rf"leaves room for {CACHE - PAGE} tokens .* sequence may have {CACHE}"):
        engine(3, pages=fewest - 1)
    done = run(engine(3, pages=fewest), [request(id, ids) for id, ids, _ in greedy[:8]])
    assert {id: c.ids for id, c in done.items()} == {id: answer for id, _, answer in greedy[:8]}


def test_an_id_that_is_still_generating_is_refused(engine, greedy):
    e = engine(3)
    e.submit(request("twice", greedy[0][1], max_new=2))
    with pytest.raises(ValueError, match="'twice' is still generating"):
        e.submit(request("twice", greedy[0][1]))
    run(e, [])


def test_polling_without_work_does_nothing(engine):
    assert engine(3).idle
    assert engine(3).poll() == []


@pytest.mark.parametrize("steps", [1, 8])
def test_stop_texts_cut_the_text_wherever_they_stand(engine, greedy, tokenizer, steps):
    id, ids, answer = max(greedy, key=lambda g: len(g[2]))
    whole = tokenizer.decode(answer)
    for start, end in [(0, 1), (5, 9), (10, 31), (len(whole) - 3, len(whole))]:
        stop = whole[start:end]
        done = run(engine(3, steps), [request(id, ids, stop=("absent", stop)), request("beside", ids)])
        assert done[id].stop is Stop.TEXT
        assert done[id].piece.text == whole[: whole.index(stop)]
        assert tokenizer.decode(done[id].ids) == done[id].piece.text
        assert done["beside"].ids == answer


def test_a_special_token_stops_like_a_text_if_the_engine_ends_at_it(engine, greedy, tokenizer, ends):
    id, ids, answer = next(g for g in greedy if g[2][-1] in ends)
    name = next(name for name in ("<|end|>", "<|begin|>", *"@~|") if tokenizer.special(name) == answer[-1])
    done = run(engine(3), [request(id, ids, stop=(Special(name),)), request("beside", ids)])
    assert (done[id].stop, done["beside"].stop) == (Stop.TEXT, Stop.END)
    assert done[id].ids == done["beside"].ids == answer
    with pytest.raises(ValueError, match="stops at"):
        engine(3).submit(request("other", ids, stop=(Special("a"),)))


def test_a_special_token_among_the_ends_changes_nothing(engine, greedy, tokenizer, ends):
    id, ids, answer = next(g for g in greedy if g[2][-1] in ends)
    name = next(name for name in ("<|end|>", "<|begin|>", *"@~|") if tokenizer.special(name) == answer[-1])
    done = run(engine(3), [dataclasses.replace(request(id, ids), ends=(Special(name),)), request("beside", ids)])
    assert dataclasses.replace(done[id], id="beside") == done["beside"]
    assert (done[id].stop, done[id].ids) == (Stop.END, answer)


def test_a_sequence_that_met_a_stop_text_goes_on_from_it(engine, greedy, tokenizer, argmax_loop):
    e = engine(3)
    id, ids, answer = greedy[0]
    stop = tokenizer.decode(answer)[9:14]
    first = run(e, [request(id, ids, stop=(stop,), hold=True)])[id]
    longer = ids + first.ids + tokenizer.encode(stop + " 42")
    assert run(e, [request(id, longer, max_new=12)])[id].ids == argmax_loop(longer, 12)

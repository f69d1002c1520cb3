"""A loss that leaps, or is no number, stops a run; others don't."""

import json
import math

import numpy as np
import pytest

from dsmath.error import UserError
from dsmath.runs import Run
from dsmath.train.health import FEWEST, WINDOW, Health


def record(step: int, loss: float, grad_norm: float = 1.0) -> dict[str, float]:
    return {"step": step, "loss": loss, "grad_norm": grad_norm}


def healthy(tmp_path, steps: int, *, leap: float | None = 3.0, start: int = 0) -> Health:
    health = Health(Run(tmp_path), start=start, leap=leap)
    for step in range(start + 1, start + steps + 1):
        health.check(record(step, 1.0 + 0.1 * (step % 3)))
    return health


@pytest.mark.parametrize("bad", [{"loss": math.nan}, {"loss": math.inf}, {"loss": 1.0, "grad_norm": math.inf}])
def test_what_is_not_finite_stops_even_the_first_step(tmp_path, bad):
    health = Health(Run(tmp_path), start=0, leap=None)
    health.trains_on(1, {"tokens": np.arange(3)})
    with pytest.raises(UserError, match=r"step 1 has loss .*expected finite numbers") as e:
        health.check(record(1, **bad))
    assert "\n" not in str(e.value)
    with np.load(Run(tmp_path).bad_batch) as kept:
        assert np.array_equal(kept["tokens"], np.arange(3))


def test_a_leap_stops_and_the_batch_of_its_step_is_kept_not_the_next_one(tmp_path):
    health = healthy(tmp_path, FEWEST)
    for step in (9, 10):
        health.trains_on(step, {"tokens": np.full(2, step)})
    with pytest.raises(UserError, match=r"expected at most 3.0 times the median before it, 1.1; .*config.train.leap"):
        health.check(record(9, 3.4))
    with np.load(Run(tmp_path).bad_batch) as kept:
        assert kept["step"] == 9
        assert np.array_equal(kept["tokens"], [9, 9])


def test_slow_growth_and_early_noise_are_no_leap(tmp_path):
    health = Health(Run(tmp_path), start=0, leap=3.0)
    for step in range(1, FEWEST + 1):
        health.check(record(step, 10.0 if step == FEWEST - 1 else 1.0))
    for step in range(FEWEST + 1, 400):
        health.check(record(step, 1.05 ** (step / 5)))


def test_without_a_limit_losses_may_leap(tmp_path):
    healthy(tmp_path, WINDOW, leap=None).check(record(WINDOW + 1, 1e6))


def test_a_run_that_goes_on_remembers_the_losses_before(tmp_path):
    lines = [json.dumps(record(step, 1.0)) for step in range(1, 12)]
    Run(tmp_path).metrics.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="step 10"):
        Health(Run(tmp_path), start=9, leap=3.0).check(record(10, 3.1))
    Health(Run(tmp_path), start=5, leap=3.0).check(record(6, 3.1))  # five are too few to tell by

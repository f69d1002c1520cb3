"""What an evaluation cost, of trajectories that say so."""

from dsmath.records import Trajectory, Usage
from dsmath.score.counts.cost import cost
from tests.trajectories import trajectory


def test_put_backs_add_up_and_the_pools_use_is_an_average_over_those_who_tell():
    told = [trajectory(str(i), "4", put_backs=i, pool_use=use) for i, use in enumerate((0.5, None, 1.0))]
    assert (cost(told)["put_backs"], cost(told)["pool_use"]) == (3, 0.75)
    assert cost([trajectory("0", "4")])["pool_use"] is None


def test_what_a_server_took_adds_up_over_those_it_told_of():
    told = [trajectory(str(i), "4", usage=Usage(100, 10 * i, 2, 0, 0.25)) for i in (1, 2)]
    found = cost(told)
    assert found["usage"] == {
        **{"prompt_tokens": 200, "completion_tokens": 30, "requests": 4, "untold": 0},
        "dollars": 0.5,
    }
    assert found["generated_tokens"] == 30
    untold = trajectory("3", "4", usage=Usage(0, 0, 1, 1, None))
    found = cost([*told, untold])
    assert (found["generated_tokens"], found["usage"]["untold"], found["usage"]["dollars"]) == (None, 1, None)
    assert "usage" not in cost([trajectory("0", "4")])
    for one in (*told, untold):
        assert Trajectory.from_json(one.to_json()) == one

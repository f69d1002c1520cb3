"""What an evaluation cost, of trajectories that say so."""

from dsmath.score.counts.cost import cost
from tests.trajectories import trajectory


def test_put_backs_add_up_and_the_pools_use_is_an_average_over_those_who_tell():
    told = [trajectory(str(i), "4", put_backs=i, pool_use=use) for i, use in enumerate((0.5, None, 1.0))]
    assert (cost(told)["put_backs"], cost(told)["pool_use"]) == (3, 0.75)
    assert cost([trajectory("0", "4")])["pool_use"] is None

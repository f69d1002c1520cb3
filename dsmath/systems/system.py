"""What a system is: where it is from, what it looks like, how it is asked, and what of that nobody could confirm."""

import dataclasses
from collections.abc import Mapping

from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.rollout.ways import Way


@dataclasses.dataclass(frozen=True)
class Weights:
    """Released weights. The numbers are those of the released config.json, which decides where they differ."""

    repository: str  # on the Hugging Face hub
    license: str
    family: str  # model_type of its config.json: dsmath/model/families
    arch: Arch
    parameters: int | None  # as published, or as the published files' bytes give it; None where neither is known


@dataclasses.dataclass(frozen=True)
class Served:
    """A system behind somebody's server."""

    models: tuple[str, ...]  # ids of the time of the paper
    server: str | None  # base URL of an interface like OpenAI's; None where there is none
    api: str  # "chat" for chat completions, "responses" where the server runs programs itself
    model: str | None  # an id to ask today; None where none is left
    key: str  # the environment variable that holds the key
    retired: str = ""  # why it can't be asked any more; "" if it can, as far as is known


@dataclasses.dataclass(frozen=True)
class System:
    """One system: a record that nothing else has to know more about."""

    name: str  # as --system takes it
    title: str  # as Table 5 has it
    ways: Mapping[str, Way]  # how it is asked, by mode
    of_suites: Mapping[tuple[str, str], Way] = dataclasses.field(default_factory=dict)  # otherwise on (suite, mode)
    weights: Weights | None = None
    served: Served | None = None
    temperature: float = 0.0
    unconfirmed: tuple[str, ...] = ()  # what no source says for certain

    @property
    def state(self) -> str:
        """Whether it can be evaluated."""
        if self.served is None:
            return "runs here on random weights"  # tests/systems/test_every_system.py has them all do so
        return "retired" if self.served.retired else "needs a key"

    def way(self, suite: str, mode: str) -> Way:
        """How it is asked. Raises UserError for a mode that it hasn't."""
        if mode not in self.ways:
            raise UserError(f"{self.name} isn't asked in mode {mode!r}; expected --modes of: {', '.join(self.ways)}")
        return self.of_suites.get((suite, mode), self.ways[mode])

"""Several engines as one `Generator` (dsmath.text.generator): a copy of the model on each part of a host's devices."""

from collections.abc import Sequence

from dsmath.engine.engine import Engine
from dsmath.text.codec import Codec
from dsmath.text.generator import Completion, Request


class Replicas:
    """Requests go to the engine that has the fewest; what goes on from a held sequence goes to where it is held."""

    def __init__(self, engines: Sequence[Engine]):
        self.codec: Codec = engines[0].codec
        self._engines = engines
        self._home: dict[str, Engine] = {}  # by id, of what generates or is held
        self._holds: dict[str, bool] = {}  # by id, of what generates: whether it will be held
        self._load = dict.fromkeys(engines, 0)  # requests that generate

    def submit(self, request: Request) -> None:
        """See `Engine.submit`."""
        engine = self._home.get(request.id) or min(self._engines, key=self._load.__getitem__)
        engine.submit(request)
        self._home[request.id], self._holds[request.id] = engine, request.hold
        self._load[engine] += 1

    def poll(self) -> list[Completion]:
        """See `Engine.poll`. While the results of one are read, the devices of the others go on."""
        done = []
        for engine in self._engines:
            for completion in engine.poll():
                self._load[engine] -= 1
                if not self._holds.pop(completion.id):
                    del self._home[completion.id]
                done.append(completion)
        return done

    def release(self, id: str) -> None:
        """See `Engine.release`."""
        if (engine := self._home.get(id)) is None:
            return
        engine.release(id)
        if id in self._holds:
            self._holds[id] = False
        else:
            del self._home[id]

    @property
    def idle(self) -> bool:
        """Whether no request is queued or running (held sequences don't count)."""
        return all(engine.idle for engine in self._engines)

    @property
    def pool_use(self) -> float:
        """The share of the pages that sequences use, on average over the engines."""
        return sum(engine.pool_use for engine in self._engines) / len(self._engines)

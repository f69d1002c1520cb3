"""What a compiled program moves, on one chip and in one run: collectives by kind, and bytes of its main memory.

A loop's body counts as often as the loop runs. Of the branches of a conditional, the one that moves most counts. A
collective of a TPU that runs asynchronously is printed in every fusion that it overlaps with, as one chain: in one body
of a loop, a chain counts once. What the TPU compiler prints as an all-reduce within `all-reduce-scatter` is a
reduce-scatter.
"""

import collections
import dataclasses
import math
import re

from dsmath.plan.hlo import Array, Computation, Instruction, Program, arrays, top

COLLECTIVES = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "ragged-all-to-all", "collective-permute")

# These move nothing by themselves: they name, or their parts do, or their "done" counts.
_FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "conditional", "call", "after-all"),
    *("partition-id", "replica-id", "opt-barrier", "domain", "add-dependency"),
    *("copy-start", "slice-start", "async-start", "async-update", "async-done"),
}
_FREE_CALLS = ("AllocateBuffer", "ConcatBitcast", "AsyncCollectiveStart", "AsyncCollectiveDone", "Sharding")
_READS_A_PART = ("dynamic-slice", "slice", "gather")
_WRITES_A_PART = {"dynamic-update-slice": 1, "scatter": 2}  # and which operand is the part
_CHAIN = re.compile(r'\bchain_id="(\d+)"')


@dataclasses.dataclass
class Moved:
    """Sums over a run.

    `bytes` of a collective are those of the whole array that it makes or takes on a chip: its result, or, where that is
    the smaller, its operand (reduce-scatter). `sent` is what a chip has to send for it at least: (n-1)/n of the array
    in a group of n, twice that for an all-reduce, all of it for a permute.
    """

    count: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    bytes: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    sent: float = 0.0
    hbm: float = 0.0  # read and written
    unread_loops: list[str] = dataclasses.field(default_factory=list)  # counted as running once

    def add(self, other: "Moved", times: int = 1) -> None:
        """Add what runs so many times."""
        for kind in other.count:
            self.count[kind] += times * other.count[kind]
            self.bytes[kind] += times * other.bytes[kind]
        self.sent += times * other.sent
        self.hbm += times * other.hbm
        self.unread_loops += other.unread_loops


def moved(program: Program) -> Moved:
    """What one run of a program moves on a chip."""
    return _Walk(program).body(program.entry)


def largest(program: Program, number: int) -> list[tuple[Array, str]]:
    """The largest arrays that a program writes to main memory, one of each type and shape, and what writes them first.

    No buffer assignment is to be had of a program that fits: that several of them share their place can't be seen.
    """
    found: dict[str, tuple[Array, str]] = {}
    fused = {n for c in program.computations.values() for i in c.values() if i.opcode == "fusion" for n in i.called}
    for name, computation in program.computations.items():
        if name in fused:
            continue
        for instruction in computation.values():
            if instruction.opcode in _FREE or instruction.opcode.endswith("-done"):
                continue
            for array in instruction.arrays:
                if array.hbm_bytes:
                    found.setdefault(str(array), (array, instruction.op_name or instruction.name))
    return sorted(found.values(), key=lambda pair: -pair[0].bytes)[:number]


class _Walk:
    def __init__(self, program: Program):
        self._program = program
        self._bodies: dict[str, Moved] = {}

    def body(self, name: str) -> Moved:
        """What a computation moves that runs by itself: the entry, a loop's body, a branch."""
        if name not in self._bodies:
            total, chains = Moved(), set[str]()
            computation = self._program.computations[name]
            for instruction in computation.values():
                self._instruction(computation, instruction, total, chains)
            self._bodies[name] = total
        return self._bodies[name]

    def _instruction(self, computation: Computation, i: Instruction, total: Moved, chains: set[str]) -> None:
        if i.opcode == "while":
            trips = self._program.trips(computation, i)
            if trips is None:
                total.unread_loops.append(i.name)
            total.add(self.body(i.attribute("body") or ""), 1 if trips is None else trips)
        elif i.opcode == "conditional":
            branches = [self.body(name) for name in i.called]
            total.add(max(branches, key=lambda branch: branch.hbm + branch.sent))
        elif i.opcode == "call":
            total.add(self.body(i.called[0]))
        elif kind := _kind(i):
            self._collective(computation, i, kind, total, chains)
        elif i.opcode in ("fusion", "async-start"):
            self._collectives_within(i, total, chains)
        total.hbm += self._hbm(computation, i)

    def _collectives_within(self, outer: Instruction, total: Moved, chains: set[str]) -> None:
        for name in outer.called:
            computation = self._program.computations[name]
            for i in computation.values():
                if kind := _kind(i):
                    scatters = name.startswith("all-reduce-scatter") and kind == "all-reduce"
                    self._collective(computation, i, "reduce-scatter" if scatters else kind, total, chains)
                elif i.opcode in ("fusion", "async-start"):
                    self._collectives_within(i, total, chains)

    def _collective(self, computation: Computation, i: Instruction, kind: str, total: Moved, chains: set[str]) -> None:
        if chain := _CHAIN.search(i.attributes):
            if chain[1] in chains:
                return
            chains.add(chain[1])
        results = arrays(top(i.result)[1]) if _is_started(i) else i.arrays
        operands = [array for operand in i.operands for array in computation[operand].arrays]
        size = max(_size(results), _size(operands))
        total.count[kind] += 1
        total.bytes[kind] += size
        total.hbm += sum(array.hbm_bytes for array in (*results, *operands))
        if kind == "collective-permute":
            total.sent += size
        elif n := _group(i.attributes):
            total.sent += size * (n - 1) / n * (2 if kind == "all-reduce" else 1)

    def _hbm(self, computation: Computation, i: Instruction) -> float:
        """Bytes of main memory that an instruction reads and writes. A kernel counts as reading its operands once."""
        if i.opcode in _FREE or _kind(i) or i.opcode.removesuffix("-done") in COLLECTIVES:
            return 0
        if i.opcode == "custom-call" and any(f'custom_call_target="{name}"' in i.attributes for name in _FREE_CALLS):
            return 0
        if i.opcode == "fusion":
            return self._fusion(computation, i)
        if i.opcode in ("copy-done", "slice-done"):
            source = computation[computation[i.operands[0]].operands[0]].arrays
            return sum(a.hbm_bytes for a in i.arrays) + (_size(i.arrays) if any(a.hbm_bytes for a in source) else 0)
        inputs = [computation[operand].arrays for operand in i.operands]
        if i.opcode in _WRITES_A_PART:
            return 2 * sum(array.hbm_bytes for array in inputs[_WRITES_A_PART[i.opcode]])
        if i.opcode in _READS_A_PART:
            return sum(array.hbm_bytes for array in i.arrays) + _size(i.arrays)
        return sum(array.hbm_bytes for part in (i.arrays, *inputs) for array in part)

    def _fusion(self, computation: Computation, i: Instruction) -> float:
        inner = self._program.computations[i.called[0]]
        read = written = 0.0
        for parameter in inner.values():
            if parameter.opcode == "parameter":
                whole = sum(array.hbm_bytes for array in computation[i.operands[int(parameter.operands[0])]].arrays)
                read += min(whole, self._read(inner, parameter, _users(inner), whole)) if whole else 0
        root = next(x for x in inner.values() if x.is_root)
        outputs = [inner[name] for name in root.operands] if root.opcode == "tuple" else [root]
        for result, output in zip(top(i.result) if len(outputs) > 1 else (i.result,), outputs, strict=True):
            written += _written(inner, output, sum(array.hbm_bytes for array in arrays(result)))
        return read + written

    def _read(self, inner: Computation, value: Instruction, users: dict[str, list[Instruction]], whole: float) -> float:
        """Of a fusion's argument: parts where parts are taken, nothing where it is only passed on or written to."""
        total = 0.0
        for user in users[value.name]:
            is_first = user.operands[0] == value.name
            if user.opcode == "bitcast":
                total += self._read(inner, user, users, whole)
            elif user.opcode in _READS_A_PART and is_first:
                total += _size(user.arrays)
            elif (user.opcode in _WRITES_A_PART and is_first) or user.opcode in ("tuple", "custom-call") or _kind(user):
                continue
            elif user.opcode == "fusion":
                nested = self._program.computations[user.called[0]]
                for x in nested.values():
                    if x.opcode == "parameter" and user.operands[int(x.operands[0])] == value.name:
                        total += self._read(nested, x, _users(nested), whole)
            else:
                return whole
        return total


def _users(computation: Computation) -> dict[str, list[Instruction]]:
    """Who takes each instruction's result."""
    users = collections.defaultdict(list)
    for user in computation.values():
        for operand in user.operands:
            users[operand].append(user)
    return users


def _written(inner: Computation, output: Instruction, whole: float) -> float:
    """Of a fusion's output: a part where it is updated in place, nothing where an argument is passed on."""
    while output.opcode == "bitcast":
        output = inner[output.operands[0]]
    if output.opcode == "parameter" or _kind(output) or output.opcode == "custom-call":
        return 0.0
    if output.opcode in _WRITES_A_PART:
        return min(whole, _size(inner[output.operands[_WRITES_A_PART[output.opcode]]].arrays))
    return whole


def _kind(i: Instruction) -> str | None:
    name = i.opcode.removesuffix("-start")
    return name if name in COLLECTIVES else None


def _is_started(i: Instruction) -> bool:
    """Whether the result is (operands, results, ...) rather than the result: so for all but all-reduce-start."""
    return i.opcode.endswith("-start") and i.opcode != "all-reduce-start"


def _size(found: tuple[Array, ...] | list[Array]) -> int:
    return sum(array.bytes for array in found)


def _group(attributes: str) -> int | None:
    """How many chips take part in a collective together, by any of the ways in which groups are printed."""
    if listed := re.search(r"replica_groups=\{\{([\d,]*)\}", attributes):
        return len(listed[1].split(","))
    if iota := re.search(r"replica_groups=\[(\d+),(\d+)\]<=", attributes):
        return int(iota[2])
    if meshed := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", attributes):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", meshed[1]))
        return math.prod(int(sizes[name]) for name in re.findall(r"'(\w+)'", meshed[2]))
    return None

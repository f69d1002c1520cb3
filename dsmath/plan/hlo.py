"""A compiled program as XLA prints it (`compiled.as_text()`): computations, instructions, sizes, lengths of loops.

The text is the one thing that every compiler gives through jax's public API. Its grammar is XLA's HLO text; what is
read of it here is checked on programs compiled for CPU and for TPU (tests/plan/).
"""

import dataclasses
import functools
import math
import re
from collections.abc import Sequence

BITS = {"pred": 8, "token": 0, "opaque": 0} | {
    f"{kind}{bits}": bits for kind in ("s", "u", "f", "bf", "c") for bits in (2, 4, 8, 16, 32, 64, 128)
}

_INSTRUCTION = re.compile(r"\s+(ROOT )?%?([\w.\-]+) = ")
_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{$")
_ARRAY = re.compile(r"(\w+)\[([\d,<=]*)\](?:\{[^}]*\})?")
_SPACE = re.compile(r"S\((\d+)\)")
_NAME = re.compile(r"%([\w.\-]+)")
_CALLED = re.compile(
    r"\b(?:calls|to_apply|true_computation|false_computation|branch_computations|called_computations)="
    r"(?:\{([^}]*)\}|%([\w.\-]+))"
)
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')

HBM = 0  # memory space: others are on the chip beside it, or the host's


@dataclasses.dataclass(frozen=True)
class Array:
    """One array of an instruction's result."""

    kind: str  # such as "bf16"
    shape: tuple[int, ...]
    space: int

    @property
    def bytes(self) -> int:
        """Without what a tiled layout adds."""
        bits = BITS.get(self.kind, 8)  # f8e4m3fn and the like
        return math.ceil(math.prod(self.shape) * bits / 8)

    @property
    def hbm_bytes(self) -> int:
        """What of it lies in the device's main memory."""
        return self.bytes if self.space == HBM else 0

    def __str__(self) -> str:
        return f"{self.kind}[{','.join(map(str, self.shape))}]"


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation."""

    name: str
    opcode: str
    result: str  # as it is printed
    operands: tuple[str, ...]  # names; of a constant, its text
    attributes: str
    is_root: bool

    @functools.cached_property
    def arrays(self) -> tuple[Array, ...]:
        """The result: one array, or those of a tuple, nested ones in a row."""
        return arrays(self.result)

    @functools.cached_property
    def called(self) -> tuple[str, ...]:
        """The computations that it runs, but for a loop's."""
        found = _CALLED.findall(self.attributes)
        return tuple(name.strip().lstrip("%") for several, one in found for name in (several or one).split(","))

    def attribute(self, name: str) -> str | None:
        """The value of a plain attribute, such as channel_id or body."""
        found = re.search(rf"\b{name}=%?([\w.\-]+)", self.attributes)
        return found and found[1]

    @property
    def op_name(self) -> str:
        """Where in the Python program it comes from, as jax says it."""
        found = re.search(r'op_name="([^"]*)"', self.attributes)
        return found[1] if found else ""


Computation = dict[str, Instruction]  # by name, in order


@dataclasses.dataclass(frozen=True)
class Program:
    """A module's computations, by name."""

    computations: dict[str, Computation]
    entry: str

    def trips(self, caller: Computation, loop: Instruction) -> int | None:
        """How often a `while` runs: as the compiler noted it, or by reading its counter; None where neither works.

        The TPU compiler notes nothing. A counter is compared with a bound in the condition, begins as an element of
        the loop's operand, and is stepped in the body, not always by one.
        """
        if noted := _TRIPS.search(loop.attributes):
            return int(noted[1])
        condition = self.computations[loop.attribute("condition") or ""]
        body = self.computations[loop.attribute("body") or ""]
        begin = _Values(self, caller, ()).tuple(loop.operands[0])
        compare = _root(condition)
        direction = compare.attribute("direction")
        if compare.opcode == "fusion":  # of the compare alone
            inner = _root(self.computations[compare.called[0]])
            direction = inner.attribute("direction")
        if direction not in ("LT", "LE", "GT", "GE", "NE"):
            return None
        counter, bound = self._compared(condition, begin)
        after = _Values(self, body, (begin,)).tuple(_root(body).name)
        if counter is None or bound is None or counter >= len(after):
            return None
        first, second = begin[counter], after[counter]
        if first is None or second is None or first == second:
            return None
        distance = bound - first if second > first else first - bound
        return max(0, math.ceil((distance + (direction in ("LE", "GE"))) / abs(second - first)))

    def _compared(self, condition: Computation, begin: Sequence[int | None]) -> tuple[int | None, int | None]:
        """Which element of a loop's state the condition compares, and with what."""
        root = _root(condition)
        values = _Values(self, condition, (begin,))
        counter = None
        for operand in root.operands:
            source = condition[operand]
            while source.opcode in _SAME:
                source = condition[source.operands[0]]
            if source.opcode == "get-tuple-element" and counter is None:
                counter = int(source.attribute("index") or 0)
            elif (bound := values.number(operand)) is not None:
                return counter, bound
        return counter, None


def parse(text: str) -> Program:
    """The program of `compiled.as_text()`."""
    computations: dict[str, Computation] = {}
    entry, current = "", {}
    for line in text.splitlines():
        if begun := _COMPUTATION.match(line):
            current = computations[begun[2]] = {}
            entry = begun[2] if begun[1] else entry
        elif found := _INSTRUCTION.match(line):
            line = re.sub(r"/\*.*?\*/", "", line)
            result, rest = _shape(line[found.end() :])
            opcode, _, rest = rest.partition("(")
            end = _closing(rest)
            inside = rest[:end]
            operands = (inside,) if opcode in ("constant", "parameter") else tuple(_NAME.findall(inside))
            name = found[2]
            current[name] = Instruction(name, opcode.strip(), result, operands, rest[end + 1 :], bool(found[1]))
    return Program(computations, entry)


@functools.lru_cache(maxsize=1 << 16)
def arrays(result: str) -> tuple[Array, ...]:
    """The arrays in a printed result."""
    found = []
    for match in _ARRAY.finditer(result):
        shape = tuple(int(size.lstrip("<=")) for size in match[2].split(",") if size)
        space = _SPACE.search(match[0])
        found.append(Array(match[1], shape, int(space[1]) if space else HBM))
    return tuple(found)


def top(result: str) -> tuple[str, ...]:
    """The elements of a printed tuple, or the one result."""
    if not result.startswith("("):
        return (result,)
    parts, depth, begin = [], 0, 1
    for i, char in enumerate(result[1:-1], 1):
        depth += char in "([{"
        depth -= char in ")]}"
        if char == "," and depth == 0:
            parts.append(result[begin:i].strip())
            begin = i + 1
    return (*parts, result[begin:-1].strip())


def _root(computation: Computation) -> Instruction:
    return next(i for i in computation.values() if i.is_root)


def _shape(text: str) -> tuple[str, str]:
    """A printed result, and what follows it."""
    end = _closing(text[1:]) + 2 if text.startswith("(") else text.index(" ")
    return text[:end], text[end:].lstrip()


def _closing(text: str) -> int:
    """Where the parenthesis closes that was opened before `text`."""
    depth = 0
    for match in re.finditer(r"[()]|\"(?:[^\"\\]|\\.)*\"", text):
        depth += (match[0] == "(") - (match[0] == ")")
        if depth < 0:
            return match.start()
    raise ValueError(f"no closing parenthesis in {text[:80]!r}")


# Instructions whose value is that of their first operand, for a whole number.
_SAME = ("copy", "bitcast", "convert", "reshape", "copy-start", "copy-done", "broadcast")


class _Values:
    """The whole numbers of a computation that are known before it runs. Its arguments are tuples of them."""

    def __init__(self, program: Program, computation: Computation, arguments: Sequence[Sequence[int | None]]):
        self._program, self._computation, self._arguments = program, computation, arguments

    def number(self, name: str) -> int | None:
        """The value of an instruction, None where it isn't known."""
        values = self.tuple(name)
        return values[0] if len(values) == 1 else None

    def tuple(self, name: str) -> Sequence[int | None]:
        """The values of an instruction's result, one for each element of a tuple."""
        instruction = self._computation[name]
        operands = instruction.operands
        match instruction.opcode:
            case "constant":
                return (int(operands[0]) if re.fullmatch(r"-?\d+", operands[0]) else None,)
            case "parameter":
                index = int(operands[0])
                return self._arguments[index] if index < len(self._arguments) else (None,)
            case "tuple":
                return [self.number(operand) for operand in operands]
            case "get-tuple-element":
                of, index = self.tuple(operands[0]), int(instruction.attribute("index") or 0)
                return (of[index] if index < len(of) else None,)
            case "add" | "subtract" as opcode:
                a, b = (self.number(operand) for operand in operands)
                return (None if a is None or b is None else a + b if opcode == "add" else a - b,)
            case "fusion":
                if all(math.prod(array.shape) == 1 for array in instruction.arrays):
                    called = self._program.computations[instruction.called[0]]
                    inside = _Values(self._program, called, [self.tuple(operand) for operand in operands])
                    return inside.tuple(_root(called).name)
            case opcode if opcode in _SAME:
                return (self.number(operands[0]),)
        return (None,) * len(top(instruction.result))

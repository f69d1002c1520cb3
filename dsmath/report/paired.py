"""Two runs on the problems that both have finished."""

import dataclasses
import itertools
from collections.abc import Collection, Iterator
from typing import Any

from dsmath import journal
from dsmath.report import details
from dsmath.report.sheet import Sheet
from dsmath.runs import Evaluation
from dsmath.score.counts.statistics import Difference, McNemar, by_problem, mcnemar, paired_bootstrap
from dsmath.suites import catalogue

Summary = dict[str, Any]  # of an evaluation, with its files: dsmath/report/table.py


@dataclasses.dataclass(frozen=True)
class Kind:
    """Which of a suite's evaluations it is; steps apart, evaluations of one kind are compared."""

    mode: str
    step: int
    protocol: str
    grader: str
    template: str | None

    def label(self, among: Collection["Kind"]) -> str:
        """Its name, with what tells it from the others `among` which it stands."""
        several = [
            getattr(self, name) or "unknown"
            for name in ("protocol", "grader", "template")
            if len({getattr(kind, name) for kind in among}) > 1
        ]
        return f"{details.MODES[self.mode]} at {self.step}" + (f" ({', '.join(several)})" if several else "")


@dataclasses.dataclass(frozen=True)
class Paired:
    """a against b; `n` problems. `run_b` names the folder of b if it is another run's."""

    suite: str
    a: Kind
    b: Kind
    n: int
    difference: Difference | None  # None: no common problem
    test: McNemar | None  # None: several samples per problem, which that test doesn't know
    run_b: str | None = None


def paired(summaries: list[Summary]) -> list[Paired]:
    """TIR against CoT at each step, then each later step against the first one, per suite.

    Runs are compared only under the same protocol and grader.
    """
    return [*_tir_against_cot(summaries), *_steps_against_first(summaries)]


def against(summaries: list[Summary], others: list[Summary], run: str) -> list[Paired]:
    """The last step of each suite and mode against that of another run, which is called `run`, as `paired` compares."""
    ours, theirs = _last(summaries), _last(others)
    return [dataclasses.replace(compare(ours[key], theirs[key]), run_b=run) for key in ours if key in theirs]


def _last(summaries: list[Summary]) -> dict[tuple[str, ...], Summary]:
    return {_kind(summary): summary for summary in summaries}  # sorted by step


def _kind(summary: Summary) -> tuple[str, ...]:
    """Runs of one kind are compared across steps and folders."""
    return tuple(summary[key] for key in ("suite", "mode", "protocol", "grader", "template"))


def sheet(comparisons: list[Paired]) -> Sheet:
    """One row per comparison."""
    kinds = {kind for comparison in comparisons for kind in (comparison.a, comparison.b)}
    return Sheet(
        "Paired comparisons",
        ("Suite", "a", "b", "n", "a - b [95%]", "only a / b", "McNemar p"),
        [_cells(comparison, kinds) for comparison in comparisons],
        "On the n problems that both runs have finished: the difference in percentage points with its bootstrap "
        "interval over problems; how many only one of them got right, and the exact two-sided McNemar test.",
    )


def _cells(comparison: Paired, kinds: Collection[Kind]) -> tuple[str, ...]:
    test, difference = comparison.test, comparison.difference
    return (
        catalogue.find(comparison.suite).title,
        comparison.a.label(kinds),
        comparison.b.label(kinds) + (f" of {comparison.run_b}" if comparison.run_b else ""),
        str(comparison.n),
        "" if difference is None else _points(difference),
        *(("", "") if test is None else (f"{test.only_a} / {test.only_b}", _p(test.p))),
    )


def _points(difference: Difference) -> str:
    return f"{100 * difference.mean:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def _tir_against_cot(summaries: list[Summary]) -> Iterator[Paired]:
    for a, b in itertools.combinations(summaries, 2):
        if _comparable(a, b) and a["step"] == b["step"] and (a["mode"], b["mode"]) == ("cot", "tool"):
            yield compare(b, a)


def _steps_against_first(summaries: list[Summary]) -> Iterator[Paired]:
    first: dict[tuple[str, ...], Summary] = {}
    for summary in summaries:  # sorted by step within a mode
        start = first.setdefault(_kind(summary), summary)
        if start is not summary:
            yield compare(summary, start)


def _comparable(a: Summary, b: Summary) -> bool:
    return all(a[key] == b[key] for key in ("suite", "protocol", "grader", "template"))


def compare(a: Summary, b: Summary) -> Paired:
    """Two evaluations on the problems that both have finished."""
    correct_a, correct_b = _correct(a["evaluation"]), _correct(b["evaluation"])
    common = sorted(correct_a.keys() & correct_b.keys())
    samples = [(correct_a[key], correct_b[key]) for key in common]
    single = all(len(group) == 1 for pair in samples for group in pair)
    means = [[sum(group) / len(group) for group in side] for side in zip(*samples, strict=True)]
    test = mcnemar(*([mean == 1 for mean in side] for side in means)) if single and means else None
    difference = paired_bootstrap(*means) if means else None
    return Paired(a["suite"], _named(a), _named(b), len(common), difference, test)


def _named(summary: Summary) -> Kind:
    return Kind(**{field.name: summary[field.name] for field in dataclasses.fields(Kind)})


def _correct(evaluation: Evaluation) -> dict[str, list[bool]]:
    scores = list(journal.read(evaluation.scores))
    return by_problem([score["id"] for score in scores], [score["correct"] for score in scores])

"""What a summary holds beyond its accuracy, one sheet for all runs: samples, graders, outcomes, tools, breakdowns."""

from typing import Any

from dsmath.report.sheet import Sheet, percent
from dsmath.score.counts.outcomes import Outcome
from dsmath.suites import catalogue

Summary = dict[str, Any]  # of an evaluation: dsmath/score/scoring.py

MODES = {"cot": "CoT", "tool": "TIR", "pot": "PoT"}


def run_cells(summary: Summary) -> tuple[str, str, str]:
    """Which run this is: suite, mode, step."""
    return catalogue.find(summary["suite"]).title, mode(summary), str(summary["step"])


def mode(summary: Summary) -> str:
    """With the protocol, unless that is `reference`, as the run's folder has it."""
    name = MODES[summary["mode"]]
    return name if summary["protocol"] == "reference" else f"{name} ({summary['protocol']})"


def settings(summary: Summary) -> str:
    """The budgets and the sampling of a run, as they were; empty if that isn't known."""
    known = summary.get("settings", {})
    return ", ".join(f"{name} {known[name]}" for name in ("max_new", "rounds", "temperature") if name in known)


def sheets(summaries: list[Summary]) -> list[Sheet]:
    """Those that have a row."""
    found = [_graders(summaries), _samples(summaries), _outcomes(summaries), _tools(summaries), _costs(summaries)]
    return [sheet for sheet in found if sheet.cells] + _breakdowns(summaries)


def _graders(summaries: list[Summary]) -> Sheet:
    rows = [
        (*run_cells(summary), grader, percent(figures))
        for summary in summaries
        for grader, figures in summary.get("graders", {}).items()
    ]
    return Sheet("Graders", ("Suite", "Mode", "Step", "Grader", "Accuracy [95%]"), rows, "The same responses.")


def _samples(summaries: list[Summary]) -> Sheet:
    rows = [
        (*run_cells(summary), str(sampling["problems"]), k, percent(sampling["pass"][k]), percent(sampling["maj"][k]))
        for summary in summaries
        if (sampling := summary.get("sampling"))
        for k in sampling["pass"]
    ]
    note = "pass@k: one of k samples is right, unbiased. maj@k: the most frequent answer of k samples is right; a tie "
    note += "counts as the share of right answers among the level ones. Intervals take the problem as the unit."
    return Sheet("Samples", ("Suite", "Mode", "Step", "Problems", "k", "pass@k [95%]", "maj@k [95%]"), rows, note)


def _outcomes(summaries: list[Summary]) -> Sheet:
    found = [outcome for outcome in Outcome if any(outcome.value in summary["outcomes"] for summary in summaries)]
    rows = [
        (*run_cells(summary), *(str(summary["outcomes"].get(outcome.value, 0)) for outcome in found))
        for summary in summaries
    ]
    header = ("Suite", "Mode", "Step", *(outcome.value for outcome in found))
    return Sheet("Outcomes", header, rows, "Responses; of several reasons for being wrong the first one counts.")


def _tools(summaries: list[Summary]) -> Sheet:
    rows = []
    for summary in summaries:
        tools = summary["tools"]
        if not tools["programs"]:
            continue
        timed = summary.get("sandbox") != ["server"]  # which doesn't say how long they ran
        failed = tools["programs"] - tools["exits"].get("ok", 0)
        rows.append(
            (
                *run_cells(summary),
                ", ".join(f"{number}: {count}" for number, count in tools["per_response"].items()),
                f"{failed} of {tools['programs']}",
                f"{tools['recovered']} of {tools['responses_with_failure']}",
                f"{tools['program_correct']} of {summary['n']}",
                *(
                    "{median:.2f} / {p95:.2f} / {max:.2f}".format(**tools[s]) if timed else ""
                    for s in ("cpu_s", "wall_s")
                ),
            )
        )
    header = ("Suite", "Mode", "Step", "Programs each", "Failed", "Recovered", "Output right", "CPU s", "Wall s")
    note = (
        "Programs each: how many responses have so many. Failed: programs that ended in any way but well. Recovered: "
        "right responses among those with a failed program. Output right: responses whose last program printed the "
        "answer. Times: median / p95 / most; empty where a server ran the programs."
    )
    return Sheet("Programs", header, rows, note)


def _costs(summaries: list[Summary]) -> Sheet:
    rows: list[tuple[str, ...]] = []
    for summary in summaries:
        cost = summary["cost"]
        waiting = "" if cost["waiting_share"] is None else f"{100 * cost['waiting_share']:.1f}%"
        counts = ("" if cost[key] is None else f"{cost[key]:,.0f}" for key in ("generated_tokens", "tokens_per_s"))
        pool = "" if cost.get("pool_use") is None else f"{100 * cost['pool_use']:.1f}%"
        put_backs = f"{cost.get('put_backs', 0):,}"
        rows.append((*run_cells(summary), *counts, f"{cost['wall_s']:,.1f}", waiting, pool, put_backs))
    header: tuple[str, ...] = (
        "Suite",
        "Mode",
        "Step",
        "Generated tokens",
        "Tokens/s",
        "Wall s",
        "Waiting",
        "Pool",
        "Put back",
    )
    note = (
        "Waiting: share of the time in which all responses waited for programs. Pool: share of the memory for "
        "sequences in use, on average. Put back: sequences that made room for others and were computed again."
    )
    if any("usage" in summary["cost"] for summary in summaries):
        header += ("Asked tokens", "Answered tokens", "Requests", "Dollars")
        rows = [row + _usage(summary["cost"].get("usage")) for row, summary in zip(rows, summaries, strict=True)]
        note += " Tokens, requests and dollars of a server are as it told; those of requests that failed it may not."
    return Sheet("Cost", header, rows, note)


def _usage(usage: dict[str, Any] | None) -> tuple[str, str, str, str]:
    if usage is None:
        return "", "", "", ""
    counts = (f"{usage[name]:,}" for name in ("prompt_tokens", "completion_tokens", "requests"))
    prompt, completion, requests = counts
    return prompt, completion, requests, "" if usage["dollars"] is None else f"{usage['dollars']:.2f}"


def breakdown_rows(summaries: list[Summary]) -> list[dict[str, Any]]:
    """All breakdowns as flat rows: suite, mode, step, dimension, value; n, correct, accuracy, low, high in percent."""
    return [
        {
            **{key: summary[key] for key in ("suite", "mode", "step")},
            "dimension": dimension,
            "value": value,
            **{key: figures[key] for key in ("n", "correct", "accuracy")},
            "low": figures["interval"][0],
            "high": figures["interval"][1],
        }
        for summary in summaries
        for dimension, values in summary["breakdowns"].items()
        for value, figures in values.items()
    ]


def _breakdowns(summaries: list[Summary]) -> list[Sheet]:
    """A sheet per suite and dimension: values down, runs across."""
    found: dict[tuple[str, str], list[Summary]] = {}
    for summary in summaries:
        for dimension in summary["breakdowns"]:
            found.setdefault((summary["suite"], dimension), []).append(summary)
    return [_breakdown(suite, dimension, runs) for (suite, dimension), runs in found.items()]


def _breakdown(suite: str, dimension: str, runs: list[Summary]) -> Sheet:
    tables = [run["breakdowns"][dimension] for run in runs]
    values = list(dict.fromkeys(value for table in tables for value in table))
    header = (dimension.capitalize(), "n", *(f"{mode(run)} at {run['step']}" for run in runs))
    return Sheet(f"{catalogue.find(suite).title} by {dimension}", header, [_row(value, tables) for value in values])


def _row(value: str, tables: list[dict[str, Any]]) -> tuple[str, ...]:
    """A value in all runs; n once if it is the same in all that have it."""
    found = [table.get(value) for table in tables]
    sizes = dict.fromkeys(str(figures["n"]) for figures in found if figures)
    n = next(iter(sizes)) if len(sizes) == 1 else " / ".join(str(figures["n"]) if figures else "0" for figures in found)
    return value, n, *(percent(figures) if figures else "" for figures in found)

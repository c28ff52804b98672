"""Alternating rounds and their results: medians, minimum and maximum, ratios of the rounds, peak memory.

Contract: every round does all runs of a plan once, in the plan's order, one at a time; a first round warms up and is
not counted. A ratio is the median of the rounds' own ratios, so other load on the machine affects both sides equally.
"""

import statistics
import sys
import time
from dataclasses import dataclass, field

# After their work, threads of a library may spin for some milliseconds.
SETTLE = 0.03


@dataclass
class Run:
    """A timed run: `work(round)` returns its seconds; `process` executes it."""

    process: object
    work: object


@dataclass
class Plan:
    """Runs by key, and rows of the table: a name, and the key of each column's run."""

    runs: dict = field(default_factory=dict)
    rows: list = field(default_factory=list)
    after_round: object = None
    memory: bool = True

    def row(self, name, runs):
        """A row with runs of its own; `runs` is a list of `Run`s, one per column."""
        cells = {}
        for run in runs:
            key = f"{name}: {run.process.name}"
            self.runs[key], cells[run.process.name] = run, key
        self.rows.append((name, cells))


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def baseline(column, columns):
    """The baseline of a column of `reprompt`: PyTorch in the same precision if that was run, else in f32."""
    same = column.replace("reprompt", "PyTorch")
    return same if same in columns else "PyTorch f32"


def measure(part, threads, plan, rounds):
    """Rows as objects for the report."""
    took = {key: [] for key in plan.runs}
    peaks = dict.fromkeys(plan.runs, 0)
    for number in range(-1, rounds):
        for key, run in plan.runs.items():
            time.sleep(SETTLE)
            run.process.forget_peak()
            seconds = run.work(number)
            peaks[key] = max(peaks[key], run.process.peak())
            if number >= 0:
                took[key].append(seconds)
        if plan.after_round:
            plan.after_round(number)
        label = f"round {number + 1} of {rounds}" if number >= 0 else "warm"
        print(f"{part}, {threads} threads: {label}", file=sys.stderr, flush=True)
    rows = []
    for name, cells in plan.rows:
        columns = {
            column: spread(took[key]) | {"rounds": took[key]} | ({"peak_bytes": peaks[key]} if plan.memory else {})
            for column, key in cells.items()
        }
        ratios = {}
        for column in columns:
            against = baseline(column, columns)
            if column.startswith("reprompt") and against in columns:
                pairs = zip(took[cells[column]], took[cells[against]])
                ratios[column] = spread([own / other for own, other in pairs]) | {"against": against}
        rows.append({"part": part, "what": name, "threads": threads, "seconds": columns, "ratios": ratios})
    return rows


def written(seconds):
    """Three digits, in a suitable unit."""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}" if seconds * factor < 1000 else f"{seconds * factor:.0f} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def table(rows):
    """All rows as one table in Markdown."""
    columns = sorted({column for row in rows for column in row["seconds"]})
    ours = [column for column in columns if column.startswith("reprompt")]
    head = ["part", "what", "threads", *columns, *(f"ratio, {each}" for each in ours), *(f"MiB, {c}" for c in columns)]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]
    for row in rows:
        cells = [row["part"], row["what"], str(row["threads"])]
        for column in columns:
            found = row["seconds"].get(column)
            span = lambda f: f"{written(f['median'])} ({written(f['least'])} to {written(f['most'])})"
            cells.append(span(found) if found else "")
        for column in ours:
            found = row["ratios"].get(column)
            span = lambda f: f"**{f['median']:.2f}** ({f['least']:.2f} to {f['most']:.2f})"
            cells.append(span(found) if found else "")
        for column in columns:
            peak = row["seconds"].get(column, {}).get("peak_bytes")
            cells.append(f"{peak / 2**20:.0f}" if peak else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)

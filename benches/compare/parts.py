"""Parts of the comparison below an edit: single operations, and passes of the UNet.

Contract: a part is a function of a `Session`; it starts its processes, checks that they agree, and returns the rows of
`rounds.measure`.
"""

import contextlib
import sys
from dataclasses import dataclass

import ops
import sides
from rounds import Plan, Run, measure

# Approximate duration of a timed batch of a short operation.
BATCH_SECONDS = 0.1
MOST_RUNS = 2000


@dataclass
class Session:
    """The options of all parts."""

    binaries: object
    models: object
    checks: object
    threads: int
    dtypes: list
    torch_dtypes: list
    rounds: int
    quick: bool
    next_seed: int = 1000

    def seed(self):
        self.next_seed += 1
        return self.next_seed

    def note(self, text):
        print(f"skipped: {text}", file=sys.stderr, flush=True)

    def workers(self, stack, model=None):
        """The workers of `reprompt` and PyTorch, with the model loaded; they end with the stack. `reprompt` comes first."""
        found = []
        starts = [(sides.ours, dtype) for dtype in self.dtypes]
        starts += [(sides.theirs, dtype) for dtype in self.torch_dtypes]
        for start, dtype in starts:
            arguments = (self.binaries, dtype) if start is sides.ours else (dtype,)
            worker = stack.enter_context(start(*arguments, self.threads))
            try:
                if model:
                    worker.ask("load", model=str(self.models.folder(model)))
                found.append(worker)
            except sides.Unsupported as refused:
                self.note(refused)
        return found

    def timed_alike(self, plan, name, workers, do, batch=BATCH_SECONDS, **request):
        """A row of one request to every worker; the first answers are compared with PyTorch's in f32."""
        runs, first = [], {}
        for worker in workers:
            try:
                first[worker] = worker.ask(do, values=True, **request)
            except sides.Unsupported as refused:
                self.note(f"{name}: {refused}")
                continue
            times = int(min(max(batch / first[worker]["seconds"], 1), MOST_RUNS)) if batch else 1
            ask = lambda _, worker=worker, times=times: worker.ask(do, times=times, **request)["seconds"]
            runs.append(Run(worker, ask))
        reference = next(worker for worker in workers if worker.name == "PyTorch f32")
        for worker, answer in first.items():
            if worker is not reference:
                judged = worker.dtype == "f32"
                self.checks.numbers(f"{name}, {worker.name}", answer["values"], first[reference]["values"], judged)
        plan.row(name, runs)


def operations(session):
    """Single operations on two rows."""
    with contextlib.ExitStack() as stack:
        workers = session.workers(stack)
        plan = Plan(memory=False)
        for name, spec in ops.specifications(session.quick).items():
            session.timed_alike(plan, name, workers, "op", spec=spec)
        return measure("operation", session.threads, plan, session.rounds)


def unet(session):
    """Passes of the demo model's UNet at 128 px."""
    with contextlib.ExitStack() as stack:
        workers = session.workers(stack, "demo")
        plan = Plan()
        for rows in (1, 2, 4, 8):
            request = {"rows": rows, "height": 128, "width": 128, "seed": 1}
            session.timed_alike(plan, f"demo, 128 px, {rows} rows", workers, "forward", batch=0.3, **request)
        return measure("UNet", session.threads, plan, session.rounds)


def sd15_unet(session):
    """Passes of Stable Diffusion 1.5's UNet at 256 px, random weights."""
    with contextlib.ExitStack() as stack:
        workers = session.workers(stack, "sd15")
        plan = Plan()
        for rows in (2,) if session.quick else (1, 2, 4, 8):
            # A run this long needs no warm-up of its own.
            request = {"rows": rows, "height": 256, "width": 256, "seed": 1, "warm": False}
            session.timed_alike(plan, f"SD 1.5, 256 px, {rows} rows", workers, "forward", batch=None, **request)
        return measure("UNet", session.threads, plan, min(session.rounds, 3))

"""Parts of the comparison that make images: plain generation, edits, and how their cost scales.

Contract: `reprompt` is timed over HTTP, with both images as PNG in JSON; the time of the published scheme ends with the
pixels. Every image of every round is compared with the published scheme's for the same seed.
"""

import contextlib

import sides
from rounds import Plan, Run, measure

PROMPT = "a cat on the beach"
ANIMALS = ["dog", "rabbit", "horse", "pig", "cow", "elephant", "penguin", "duck"]
WINDOWS = {"cross_replace_steps": 0.8, "self_replace_steps": 0.4}
REPLACE = [{"prompt": f"a {animal} on the beach", "edit_type": "replace", **WINDOWS} for animal in ANIMALS]
KINDS = {
    "replace": REPLACE[0],
    "refine": {"prompt": "a cat on the beach at night", "edit_type": "refine", **WINDOWS},
    "reweight": {"prompt": PROMPT, "edit_type": "reweight", **WINDOWS, "equalizer": [{"word": "beach", "strength": 2}]},
    "local blend": REPLACE[0]
    | {"local_blend": {"source_words": ["cat"], "target_words": ["dog"], "threshold": 0.3, "start": 0.2}},
}


def source(session, steps, side=128, guidance=5.0):
    """A source that was not requested before."""
    sampling = {"num_inference_steps": steps, "guidance_scale": guidance, "width": side, "height": side}
    return {"prompt": PROMPT, "negative_prompt": "", "seed": session.seed(), **sampling}


class Compared:
    """Images by source and column, compared as soon as PyTorch's in f32 are available."""

    def __init__(self, session):
        self.session, self.published, self.waiting = session, {}, []

    def theirs(self, worker, source, images):
        if worker.name == "PyTorch f32":
            self.published[str(source)] = images
        else:
            self.waiting.append((worker, source, images, "published scheme"))

    def ours(self, process, source, images, what):
        self.waiting.append((process, source, images, what))

    def compare(self, number=None):
        """After the round of this number; in counted rounds the comparison prints nothing per image."""
        for process, source, images, what in self.waiting:
            judged = process.dtype == "f32"
            for at, (found, wanted) in enumerate(zip(images, self.published[str(source)])):
                role = "source" if at == 0 else f"edit {at}"
                sampling = f"{source['width']} px, {source['num_inference_steps']} steps, seed {source['seed']}"
                text = f"{what}, {sampling}, {role}, {process.name}"
                self.session.checks.images(text, found, wanted, judged, quiet=number is not None and number >= 0)
        self.waiting = []


def servers(session, stack, model=None, **options):
    """A server in each precision."""
    found = []
    for dtype in session.dtypes:
        try:
            server = sides.Server(session.binaries, dtype, session.threads, model, **options)
            found.append(stack.enter_context(server))
        except sides.Unsupported as refused:
            session.note(refused)
    return found


def edit_run(process, compared, what, found_as, pick):
    """`reprompt`: the edits and the source from `pick(round)`."""

    def work(number):
        which, requests = pick(number)
        seconds, answers = process.edits(which, requests, found_as)
        compared.ours(process, which, sides.images_of(answers), what)
        return seconds

    return Run(process, work)


def published_run(worker, compared, pick):
    """The published scheme on the same edits."""

    def work(number):
        which, requests = pick(number)
        answer = worker.ask("edit", source=which, edits=requests)
        compared.theirs(worker, which, answer["images"])
        return answer["seconds"]

    return Run(worker, work)


def plain_run(worker, compared, pick):
    """An image without an edit; it equals the source of the published scheme."""

    def work(number):
        which, _ = pick(number)
        answer = worker.ask("plain", source=which)
        compared.ours(worker, which, answer["images"], "plain generation")
        return answer["seconds"]

    return Run(worker, work)


def kinds(session):
    """Compares every kind of edit once with the reference, before anything is timed."""
    with contextlib.ExitStack() as stack:
        [server] = servers(session, stack)[:1]
        worker = stack.enter_context(sides.theirs("f32", session.threads))
        worker.ask("load", model=str(session.models.folder("demo")))
        for kind, request in KINDS.items():
            compared = Compared(session)
            which = source(session, 20)
            published_run(worker, compared, lambda _: (which, [request])).work(0)
            edit_run(server, compared, kind, "created", lambda _: (which, [request])).work(0)
            compared.compare()


def edits(session, model=None, steps=50, side=128, guidance=5.0, rounds=None):
    """Plain generation, and one edit by the tier of its source."""
    request = [KINDS["replace"]]
    new = lambda: source(session, steps, side, guidance)
    folder = str(session.models.folder(model)) if model else None
    with contextlib.ExitStack() as probing:
        sizes = {}
        for server in servers(session, probing, folder):
            sizes[server.dtype] = server.memory_of(server.edits(new(), request, "created")[1][0])
    with contextlib.ExitStack() as stack:
        # Memory for one and a half recordings: a new source demotes the one before to its trajectory.
        ours = {}
        for dtype, size in sizes.items():
            server = sides.Server(session.binaries, dtype, session.threads, folder, memory_bytes=size * 3 // 2)
            ours[dtype] = stack.enter_context(server)
        workers = session.workers(stack, model or "demo")
        theirs = [worker for worker in workers if worker.side == "PyTorch"]
        sources, compared, plan = {-2: new()}, Compared(session), Plan()
        plan.after_round = compared.compare
        for server in ours.values():
            answers = server.edits(sources[-2], request, "created")[1]
            compared.ours(server, sources[-2], sides.images_of(answers), "source not known")
        for worker in theirs:
            published_run(worker, compared, lambda _: (sources[-2], request)).work(-2)
        compared.compare()

        def pick(number):
            if number not in sources:
                sources[number] = new()
            return sources[number], request

        plan.row("plain generation", [plain_run(worker, compared, pick) for worker in workers])
        published = [published_run(worker, compared, pick) for worker in theirs]
        found = {
            "source not known": ("created", pick),
            "source recorded": ("hit", pick),
            "trajectory only": ("replayed", lambda number: pick(number - 1)),
        }
        for at, (what, (found_as, which)) in enumerate(found.items()):
            name = f"edit, {what}"
            plan.row(name, [edit_run(server, compared, what, found_as, which) for server in ours.values()])
            cells = plan.rows[-1][1]
            for run in published:
                # One run of the published scheme per round: it has no tiers.
                key = cells[run.process.name] = f"published scheme: {run.process.name}"
                if at == 0:
                    plan.runs[key] = run
        name = f"{'SD 1.5' if model else 'demo'}, {side} px, {steps} steps"
        return measure(name, session.threads, plan, rounds or session.rounds)


def sd15_edits(session):
    """Edits with Stable Diffusion 1.5's shape at 256 px, few steps."""
    return edits(session, "sd15", steps=4, side=256, guidance=7.5, rounds=min(session.rounds, 2))


def growth(session):
    """How an edit's cost scales: with steps, with pixels, with edits of one source at once."""
    quick, few = session.quick, 10 if session.quick else 20
    with contextlib.ExitStack() as stack:
        ours = servers(session, stack)
        theirs = [stack.enter_context(sides.theirs(dtype, session.threads)) for dtype in session.torch_dtypes]
        for worker in theirs:
            worker.ask("load", model=str(session.models.folder("demo")))
        compared = Compared(session)
        plan = Plan(after_round=compared.compare)

        def row(name, steps, side, requests):
            sources = {}

            def pick(number):
                if number not in sources:
                    sources[number] = source(session, steps, side)
                return sources[number], requests

            runs = [edit_run(server, compared, name, "created", pick) for server in ours]
            plan.row(name, runs + [published_run(worker, compared, pick) for worker in theirs])

        for steps in (10, 20) if quick else (10, 20, 50):
            row(f"{steps} steps, 128 px", steps, 128, REPLACE[:1])
        for side in (64, 192) if quick else (64, 96, 128, 192):
            row(f"{few} steps, {side} px", few, side, REPLACE[:1])
        for count in (1, 4) if quick else (1, 2, 4, 8):
            row(f"{few} steps, 128 px, {count} at once", few, 128, REPLACE[:count])
        return measure("edit, source not known", session.threads, plan, session.rounds)

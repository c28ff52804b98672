"""Compares `reprompt` with PyTorch: builds `reprompt`, checks that both sides agree, times them in alternation, and
reports.

Run by `run.sh`, which creates the virtual environment.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import checks as checking
import edit_parts
import models
import parts
import rounds
import sides

ROOT = Path(__file__).resolve().parents[2]
PARTS = {
    "operations": parts.operations,
    "unet": parts.unet,
    "edits": edit_parts.edits,
    "growth": edit_parts.growth,
    "sd15-unet": parts.sd15_unet,
    "sd15-edits": edit_parts.sd15_edits,
}
# Measured before anything here runs; the rest of a recent build counts too.
LOAD_AT_START = os.getloadavg()[0]
# The longest one runs only on request.
USUAL = [name for name in PARTS if name != "sd15-edits"]


@dataclass
class Binaries:
    """The built binaries: the server, and the bench that is the worker of `reprompt`."""

    server: Path
    bench: Path


def listed(allowed):
    def read(text):
        items = text.split(",")
        for item in items:
            if item not in allowed:
                raise argparse.ArgumentTypeError(f"expected one of {', '.join(allowed)}, got {item}")
        return items

    return read


def arguments():
    parser = argparse.ArgumentParser(prog="benches/compare/run.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows, rounds and steps, for a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the report as JSON, written after every part")
    every, usual = ",".join(PARTS), ",".join(USUAL)
    parser.add_argument("--only", type=listed(PARTS), metavar="PARTS", help=f"of {every}; default: {usual}")
    parser.add_argument("--threads", default="1,2", metavar="NUMBERS", help="threads of each side; default: 1,2")
    parser.add_argument("--rounds", type=int, help="counted rounds; default: 5, quick 2")
    precisions = {"type": listed(["f32", "bf16"]), "default": ["f32"], "metavar": "f32,bf16"}
    parser.add_argument("--dtype", **precisions, help="precisions of reprompt; default: f32")
    parser.add_argument("--torch-dtype", **precisions, help="precisions of PyTorch; f32 is always included")
    given = parser.parse_args()
    given.threads = [int(number) for number in given.threads.split(",")]
    given.rounds = given.rounds or (2 if given.quick else 5)
    given.only = given.only or USUAL
    given.torch_dtype = sorted({"f32", *given.torch_dtype}, reverse=True)
    return given


def build():
    """Builds the release binaries; the server last, as it is built for use."""
    paths = {}
    for target in (["--bench", "compare"], ["--bin", "reprompt"]):
        command = ["cargo", "build", "--release", "--locked", "--message-format=json-render-diagnostics", *target]
        output = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout
        for message in map(json.loads, output.splitlines()):
            if message.get("executable"):
                paths[message["target"]["name"]] = Path(message["executable"])
    return Binaries(server=paths["reprompt"], bench=paths["compare"])


def machine():
    """The machine and versions that the numbers belong to."""
    import diffusers
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    command = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_bytes": memory * 1024,
        "load_at_start": LOAD_AT_START,
        "commit": commit,
        "torch": torch.__version__,
        "torch_capability": torch.backends.cpu.get_cpu_capability(),
        "diffusers": diffusers.__version__,
        "python": platform.python_version(),
    }


def main():
    given = arguments()
    # On a signal it ends its child processes and prints the results so far.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if LOAD_AT_START > 0.3 * os.cpu_count():
        print(f"this machine is busy (load {LOAD_AT_START:.1f}): ratios will be less precise", file=sys.stderr)
    binaries = build()
    built = Path(os.environ.get("REPROMPT_COMPARE_DIR", ROOT / "target/compare"))
    report = {"machine": machine(), "settings": vars(given) | {"json": str(given.json)}, "checks": [], "rows": []}
    checks = checking.Checks()
    report["checks"] = checks.found
    shared = {
        "binaries": binaries,
        "models": models.Models(ROOT, built / "models"),
        "checks": checks,
        "dtypes": given.dtype,
        "torch_dtypes": given.torch_dtype,
        "rounds": given.rounds,
        "quick": given.quick,
    }
    everywhere = parts.Session(threads=given.threads[0], **shared)
    try:
        with sides.theirs("f32", everywhere.threads) as worker:
            checking.golden(checks, worker, everywhere.models, ROOT / "tests/fixtures/golden", given.quick)
        edit_parts.kinds(everywhere)
        for threads in given.threads:
            for name in given.only:
                report["rows"] += run_part(name, parts.Session(threads=threads, **shared))
                if given.json:
                    given.json.write_text(json.dumps(report, indent=1, default=str) + "\n")
    except checking.Disagreement as disagreement:
        print(f"the two sides do not agree, so nothing more is timed: {disagreement}", file=sys.stderr)
        return 1
    finally:
        # Measurements before a failure are valid.
        if report["rows"]:
            print(rounds.table(report["rows"]))
    return 0


def run_part(name, session):
    if session.quick and name == "edits":
        return edit_parts.edits(session, steps=20)
    return PARTS[name](session)


if __name__ == "__main__":
    sys.exit(main())

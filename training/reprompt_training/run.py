"""The parts of every training run: two processes that average their gradients (with one thread each, twice the images
per second of one process with two threads), a budget of images that continues across restarts, a checkpoint that
survives a kill at any time, an average of the weights, and a log.
"""
from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from .optim import Muon

CHECKPOINT_SECONDS = 120
LOG_STEPS = 50


class Run:
    """A training run, as seen by one process.

    `modules` are trained, with `batch` images per step in each process and `budget` images in total. `progress` is the
    finished fraction. `step(loss, figures)` averages gradients and takes one step; figures are logged as means.
    """

    def __init__(self, folder: Path, rank: int, world: int, modules: list[torch.nn.Module], batch: int, budget: int, lr: float, ema: float = 0.998):
        self.folder, self.rank, self.world = folder, rank, world
        self.batch, self.budget = batch * world, budget
        self.parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        self.optimizer = Muon(self.parameters, 0.02 * lr, adam_lr=2e-3 * lr, rank=rank, world=world)
        self.averages = [p.detach().clone() for p in self.parameters]
        self.ema, self.steps, self.spent, self.sums, self.count = ema, 0, 0.0, {}, 0
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            saved = torch.load(self.checkpoint, weights_only=True)
            for p, value, average, kept in zip(self.parameters, saved["weights"], self.averages, saved["averages"], strict=True):
                p.data.copy_(value)
                average.copy_(kept)
            self.optimizer.load_state_dict(saved["optimizer"])
            self.steps, self.spent = saved["steps"], saved["spent"]
        # different noise and images after every restart and in every process; reproducible
        torch.manual_seed(1_000_003 * self.steps + rank)
        self.started, self.saved_at = time.monotonic() - self.spent, time.monotonic()
        self.logged_at = time.monotonic()

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def progress(self) -> float:
        return min(1.0, self.steps * self.batch / self.budget)

    def step(self, loss: torch.Tensor, figures: dict[str, float]) -> None:
        loss.backward()
        flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in self.parameters])
        dist.all_reduce(flat)
        flat /= self.world
        at = 0
        for p in self.parameters:
            p.grad = flat[at : at + p.numel()].view_as(p)
            at += p.numel()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        self.spent = time.monotonic() - self.started
        keep = min(self.ema, (1 + self.steps) / (20 + self.steps))
        torch._foreach_lerp_(self.averages, [p.detach() for p in self.parameters], 1 - keep)
        self.note(figures)
        if time.monotonic() - self.saved_at > CHECKPOINT_SECONDS and self.rank == 0:
            self.save()

    def note(self, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        if self.rank == 0 and self.steps % LOG_STEPS == 0:
            now = time.monotonic()
            line = {"step": self.steps, "seconds": round(self.spent, 1), "images": self.steps * self.batch}
            line |= {name: round(value / self.count, 5) for name, value in self.sums.items()}
            line["images_a_second"] = round(LOG_STEPS * self.batch / (now - self.logged_at), 1)
            self.logged_at = now
            self.log(line)
            self.sums, self.count = {}, 0

    def log(self, line: dict) -> None:
        print(json.dumps(line), flush=True)
        with (self.folder / "log.jsonl").open("a") as out:
            out.write(json.dumps(line) + "\n")

    def save(self) -> None:
        state = {
            "weights": [p.detach() for p in self.parameters], "averages": self.averages,
            "optimizer": self.optimizer.state_dict(), "steps": self.steps, "spent": self.spent,
        }
        torch.save(state, self.checkpoint.with_suffix(".new"))
        os.replace(self.checkpoint.with_suffix(".new"), self.checkpoint)
        self.saved_at = time.monotonic()

    def averaged(self):
        """Uses the averaged weights inside the block."""
        return _Swapped(self.parameters, self.averages)


class _Swapped:
    def __init__(self, parameters, averages):
        self.parameters, self.averages = parameters, averages

    def __enter__(self):
        self.kept = [p.detach().clone() for p in self.parameters]
        for p, average in zip(self.parameters, self.averages):
            p.data.copy_(average)

    def __exit__(self, *_):
        for p, kept in zip(self.parameters, self.kept):
            p.data.copy_(kept)


def warm_up_then_cosine(progress: float, steps: int, warm_up: int = 60) -> float:
    return min(1.0, (steps + 1) / warm_up) * (0.5 + 0.5 * math.cos(math.pi * progress)) + 0.005


def flat_then_linear(progress: float, steps: int, warm_up: int = 60, flat: float = 0.4) -> float:
    return min(1.0, (steps + 1) / warm_up) * (min(1.0, (1 - progress) / (1 - flat))) + 0.005


def _process(rank: int, world: int, port: int, nice: int, work, arguments: tuple) -> None:
    os.nice(nice)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=rank, world_size=world)
    torch.set_num_threads(1)
    work(rank, world, *arguments)
    dist.barrier()
    dist.destroy_process_group()


def on_all_cores(work, *arguments, processes: int, port: int, nice: int = 10) -> None:
    """Runs `work(rank, processes, *arguments)` in this number of processes, which communicate over a loopback port."""
    mp.spawn(_process, (processes, port, nice, work, arguments), nprocs=processes)

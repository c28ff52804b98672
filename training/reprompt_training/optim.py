"""Muon for matrices and convolutions, Adam for the rest: at this size it needs about half of Adam's images.

Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/): the momentum of a weight, flattened to [out,
rest], is replaced by the nearest orthogonal matrix, found by five Newton-Schulz steps in bf16. Those take a fifth of a
step's time here, so each process does them for its own part of the matrices and sends the results to the others.
"""
from __future__ import annotations

import torch
import torch.distributed as dist


class Muon(torch.optim.Optimizer):
    """`lr` for matrices, `adam_lr` for vectors, embeddings and matrices thinner than 16."""

    def __init__(self, parameters, lr: float = 0.02, momentum: float = 0.95, adam_lr: float = 2e-3, rank: int = 0, world: int = 1):
        parameters = [p for p in parameters if p.requires_grad]
        matrices = [p for p in parameters if p.ndim >= 2 and min(p.shape[0], p[0].numel()) >= 16 and p.shape[0] < 512]
        chosen = {id(p) for p in matrices}
        rest = [p for p in parameters if id(p) not in chosen]
        groups = [
            {"params": matrices, "kind": "muon", "lr": lr, "base": lr},
            {"params": rest, "kind": "adam", "lr": adam_lr, "base": adam_lr},
        ]
        super().__init__(groups, {"momentum": momentum})
        self.rank = rank
        # the work of a matrix grows with its smaller side; largest first, each to the process with the least work
        self.shares: list[list[torch.Tensor]] = [[] for _ in range(world)]
        loads = [0] * world
        work = lambda p: p.numel() * min(p.shape[0], p[0].numel())  # noqa: E731
        for p in sorted(matrices, key=work, reverse=True):
            least = loads.index(min(loads))
            self.shares[least].append(p)
            loads[least] += work(p)
        self.mine = {id(p) for p in self.shares[rank]}

    def scale(self, factor: float) -> None:
        """Sets both learning rates to a fraction of their initial values."""
        for group in self.param_groups:
            group["lr"] = group["base"] * factor

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            update = self.muon if group["kind"] == "muon" else self.adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update(parameter, group)
        if len(self.shares) > 1:
            self.exchange()

    def exchange(self) -> None:
        """Sends the matrices that this process has updated, and receives the others'."""
        for rank, share in enumerate(self.shares):
            flat = torch.cat([p.flatten() for p in share])
            dist.broadcast(flat, rank)
            if rank != self.rank:
                at = 0
                for p in share:
                    p.copy_(flat[at : at + p.numel()].view_as(p))
                    at += p.numel()

    def muon(self, parameter: torch.Tensor, group: dict) -> None:
        momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
        momentum.lerp_(parameter.grad, 1 - group["momentum"])
        if id(parameter) not in self.mine:
            return
        direction = parameter.grad.lerp(momentum, group["momentum"]).flatten(1)
        tall = direction.shape[0] > direction.shape[1]
        x = (direction.T if tall else direction).bfloat16()
        x = x / (x.norm() + 1e-7)
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
        x = (x.T if tall else x).reshape(parameter.shape).to(parameter.dtype)
        shape = max(1.0, parameter.shape[0] / parameter[0].numel()) ** 0.5
        parameter.add_(x, alpha=-group["lr"] * shape)

    def adam(self, parameter: torch.Tensor, group: dict) -> None:
        state = self.state[parameter]
        if not state:
            state.update(mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter), steps=0)
        state["steps"] += 1
        mean, square = state["mean"], state["square"]
        mean.lerp_(parameter.grad, 0.1)
        square.lerp_(parameter.grad.square(), 0.01)
        spread = (square / (1 - 0.99 ** state["steps"])).sqrt_().add_(1e-8)
        parameter.addcdiv_(mean / (1 - 0.9 ** state["steps"]), spread, value=-group["lr"])

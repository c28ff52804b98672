"""PyTorch's side: a process that answers JSON lines on stdin with JSON lines on stdout.

Contract: the requests of `main.rs`, and `edit`: `source` and `edits` (bodies of `POST /v1/edits`) by the published
scheme, source and edits together. Seconds are wall-clock time of the work alone; everything runs in
`torch.inference_mode`, eagerly, with diffusers' default attention except in `edit`.
"""

import argparse
import base64
import json
import sys
import time

import torch

import ops

SAMPLE = 4096
PROMPT = "a cat on the beach"
TIMESTEP = 500


def timed(request, work):
    """Runs `work` as often as the request says, after one untimed run unless `warm` is false."""
    if request.get("warm", True):
        work()
    times = max(request.get("times", 1), 1)
    began = time.perf_counter()
    for _ in range(times):
        result = work()
    seconds = (time.perf_counter() - began) / times
    return {"seconds": seconds, "values": sample(result) if request.get("values") else None}


def sample(tensor):
    values = tensor.float().flatten()
    return values[:: (len(values) // SAMPLE) | 1].tolist()


def encoded(images):
    return [base64.b64encode(image.tobytes()).decode() for image in images]


class Worker:
    def __init__(self, dtype):
        self.dtype = dtype
        self.parts = None
        self.operations = {}

    def load(self, request):
        # Imported late, so that a process for single operations starts quickly.
        from pipeline import Parts

        self.parts = Parts(request["model"], self.dtype)
        return {}

    def op(self, request):
        key = json.dumps(request["spec"])
        if key not in self.operations:
            self.operations[key] = ops.build(request["spec"], self.dtype)
        return timed(request, self.operations[key])

    def forward(self, request):
        parts, rows = self.parts, request["rows"]
        context = parts.encode(parts.padded([PROMPT])).expand(rows, -1, -1)
        size = {"height": request["height"], "width": request["width"]}
        latents = torch.cat([parts.noise({"seed": request["seed"] + row, **size}) for row in range(rows)])
        parts.unet.set_default_attn_processor()
        return timed(
            request, lambda: parts.unet(latents, TIMESTEP, encoder_hidden_states=context, return_dict=False)[0]
        )

    def plain(self, request):
        began = time.perf_counter()
        images = self.parts.plain(request["source"])
        return {"seconds": time.perf_counter() - began, "images": encoded(images)}

    def edit(self, request):
        import reference

        began = time.perf_counter()
        images = reference.edit(self.parts, request["source"], request["edits"])
        return {"seconds": time.perf_counter() - began, "images": encoded(images)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_num_interop_threads(1)
    worker = Worker({"f32": torch.float32, "bf16": torch.bfloat16}[arguments.dtype])
    # Output of libraries must not mix with the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        try:
            with torch.inference_mode():
                answer = getattr(worker, request["do"])(request)
        except Exception as error:  # the driver reports the failure
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()

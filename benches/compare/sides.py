"""The processes of the comparison: workers with a JSON lines protocol, and the HTTP server.

Contract: each is started with its threads and precision, is kept warm, and ends with the driver. `peak` is its peak
memory since `forget_peak`.
"""

import base64
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
PATIENCE = 600


class Unsupported(Exception):
    """This build does not support it: its column or row is skipped."""


class Process:
    """A child process; `name` is its column: side and precision."""

    def __init__(self, side, dtype, threads, command, **streams):
        self.name, self.side, self.dtype = f"{side} {dtype}", side, dtype
        environment = {
            name: value for name, value in os.environ.items() if name != "RUST_LOG" and not name.startswith("REPROMPT_")
        }
        # Each library reads its own variable; limit all of them.
        environment |= {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")}
        self.child = subprocess.Popen([str(part) for part in command], env=environment, text=True, **streams)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        for stream in (self.child.stdin, self.child.stdout, self.child.stderr):
            if stream:
                stream.close()

    def forget_peak(self):
        Path(f"/proc/{self.child.pid}/clear_refs").write_text("5")

    def peak(self):
        """Bytes: `VmHWM` in /proc/PID/status."""
        lines = Path(f"/proc/{self.child.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


class Worker(Process):
    """A process that answers each JSON line with one JSON line."""

    def __init__(self, side, dtype, threads, command):
        flags = ["--threads", threads, "--dtype", dtype]
        super().__init__(side, dtype, threads, [*command, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, do, **request):
        self.child.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} has ended")
        answer = json.loads(line)
        if answer.get("unsupported"):
            raise Unsupported(f"{self.name}: {answer['error']}")
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {do}: {answer['error']}")
        if "images" in answer:
            answer["images"] = [base64.b64decode(image) for image in answer["images"]]
        return answer


def ours(binaries, dtype, threads):
    return Worker("reprompt", dtype, threads, [binaries.bench])


def theirs(dtype, threads):
    return Worker("PyTorch", dtype, threads, [sys.executable, HERE / "theirs.py"])


class Server(Process):
    """The `reprompt` server. `model` is a folder, or None for the embedded model."""

    def __init__(self, binaries, dtype, threads, model=None, memory_bytes=None):
        flags = ["serve", "--listen", "127.0.0.1:0", "--threads", threads, "--dtype", dtype]
        flags += ["--model", model] if model else []
        flags += ["--recordings-memory-bytes", memory_bytes] if memory_bytes else []
        super().__init__("reprompt", dtype, threads, [binaries.server, *flags], stderr=subprocess.PIPE)
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise

    def begin(self):
        """Waits until it is ready."""
        self.address, said = None, []
        for line in self.child.stderr:
            said.append(line.strip())
            if "listening on http://" in line:
                self.address = line.split("listening on http://")[1].strip()
                break
        if self.address is None:
            raise Unsupported(" ".join(said[-1:]))
        # Read its log to the end; otherwise it would block on a full pipe.
        threading.Thread(target=lambda: [None for _ in self.child.stderr], daemon=True).start()
        deadline = time.monotonic() + PATIENCE
        while self.call("GET", "/readyz")[0] != 200:
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server does not become ready")
            time.sleep(0.05)

    def call(self, method, path, body=None):
        """Status and body of one request."""
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        headers = {"content-type": "application/json"} if body is not None else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def edits(self, source, requests, found_as=None):
        """Edits of one source, all sent at once: seconds until the last response is read, and the responses.

        `found_as` is how at least one of them must have found the source: `created`, `hit` or `replayed`. Of several
        sent at once any may be the first.
        """
        answers = [None] * len(requests)

        def send(at):
            body = {"source": source, "include_source": True, **requests[at]}
            answers[at] = self.call("POST", "/v1/edits", body)

        senders = [threading.Thread(target=send, args=(at,)) for at in range(1, len(requests))]
        began = time.perf_counter()
        for sender in senders:
            sender.start()
        send(0)
        for sender in senders:
            sender.join()
        seconds = time.perf_counter() - began
        for status, body in answers:
            if status != 200:
                raise RuntimeError(f"{self.name}: {status}: {body.decode()}")
        answers = [json.loads(body) for _, body in answers]
        found = {answer["session"]["recording"] for answer in answers}
        if found_as and found_as not in found:
            raise RuntimeError(f"{self.name}: the source was {', '.join(found)}, not {found_as}")
        return seconds, answers

    def memory_of(self, answer):
        """Bytes in memory of the recording of a response's session."""
        status, body = self.call("GET", f"/v1/sessions/{answer['session']['id']}")
        assert status == 200, body
        return json.loads(body)["bytes"]["memory"]


def images_of(answers):
    """The source's image and each edit's, as arrays of pixels."""
    def pixels(answer, role):
        data = next(each for each in answer["data"] if each["role"] == role)["b64_json"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))

    return [pixels(answers[0], "source")] + [pixels(answer, "edit") for answer in answers]

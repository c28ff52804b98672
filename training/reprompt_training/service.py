"""Runs the Rust binary for the measurements: it makes every measured picture, over HTTP."""
from __future__ import annotations

import base64
import io
import json
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image


class Service:
    """Runs `reprompt serve` with a model folder inside the block."""

    def __init__(self, binary: Path, model: Path, port: int = 8473, settings: dict | None = None):
        self.url = f"http://127.0.0.1:{port}"
        self.command = [str(binary), "serve", "--model", str(model), "--listen", f"127.0.0.1:{port}"]
        self.settings = settings or {}

    def __enter__(self) -> Service:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                urllib.request.urlopen(self.url + "/readyz").close()
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.process.kill()
        raise RuntimeError(f"does not serve: {' '.join(self.command)}")

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait()

    def send(self, path: str, body: dict | None = None) -> dict:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json", "accept": "application/json"})
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path} {body}: {error.read().decode()}") from error

    def source(self, prompt: str, seed: int) -> dict:
        return {"prompt": prompt, "seed": seed, **self.settings}

    def edit(self, prompt: str, seed: int, target: str, body: dict) -> tuple[np.ndarray, np.ndarray, dict]:
        """The source's and the edited image, [128, 128, 3] uint8, and the response."""
        answer = self.send("/v1/edits", {"source": self.source(prompt, seed), "prompt": target, "include_source": True, **body})
        source, edited = (picture(image["b64_json"]) for image in answer["data"])
        return source, edited, answer

    def generate(self, prompt: str, seed: int) -> tuple[np.ndarray, dict]:
        """The image of a prompt and a seed, and its session."""
        answer = self.send("/v1/sessions", {"source": self.source(prompt, seed), "response_format": "b64_json"})
        return picture(answer["data"][0]["b64_json"]), answer

    def heat_map(self, session: str, word: str) -> np.ndarray:
        """The attention of the source to a word, [16, 16], at most 1."""
        return np.array(self.send(f"/v1/sessions/{session}/attention?word={word}")["values"], np.float32)


def picture(encoded: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))


def side_by_side(work, items: list, at_once: int = 4) -> list:
    """`work` of every item, several at a time; results are in the order of the items."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(work, items))

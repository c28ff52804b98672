"""Exports the trained parts as a model folder in the diffusers layout, f16: `python -m reprompt_training.export WORK OUT`.

The text encoder's keys begin with `text_model.`, as in Stable Diffusion's files.
"""
from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from diffusers import DDIMScheduler
from safetensors.torch import load_file, save_file

from .denoiser import SCHEDULE

PARTS = {
    "text_encoder": ("denoiser/text_encoder", "model.safetensors"),
    "unet": ("denoiser/unet", "diffusion_pytorch_model.safetensors"),
    "vae": ("decoder/model", "diffusion_pytorch_model.safetensors"),
}
INDEX = {
    "_class_name": "StableDiffusionPipeline", "feature_extractor": [None, None], "safety_checker": [None, None],
    "requires_safety_checker": False, "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
}


def export(work: Path, out: Path) -> int:
    """Writes the folder; returns the size of its weights in bytes."""
    total = 0
    for part, (where, weights) in PARTS.items():
        (out / part).mkdir(parents=True, exist_ok=True)
        tensors = {name: value.half().contiguous() for name, value in load_file(work / where / weights).items()}
        if part == "text_encoder":
            tensors = {name if name.startswith("text_model.") else f"text_model.{name}": value for name, value in tensors.items()}
        save_file(tensors, out / part / weights, metadata={"format": "pt"})
        config = json.loads((work / where / "config.json").read_text())
        config.pop("_name_or_path", None)
        (out / part / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        total += (out / part / weights).stat().st_size
    shutil.copytree(work / "tokenizer", out / "tokenizer", dirs_exist_ok=True)
    DDIMScheduler(**SCHEDULE).save_pretrained(out / "scheduler")
    (out / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")
    return total


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("work", type=Path)
    options.add_argument("out", type=Path)
    given = options.parse_args()
    print(f"{export(given.work, given.out) / 1e6:.1f} MB of weights in {given.out}")


if __name__ == "__main__":
    main()

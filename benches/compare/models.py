"""The models of the comparison: the demo model, the tests' miniatures, and Stable Diffusion 1.5's shape.

Contract: `folder` returns a folder in the diffusers layout, and creates it if needed, in the folder for build products.
"""

import json
import shutil
import sys
import tarfile

import torch

# Where Stable Diffusion 1.5 differs from the defaults of diffusers and transformers.
UNET = {
    "sample_size": 64,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}
TEXT = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "pad_token_id": 49407,
}
SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "clip_sample": False,
    "timestep_spacing": "leading",
}
# Random weights attend to everything equally and have almost no output. Queries, keys and the last convolution are
# scaled up, so that a wrong map is visible and latents keep their size.
SHARPER, LOUDER = 2.5, 3.0


class Models:
    def __init__(self, root, built):
        """`root` is the repository, `built` the folder for build products."""
        self.root, self.built = root, built

    def folder(self, name):
        if name == "demo":
            return self.root / "models/demo"
        folder = self.built / name
        if not folder.is_dir():
            self.built.mkdir(parents=True, exist_ok=True)
            if name == "sd15":
                self.make_sd15(folder)
            else:
                with tarfile.open(self.root / f"tests/fixtures/models/{name}.tar.gz") as archive:
                    archive.extractall(self.built, filter="data")
        return folder

    def make_sd15(self, folder):
        """Stable Diffusion 1.5's configuration with random weights, in f16 files of 2 GB."""
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPTextConfig, CLIPTextModel

        print("creating a model of Stable Diffusion 1.5's shape", file=sys.stderr, flush=True)
        unfinished = folder.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        torch.manual_seed(0)
        unet = UNet2DConditionModel(**UNET)
        with torch.no_grad():
            for name, weight in unet.named_parameters():
                if name.endswith(("to_q.weight", "to_k.weight")):
                    weight.mul_(SHARPER)
            unet.conv_out.weight.mul_(LOUDER)
        unet.half().save_pretrained(unfinished / "unet")
        del unet
        AutoencoderKL(**VAE).half().save_pretrained(unfinished / "vae")
        CLIPTextModel(CLIPTextConfig(**TEXT)).half().save_pretrained(unfinished / "text_encoder")
        shutil.copytree(self.folder("tiny-sd1") / "tokenizer", unfinished / "tokenizer")
        (unfinished / "scheduler").mkdir()
        (unfinished / "scheduler/scheduler_config.json").write_text(json.dumps(SCHEDULER))
        unfinished.rename(folder)

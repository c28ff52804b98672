"""Stable Diffusion's parts from diffusers and transformers, and the sampling loop of plain generation and edits.

Contract: text is encoded once; each step is one UNet pass over all rows, unconditional half first. It does nothing that
`StableDiffusionPipeline` does not do. Images are `uint8` arrays.
"""

import json
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from transformers import CLIPTextModel, CLIPTokenizer

diffusers.utils.logging.set_verbosity_error()
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


class Parts:
    """A loaded model folder in the diffusers layout."""

    def __init__(self, folder, dtype=torch.float32):
        folder = Path(folder)
        options = {"torch_dtype": dtype, "local_files_only": True, "low_cpu_mem_usage": False}
        self.dtype = dtype
        self.tokenizer = load_tokenizer(folder / "tokenizer")
        self.text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=dtype, local_files_only=True)
        self.text_encoder.eval()
        self.unet = UNet2DConditionModel.from_pretrained(folder / "unet", **options).eval()
        self.vae = AutoencoderKL.from_pretrained(folder / "vae", **options).eval()
        # The file may be for another scheduler; the published code sets these two itself.
        settled = {"clip_sample": False, "set_alpha_to_one": False}
        self.scheduler = DDIMScheduler.from_pretrained(folder / "scheduler", **settled)
        self.factor = 2 ** (len(self.vae.config.block_out_channels) - 1)

    def noise(self, source):
        """The noise of a seed: `[1, channels, h, w]` from a CPU generator."""
        generator = torch.Generator().manual_seed(source["seed"])
        size = (source["height"] // self.factor, source["width"] // self.factor)
        return torch.randn(1, self.unet.config.in_channels, *size, generator=generator).to(self.dtype)

    def encode(self, ids):
        """Padded token ids `[prompts, tokens]` as the UNet reads them."""
        return self.text_encoder(ids)[0]

    def padded(self, texts):
        """Padded token ids `[texts, tokens]`."""
        length = self.tokenizer.model_max_length
        return self.tokenizer(texts, padding="max_length", max_length=length, return_tensors="pt").input_ids

    def denoise(self, source, texts, latents, after_step=lambda latents: latents):
        """Images from `latents` `[prompts, channels, h, w]` and the padded token ids of as many prompts."""
        negative = self.padded([source["negative_prompt"]])
        embeddings = self.encode(torch.cat([negative, texts]))
        context = torch.cat([embeddings[:1].expand(len(texts), -1, -1), embeddings[1:]])
        self.scheduler.set_timesteps(source["num_inference_steps"])
        for timestep in self.scheduler.timesteps:
            rows = torch.cat([latents, latents])
            output = self.unet(rows, timestep, encoder_hidden_states=context, return_dict=False)[0]
            unconditional, conditional = output.chunk(2)
            guided = unconditional + source["guidance_scale"] * (conditional - unconditional)
            latents = self.scheduler.step(guided, timestep, latents, return_dict=False)[0]
            latents = after_step(latents)
        images = self.vae.decode(latents / self.vae.config.scaling_factor, return_dict=False)[0]
        images = (images.float() / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1) * 255
        return images.round().to(torch.uint8).numpy()

    def plain(self, source):
        """One image without any editing, by diffusers' default attention (`scaled_dot_product_attention`)."""
        self.unet.set_attn_processor(AttnProcessor2_0())
        return self.denoise(source, self.padded([source["prompt"]]), self.noise(source))


def load_tokenizer(folder):
    """The tokenizer; the older file of special tokens wins, because in it Stable Diffusion 2 pads with "!"."""
    tokens = {}
    specials = folder / "special_tokens_map.json"
    if specials.is_file():
        content = lambda token: token if isinstance(token, str) else token["content"]
        tokens = {name: content(token) for name, token in json.loads(specials.read_text()).items()}
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True, **tokens)

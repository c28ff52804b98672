"""UNet and text encoder, trained together on cached latents: `python -m reprompt_training.denoiser WORK --images N`.

The loss is v-prediction's squared error plus a small term for the part of the words' maps outside their masks. A tenth
of the captions is empty, for classifier-free guidance. In three of ten the end and padding tokens are hidden, so that
the words themselves have to carry the content. Timesteps are spread evenly over a batch. Writes
WORK/denoiser/{unet,text_encoder} (averaged weights) with every checkpoint and resumes from WORK/denoiser/checkpoint.pt.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from .attention import Attention, missed
from .captions import LENGTH, Captions
from .run import Run, flat_then_linear, on_all_cores

BATCH = 24
MISSED_WEIGHT = 0.04
NO_CAPTION, HIDDEN_PADDING = 0.1, 0.3
SAVE_SECONDS = 300
SCHEDULE = {
    "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction", "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1,
}


def new(tokenizer: CLIPTokenizer) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
        projection_dim=128, max_position_embeddings=LENGTH, hidden_act="quick_gelu", bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
    ))
    with torch.no_grad():
        for name, parameter in text.named_parameters():
            if "embedding" in name:
                parameter.normal_(0, 0.3 if "token" in name else 0.1)
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=8, out_channels=8, block_out_channels=(64, 128, 192),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1, cross_attention_dim=128, attention_head_dim=4, norm_num_groups=16,
    )
    return unet, text


def warm_started(unet: UNet2DConditionModel, text: CLIPTextModel, tokenizer: CLIPTokenizer, model: Path) -> None:
    """Copies weights of another model that match by name and shape, and the embeddings of common tokens."""
    for part, old in ((unet, UNet2DConditionModel.from_pretrained(model / "unet")), (text, CLIPTextModel.from_pretrained(model / "text_encoder"))):
        known, mine = old.state_dict(), part.state_dict()
        part.load_state_dict({k: known[k] if k in known and known[k].shape == v.shape else v for k, v in mine.items()})
        if part is text:
            vocabulary = CLIPTokenizer.from_pretrained(model / "tokenizer").get_vocab()
            theirs = old.get_input_embeddings().weight
            with torch.no_grad():
                for token, k in tokenizer.get_vocab().items():
                    if token in vocabulary:
                        part.get_input_embeddings().weight[k] = theirs[vocabulary[token]]


class Batches:
    """Latents, captions and masks of randomly ordered scenes, every scene once per epoch."""

    def __init__(self, work: Path, tokenizer: CLIPTokenizer):
        self.latents = torch.from_numpy(np.load(work / "latents.npy"))
        self.masks = torch.from_numpy(np.load(work / "data/train/masks.npy")[: len(self.latents)])
        self.captions = Captions.load(work / "data/train/scenes.json", tokenizer)
        self.waiting: list[int] = []

    def next(self) -> list[int]:
        if len(self.waiting) < BATCH:
            self.waiting = torch.randperm(len(self.latents)).tolist()
        return [self.waiting.pop() for _ in range(BATCH)]


def loss_of(unet, text, attention: Attention, batches: Batches, alphas: torch.Tensor):
    chosen, captions = batches.next(), batches.captions
    latents = batches.latents[chosen].float()
    ids = captions.ids[chosen].clone()
    bias, strength = torch.zeros(BATCH, LENGTH), torch.ones(BATCH, LENGTH)
    rows, tokens, masks = [], [], []
    dropped, hidden = torch.rand(BATCH) < NO_CAPTION, torch.rand(BATCH) < HIDDEN_PADDING
    for row, k in enumerate(chosen):
        faded, by = captions.faders[k]
        if dropped[row] and not faded:  # no caption describes a picture with something turned down
            ids[row] = captions.empty
            continue
        if hidden[row]:
            bias[row, captions.ends[k] :] = -1e4
        strength[row, faded] = by
        for token, mask in captions.marks[k]:
            if not (token in faded and by < 0.3):  # a removed thing has no location
                rows.append(row), tokens.append(token), masks.append(batches.masks[k, mask])
    attention.bias, attention.strength = bias[:, None, None], strength[:, None, None]
    attention.maps.clear()
    # one timestep in each of BATCH equal parts of the schedule
    timesteps = ((torch.randperm(BATCH) + torch.rand(BATCH)) * (1000 / BATCH)).long().clamp(0, 999)
    alpha = alphas[timesteps].view(-1, 1, 1, 1)
    noise = torch.randn_like(latents)
    noisy, wanted = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise, alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
    with torch.autocast("cpu", torch.bfloat16):
        predicted = unet(noisy, timesteps, text(ids)[0]).sample
    error = (predicted.float() - wanted).square().mean()
    outside = missed(attention.maps, rows, tokens, torch.stack(masks).float() / 255)
    return error + MISSED_WEIGHT * outside, {"error": error.item(), "missed": outside.item()}


def train(rank: int, world: int, work: Path, images: int, warm_start: Path | None, lr: float) -> None:
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    unet, text = new(tokenizer)
    if warm_start:
        warm_started(unet, text, tokenizer, warm_start)
    attention = Attention()
    unet.set_attn_processor(attention)
    run = Run(work / "denoiser", rank, world, [unet, text], BATCH, images, lr)
    batches, alphas = Batches(work, tokenizer), DDIMScheduler(**SCHEDULE).alphas_cumprod
    written = run.spent
    while run.progress < 1:
        run.optimizer.scale(flat_then_linear(run.progress, run.steps))
        loss, figures = loss_of(unet, text, attention, batches, alphas)
        run.step(loss, figures)
        if rank == 0 and run.spent - written > SAVE_SECONDS:
            write(run, unet, text, work)
            written = run.spent
    if rank == 0:
        run.save()
        write(run, unet, text, work)
        (work / "denoiser/done").touch()


def write(run: Run, unet, text, work: Path) -> None:
    with run.averaged():
        unet.save_pretrained(work / "denoiser/unet")
        text.save_pretrained(work / "denoiser/text_encoder")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("work", type=Path)
    options.add_argument("--images", type=int, required=True, help="how many are drawn in all, over restarts")
    options.add_argument("--warm-start", type=Path, help="a model folder in the diffusers layout")
    options.add_argument("--lr", type=float, default=1.0, help="a part of the full learning rates")
    options.add_argument("--processes", type=int, default=2)
    given = options.parse_args()
    on_all_cores(train, given.work, given.images, given.warm_start, given.lr, processes=given.processes, port=29513)


if __name__ == "__main__":
    main()

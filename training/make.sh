#!/usr/bin/env bash
# From nothing to a model folder: make.sh [WORK] [MODEL]. Every step that is done is left alone, and one that was killed
# goes on from its last checkpoint, so the same command again is how to resume.
#
#   VAE_IMAGES, DENOISER_IMAGES, DECODER_IMAGES   how many images each training draws
#   VAE_START, DENOISER_START       what to start from: folders in the diffusers layout; empty for random weights
#   READER_MINUTES                  how long the reader, which measures, is trained
#   PROCESSES                       training processes, one thread each
set -euo pipefail
cd "$(dirname "$0")"
work=$(realpath -m "${1:-work}")
model=$(realpath -m "${2:-$work/model}")
export REPROMPT_TRAINING_ICONS=$work/icons/package/icons.json
python=$work/venv/bin/python
processes=${PROCESSES:-$(nproc)}
run() { "$python" -m "reprompt_training.$1" "${@:2}"; }

run dataset "$work/data" --train "${SCENES:-24000}" --processes "$processes"
run tokenizer "$work/tokenizer"
test -d "$work/vae/model" ||
    run vae "$work" --images "${VAE_IMAGES:-60000}" --processes "$processes" ${VAE_START:+--warm-start "$VAE_START"}
test -e "$work/latents.npy" || run latents "$work" --processes "$processes"
test -e "$work/denoiser/done" ||
    run denoiser "$work" --images "${DENOISER_IMAGES:-450000}" --processes "$processes" ${DENOISER_START:+--warm-start "$DENOISER_START"}
test -d "$work/decoder/model" ||
    run vae "$work" --decoder-only --images "${DECODER_IMAGES:-40000}" --processes "$processes"
test -e "$work/reader.pt" || run reader "$work" --minutes "${READER_MINUTES:-30}" --threads "$processes"
run export "$work" "$model"

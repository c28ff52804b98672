#!/usr/bin/env bash
# Makes a model folder from scratch: make.sh [WORK] [MODEL]. Finished steps are skipped, and a killed step resumes from
# its last checkpoint, so run the same command again to resume.
#
#   VAE_IMAGES, DENOISER_IMAGES, DECODER_IMAGES   number of images that each training draws
#   VAE_START, DENOISER_START       starting checkpoints: folders in the diffusers layout; empty for random weights
#   READER_MINUTES                  training time of the reader, which is used for measuring
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

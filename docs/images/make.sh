#!/usr/bin/env bash
# Makes the pictures of README.md and docs/parameters.md, with the embedded model:
#
#   docs/images/make.sh [BINARY]        # default: target/release/reprompt
#
# Needs curl, ImageMagick (montage), pngquant and the font DejaVu Sans. Runs the service on PORT (18300) of loopback and
# stops it. Takes a minute on two cores. Run it again when the model changes, and check the pictures: prompts and seeds
# were chosen so that they show what the text says. tests/browser/screenshot.mjs makes the playground's picture.
set -euo pipefail
cd "$(dirname "$0")/../.."

binary=$(realpath "${1-target/release/reprompt}")
images=docs/images
address=127.0.0.1:${PORT-18300}
for tool in curl montage pngquant "$binary"; do
    command -v "$tool" >/dev/null || { echo "$0: needs $tool" >&2; exit 2; }
done
dir=$(mktemp -d)
"$binary" serve --listen "$address" >"$dir/log" 2>&1 &
trap 'kill $!; rm -rf "$dir"' EXIT
until curl -sf "http://$address/readyz" >/dev/null; do kill -0 $! && sleep 0.1; done

json=(-sS --fail-with-body -H 'content-type: application/json')
# source FILE PROMPT SEED: makes the source and prints its session
source_of() {
    curl "${json[@]}" -o "$1" -D - -H 'accept: image/png' "http://$address/v1/sessions" \
        -d "{\"source\": {\"prompt\": \"$2\", \"seed\": $3}}" | sed -n 's/^x-reprompt-session: \(.*\)\r$/\1/p'
}
# edit FILE SESSION PROMPT FIELDS
edit() {
    curl "${json[@]}" -o "$1" -H 'accept: image/png' "http://$address/v1/sessions/$2/edits" -d "{\"prompt\": \"$3\"$4}"
}
# sheet NAME COLUMNS SIDE, then pairs of text and file
sheet() {
    local name=$1 columns=$2 side=$3 arguments=()
    shift 3
    while [ $# -gt 0 ]; do
        arguments+=(-label "$1" "$2")
        shift 2
    done
    montage -font DejaVu-Sans -pointsize 11 -fill '#222' -background white "${arguments[@]}" \
        -filter Mitchell -resize "${side}x$side" -tile "${columns}x" -geometry +5+3 \
        -depth 8 "$dir/$name.png"
    # Few colours, so that new versions of the pictures do not bloat the repository.
    pngquant --force --strip --quality 60-95 --output "$images/$name.png" 256 "$dir/$name.png"
    echo "$images/$name.png"
}
# variants NAME PROMPT SEED TARGET, then pairs of text and fields: a row with the source and an edit for each pair
variants() {
    local name=$1 target=$4 session tiles=() n=0
    session=$(source_of "$dir/$name-source.png" "$2" "$3")
    tiles=("source" "$dir/$name-source.png")
    shift 4
    while [ $# -gt 0 ]; do
        n=$((n + 1))
        edit "$dir/$name-$n.png" "$session" "$target" ", $2"
        tiles+=("$1" "$dir/$name-$n.png")
        shift 2
    done
    sheet "$name" $((n + 1)) 144 "${tiles[@]}"
}

# -- README -----------------------------------------------------------------------------------------------------------
pairs=(
    "a car in the city|7|a bus in the city||car → bus"
    "a cat on the beach|2|a cat with a crown on the beach||+ with a crown"
    "a penguin with a balloon in the snow|3|a penguin with a balloon in the snow|, \"equalizer\": [{\"word\": \"balloon\", \"strength\": -0.3}]|balloon × -0.3"
    "a house in the forest|3|a castle in the forest|, \"local_blend\": true|house → castle, local blend"
)
above=() below=()
for i in "${!pairs[@]}"; do
    IFS='|' read -r prompt seed target fields text <<<"${pairs[i]}"
    session=$(source_of "$dir/s$i.png" "$prompt" "$seed")
    edit "$dir/e$i.png" "$session" "$target" "$fields"
    above+=("$prompt" "$dir/s$i.png")
    below+=("$text" "$dir/e$i.png")
done
sheet edits 4 192 "${above[@]}" "${below[@]}"

session=$(source_of "$dir/heat.png" "a penguin in the snow" 3)
heat() { curl "${json[@]}" -o "$dir/heat-$1.png" "http://$address/v1/sessions/$session/attention?$2"; }
heat 1 'word=penguin'
heat 2 'word=snow'
heat 3 'word=penguin&step=0'
sheet attention 4 192 "a penguin in the snow" "$dir/heat.png" "penguin" "$dir/heat-1.png" "snow" "$dir/heat-2.png" \
    "penguin, step 0" "$dir/heat-3.png"

# -- docs/parameters.md -----------------------------------------------------------------------------------------------
rows=()
for value in 0 0.2 0.4 0.8 1; do rows+=("$value" "\"cross_replace_steps\": $value, \"self_replace_steps\": 0"); done
variants cross "a tree on the beach" 2 "a flower on the beach" "${rows[@]}"

rows=()
for value in 0 0.2 0.4 0.6 0.8 1; do rows+=("$value" "\"cross_replace_steps\": 0.4, \"self_replace_steps\": $value"); done
variants self "a red car on the beach" 7 "a red boat on the beach" "${rows[@]}"

rows=()
for value in 0.8 '{"default_": 0.8, "flower": 0.2}' '{"default_": 0.8, "flower": 0}' 0; do
    rows+=("$(tr -d '{}"' <<<"$value")" "\"cross_replace_steps\": $value, \"self_replace_steps\": 0")
done
variants words "a tree on the beach" 5 "a flower on the beach" "${rows[@]}"

rows=()
for value in -2 0 0.5 1 2 4; do
    rows+=("× $value" "\"edit_type\": \"reweight\", \"equalizer\": [{\"word\": \"sunset\", \"strength\": $value}]")
done
variants reweight "a house on the beach at sunset" 3 "a house on the beach at sunset" "${rows[@]}"

near='"cross_replace_steps": 0.2, "self_replace_steps": 0.2'
variants blend "a car in the city" 3 "a bus in the city" \
    "no local blend" "$near" "true" "$near, \"local_blend\": true" \
    "threshold: 0.15" "$near, \"local_blend\": {\"threshold\": 0.15}" \
    "threshold: 0.6" "$near, \"local_blend\": {\"threshold\": 0.6}" \
    "start: 0.7" "$near, \"local_blend\": {\"start\": 0.7}"

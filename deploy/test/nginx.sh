#!/usr/bin/env bash
# Tests deploy/nginx.conf: a real nginx in front of two replicas of the binary, on loopback.
#
#   deploy/test/nginx.sh [BINARY]        # default: target/release/reprompt
#   PORT=18400 deploy/test/nginx.sh      # the proxy's port; the replicas have the next two
#
# Needs nginx, curl, jq and python3; installs nothing. Works in a folder of its own and stops only what it started. Takes about
# half a minute on two cores. Prints a line for each check; exits with 1 at the first failure.
set -euo pipefail
cd "$(dirname "$0")/../.."

binary=$(realpath "${1-target/release/reprompt}")
port=${PORT-18400}
proxy=http://127.0.0.1:$port
replicas=("127.0.0.1:$((port + 1))" "127.0.0.1:$((port + 2))")
python=${PYTHON-python3}
for tool in nginx curl jq tar "$python" "$binary"; do
    command -v "$tool" >/dev/null || { echo "$0: needs $tool" >&2; exit 2; }
done

dir=$(mktemp -d)
pids=()
finish() {
    local status=$?
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    [ $status = 0 ] || tail -n 5 "$dir"/*.log >&2
    rm -rf "$dir"
}
trap finish EXIT

ok() { echo "ok: $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
# Waits up to ten seconds for a condition.
soon() {
    for _ in $(seq 100); do "$@" && return; sleep 0.1; done
    return 1
}
# A metric's sum over the replicas, which are queried directly.
metric() {
    for replica in "${replicas[@]}"; do curl -s "http://$replica/metrics" || true; done |
        awk -v name="$1" 'index($0, name) == 1 { sum += $NF } END { print sum + 0 }'
}
# source SEED [STEPS]
source_of() { echo "{\"prompt\": \"a car in the city\", \"seed\": $1, \"num_inference_steps\": ${2-4}}"; }
# edit SEED STEPS FIELDS curl's arguments...
edit() {
    local body
    body="{\"source\": $(source_of "$1" "$2"), \"prompt\": \"a bus in the city\"$3}"
    shift 3
    curl -sS "$proxy/v1/edits" -H 'content-type: application/json' -d "$body" "$@"
}

# -- the configuration, with the addresses and files of this test -----------------------------------------------------
sed -e "s|listen 80;|listen 127.0.0.1:$port;|" \
    -e "s|server 127.0.0.1:8081|server ${replicas[0]}|" -e "s|server 127.0.0.1:8082|server ${replicas[1]}|" \
    -e "s|/run/nginx.pid|$dir/nginx.pid|" -e "s|/dev/stdout|$dir/access.log|" -e "s|/dev/stderr|$dir/error.log|" \
    -e "s|worker_processes auto|daemon off; worker_processes 1|" \
    -e "s|^http {|http { $(for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $dir/$kind; "; done | tr -d '\n')|" \
    deploy/nginx.conf >"$dir/nginx.conf"
nginx -q -t -e "$dir/error.log" -c "$dir/nginx.conf"
for i in 0 1; do
    "$binary" serve --listen "${replicas[i]}" --queue-limit 8 >"$dir/replica$i.log" 2>&1 &
    pids+=($!)
done
nginx -e "$dir/error.log" -c "$dir/nginx.conf" >"$dir/nginx.log" 2>&1 &
pids+=($!)
ready() { curl -sf "http://$1/readyz" >/dev/null; }
for replica in "${replicas[@]}"; do soon ready "$replica" || fail "$replica is not ready"; done
soon ready "127.0.0.1:$port" || fail "nginx does not answer"

# -- responses --------------------------------------------------------------------------------------------------------
edit 7 4 "" -H 'accept: image/png' -o "$dir/edit.png" -D "$dir/head" -H 'x-request-id: my-id' -H 'accept-encoding: gzip'
head -c 8 "$dir/edit.png" | grep -q PNG || fail "the edit is not an image"
grep -qi '^x-request-id: my-id' "$dir/head" && ! grep -qi '^content-encoding' "$dir/head" || fail "headers: $(cat "$dir/head")"
ok "an edit works, its image is not compressed again, and the client's x-request-id is kept"
[ "$(curl -s -o /dev/null -w '%{http_code}' "$proxy/metrics")" = 404 ] || fail "/metrics is shown"
ok "/metrics is not exposed"

# What nginx answers itself: raw requests, because curl sends none of them.
raw() { timeout 10 "$python" -c 'import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
    s.sendall(sys.argv[2].encode().decode("unicode_escape").encode("latin-1") + b"x" * int(sys.argv[3]) + b"\r\n\r\n")
    sys.stdout.write(s.makefile("rb").read().decode())' "$port" "$@"; }
# own NAME CODE STATUS RESPONSE: a response of nginx itself is a problem document with this code.
own() {
    grep -q "^ *- $2\$" openapi.yaml || fail "$2 is not among the codes of openapi.yaml"
    grep -qi '^content-type: application/problem+json' <<<"$4" && grep -qi '^x-request-id: ' <<<"$4" &&
        tail -n 1 <<<"$4" | jq -e --arg code "$2" --argjson status "$3" \
            '.code == $code and .status == $status and .type == "urn:reprompt:problem:" + $code and
             .title and .detail and has("param") and .request_id' >/dev/null || fail "$1: $4"
}
own "no HTTP" bad_request 400 "$(raw 'GARBAGE' 0)"
own "an unknown version" bad_request 400 "$(raw 'GET / HTTP/3.7\r\nhost: a' 0)"
own "large headers" bad_request 400 "$(raw 'GET / HTTP/1.1\r\nhost: a\r\nx-large: ' 9000)"
own "a long path" uri_too_long 414 "$(raw 'GET /' 9000)"
own "TRACE" method_not_allowed 405 "$(raw 'TRACE / HTTP/1.1\r\nconnection: close\r\nhost: a' 0)"
own "/metrics" not_found 404 "$(curl -si "$proxy/metrics")"
ok "requests that nginx itself refuses are answered with a problem and its code"

edit 8 60 ', "stream": true' -N | while read -r line; do
    case $line in event:*) echo "$EPOCHREALTIME ${line#event: }" ;; esac
done >"$dir/events"
# Time from the first step's arrival to the last one's, and how many steps arrived apart from the step before.
read -r steps apart part < <(awk '$2 == "queued" { start = $1 } { end = $1 }
    $2 == "step" { n++; if (!first) first = $1; if ($1 - last > 0.002) apart++; last = $1 }
    END { print n, apart, int(100 * (last - first) / (end - start)) }' "$dir/events")
[ "$(tail -n 1 "$dir/events" | cut -d' ' -f2)" = completed ] && [ "$steps" -ge 60 ] || fail "events: $(cat "$dir/events")"
[ "$apart" -ge $((steps * 3 / 4)) ] && [ "$part" -ge 50 ] || fail "events were buffered: $apart of $steps, over $part %"
ok "events are not buffered: $apart of $steps steps arrived apart from the step before, over $part % of the time"

# -- clients that disconnect ------------------------------------------------------------------------------------------
gone='reprompt_jobs_canceled_total{reason="disconnected"}'
before=$(metric "$gone")
edit 9 500 ', "stream": true' -N --max-time 2 >"$dir/gone" 2>/dev/null && fail "500 steps in two seconds"
grep -q '^event: step' "$dir/gone" || fail "a long job does not start"
canceled() { [ "$(metric "$gone")" -ge "$1" ]; }
soon canceled $((before + 1)) || fail "a stream that was left goes on"
edit 10 500 "" --max-time 2 -o /dev/null 2>/dev/null && fail "500 steps in two seconds"
soon canceled $((before + 2)) || fail "a job whose client disconnected goes on"
[ "$(metric reprompt_running_jobs)" = 0 ] || fail "something still runs"
ok "clients that disconnect cancel their work, streaming and plain"

# -- limits -----------------------------------------------------------------------------------------------------------
body="{\"source\": $(source_of 7), \"prompt\": \"a bus in the city\"}"
send() {
    printf "%s%$(($1 - ${#body}))s" "$body" "" |
        curl -sS "$2/v1/edits" -H 'content-type: application/json' --data-binary @- -o "$dir/answer" -w '%{http_code} %{content_type}'
}
[ "$(send 1048576 "$proxy")" = "200 application/json" ] || fail "1 MiB is refused: $(cat "$dir/answer")"
[ "$(send 1048577 "$proxy")" = "413 application/problem+json" ] || fail "1 MiB and a byte: $(cat "$dir/answer")"
said=$(jq -S 'del(.request_id)' "$dir/answer")
send 1048577 "http://${replicas[0]}" >/dev/null
[ "$said" = "$(jq -S 'del(.request_id)' "$dir/answer")" ] || fail "413 differs: $said, $(cat "$dir/answer")"
ok "a body of 1 MiB is accepted, a larger one is refused as the service itself does"

# Submits jobs until both replicas and their queues are full.
jobs=()
for i in $(seq 40); do
    status=$(edit "$i" 500 "" -H 'prefer: respond-async' -o "$dir/answer" -D "$dir/head" -w '%{http_code}')
    case $status in
        202) jobs+=("$(jq -r .id "$dir/answer")") ;;
        429) break ;;
        *) fail "a full queue answers $status" ;;
    esac
done
[ "$status" = 429 ] && [ "$(jq -r .code "$dir/answer")" = queue_full ] && grep -qi '^retry-after: [0-9]' "$dir/head" ||
    fail "no 429 with Retry-After after ${#jobs[@]} jobs"
for job in "${jobs[@]}"; do
    [ "$(curl -s -X DELETE -o /dev/null -w '%{http_code}' "$proxy/v1/jobs/$job")" = 200 ] || fail "$job is not found"
done
idle() { [ "$(metric reprompt_running_jobs)" = 0 ]; }
soon idle || fail "deleted jobs go on"
ok "429 with Retry-After after ${#jobs[@]} jobs; each job is found on its replica"

# -- sessions ---------------------------------------------------------------------------------------------------------
for seed in 21 22 23 24; do
    session=$(curl -s "$proxy/v1/sessions" -H 'content-type: application/json' -d "{\"source\": $(source_of $seed)}" | jq -r .id)
    curl -sf "$proxy/v1/sessions/$session/edits" -H 'content-type: application/json' -d '{"prompt": "a bus in the city"}' \
        -o /dev/null || fail "$session is not found"
done
for _ in 1 2 3; do edit 25 4 "" -H 'x-reprompt-session: mine' | jq -r .session.recording; done >"$dir/recordings"
[ "$(tr '\n' ' ' <"$dir/recordings")" = "created hit hit " ] || fail "not the same replica: $(cat "$dir/recordings")"
ok "sessions are found on the replica that recorded them; x-reprompt-session keeps edits on one replica"

# -- a replica that shuts down ----------------------------------------------------------------------------------------
# Each client edits a source of its own, before, during and after the draining of a replica.
(
    for seed in $(seq 41 52); do
        edit "$seed" 10 "" -o /dev/null -w '%{http_code}\n' &
        sleep 0.2
    done
    wait
) >"$dir/statuses" &
load=$!
sleep 1.2
kill -TERM "${pids[0]}"
wait "${pids[0]}" || fail "the draining replica exited with $?"
wait "$load"
[ "$(sort "$dir/statuses" | uniq -c | xargs)" = "12 200" ] || fail "answers while a replica drains: $(xargs <"$dir/statuses")"
grep -q 'shutting down.* jobs=[1-9]' "$dir/replica0.log" || fail "no job was running on the draining replica"
ok "a replica drains and exits with 0, and none of 12 edits fails; $(grep -c 'answered=5[0-9][0-9], 200' "$dir/access.log" || true) of them were retried at the other replica"

kill -TERM "${pids[1]}"
wait "${pids[1]}" || fail "the other replica ended with $?"
edit 7 4 "" -o "$dir/answer" -w '%{http_code} %{content_type}' | grep -q '^502 application/problem+json' &&
    jq -e '.status == 502 and .code == "bad_gateway" and .request_id' "$dir/answer" >/dev/null ||
    fail "without replicas: $(cat "$dir/answer")"
ok "without replicas the response is a problem"

# -- the headers of an image, with a model that has CLIP's vocabulary -------------------------------------------------
tar -xzf tests/fixtures/models/tiny-sd1.tar.gz -C "$dir"
"$binary" serve --model "$dir/tiny-sd1" --listen "${replicas[0]}" --allowed-hosts edit.example.com \
    --cors-origin https://app.example.com >"$dir/replica2.log" 2>&1 &
pids+=($!)
soon ready "${replicas[0]}" || fail "the model with CLIP's vocabulary is not ready"
# In these alphabets a token is one or two letters; a prompt has at most 77 tokens.
for prompt in "γάτα στην παραλία στο ηλιοβασίλεμα με το" "قطة بيضاء تجلس على الشاطئ عند غروب الشمس مع كلب كبير وسفينة بيضاء كبيرة في البحر" \
    "a fluffy ginger kitten playing with yellow yarn in a cosy bedroom, $(printf 'very %.0s' $(seq 50))soft"; do
    body=$(jq -cn --arg from "$prompt" --arg to "$prompt." '{source: {prompt: $from, seed: 3, num_inference_steps: 2, size: "64x64"}, prompt: $to}')
    tokens=$(curl -s "$proxy/v1/align" -H 'content-type: application/json' -d "$(jq '{source_prompt: .source.prompt, prompt}' <<<"$body")" |
        jq '.target_tokens // .tokens // empty | length' || true)
    # Twice: the first response also says that the recording was made.
    for _ in 1 2; do
        status=$(curl -sS "$proxy/v1/edits" -H 'content-type: application/json' -H 'accept: image/png' -H 'host: edit.example.com' \
            -H 'origin: https://app.example.com' -d "$body" -o "$dir/edit.png" -D "$dir/head" -w '%{http_code}')
        [ "$status" = 200 ] && head -c 8 "$dir/edit.png" | grep -q PNG || fail "$status for $prompt: $(cat "$dir/edit.png")"
        size=$(wc -c <"$dir/head")
        [ "$size" -lt 3600 ] || fail "$size bytes of headers for $prompt"
        grep -qi '^x-reprompt-\(alignment: \|omitted:.* x-reprompt-alignment\)' "$dir/head" ||
            fail "no word of the alignment: $(cat "$dir/head")"
    done
    ok "$size bytes of headers for ${#prompt} characters, ${tokens:-?} tokens; left out: $(sed -n 's/^x-reprompt-omitted: //Ip' "$dir/head" | tr -d '\r')"
done
grep -qi '^x-reprompt-omitted: .*x-reprompt-' "$dir/head" || fail "the last prompt is not long enough: $(cat "$dir/head")"

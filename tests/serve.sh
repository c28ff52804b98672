# For scripts: a service of their own, on a free port, ended with the script; and Python environments.

# venv FOLDER REQUIREMENTS: an environment with exactly these packages; prints the folder.
venv() {
    if ! cmp -s "$2" "$1/requirements.txt"; then
        python3 -m venv --clear "$1"
        "$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2" >&2
        cp "$2" "$1/requirements.txt"
    fi
    echo "$1"
}

# serve PROGRAM [FLAGS]: starts it and waits until it is ready; its address is in $url, its log in $log.
serve() {
    local program=$1
    shift
    log=$(mktemp)
    "$program" serve --listen 127.0.0.1:0 --log-format json "$@" >"$log" 2>&1 &
    server=$!
    trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -f "$log"' EXIT
    local try
    for try in $(seq 200); do
        url=$(sed -n 's/.*listening on \(http:[^"]*\).*/\1/p' "$log" | head -n 1)
        if [ -n "$url" ] && curl --silent --fail --output /dev/null "$url/readyz"; then
            return
        fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    echo "the service did not start:" >&2
    cat "$log" >&2
    return 1
}

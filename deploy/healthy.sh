#!/usr/bin/env bash
# The image's health check: exits with 0 if the service in this container accepts jobs, else with 1. Uses only bash,
# because the image has no curl.
exec 2>/dev/null
exec 3<>"/dev/tcp/127.0.0.1/${REPROMPT_LISTEN##*:}" || exit 1
printf 'GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n' >&3
read -r -t 4 _ status _ <&3 && [ "$status" = 200 ]

#!/usr/bin/env bash
# Answers HTTP requests with curl and jq, one batch after another: server.sh [GATEWAY [CLAIM [FILTER]]]
set -o pipefail
gateway=${1:-http://localhost:8080} claim=${2:-'{}'}
answer=${3:-'{status: 200, body: "\(.method) \(.target)\n"}'}
owner() { curl -fsS --oauth2-bearer "$(jq -r .token <<<"$claim")" "$@"; }

# Requests, each with the URL of its content where that is long. What a WebSocket sends has a URL too, and no end.
requests='.messages[] | select(.type == "request") | (select(.upgrade == null).bodyUrl // ""), tojson'
answers="{messages: map(. as {\$id} | try ({type: \"response\", \$id} + ($answer)) catch {type: \"abort\", \$id})}"

while claim=$(curl -sS --fail-with-body --retry 60 --retry-delay 1 --retry-connrefused --json @- \
  "${gateway%/}/claims" <<<"$claim" | jq -s last); do
  jq -r .url <<<"$claim"
  while batch=$(owner "$(jq -r .requests <<<"$claim")"); do
    [ "$batch" ] || continue # nothing came within the wait
    jq -r "$requests" <<<"$batch" | while read -r url && read -r request; do
      [ "$url" ] || { echo "$request" && continue; }
      content=$(owner "$url" | base64 -w 0) && jq .bodyBase64=input <<<"$request \"$content\""
    done | jq -s "$answers" | owner --retry 9 --json @- "$(jq -r .responses <<<"$claim")" |
      jq -c '.results[] | select(.status != "accepted")' >&2
  done
done
jq -r '.detail // empty' <<<"$claim" >&2 # why there is none

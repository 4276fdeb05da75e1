#!/usr/bin/env bash
# `make run`: starts everything on a free port with a throw-away data folder, analyses one image, stops everything.
# IMAGE: the image; empty for a drawn lesion. OUT: where the overlay goes. `nevus` is on the PATH.
set -euo pipefail
work=$(mktemp -d)
up=
finish() {
  [ -z "$up" ] || { kill "$up" 2>/dev/null && wait "$up" 2>/dev/null; } || true
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

image=${IMAGE:-}
if [ -z "$image" ]; then
  image=$work/drawn-lesion.png
  nevus sample "$image"
elif [ ! -r "$image" ]; then
  echo "make run: there is no readable file $image; name one with IMAGE=path" >&2
  exit 2
fi

port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export NEVUS_TARGET=127.0.0.1:$port
nevus up --listen "$NEVUS_TARGET" --data "$work/data" --workers 1 &
up=$!
until nevus doctor --quiet --timeout 5 2>/dev/null; do
  kill -0 "$up" 2>/dev/null || { echo 'make run: nevus up ended; its message is above' >&2; up=; exit 1; }
  sleep 0.2
done
nevus analyze "$image" --overlay "$OUT"

#!/usr/bin/env bash
# Generates the Python stubs in clients/nevus/v1 from protos/, and copies the imported Google protos to where buf.yaml
# expects them.
#   protos/generate.sh           writes the stubs
#   protos/generate.sh --check   fails if generating would change what is committed
#   protos/generate.sh --imports only copies the imported protos (for buf)
set -euo pipefail
cd "$(dirname "$0")/.."
env=${PROTO_ENV:-.venv/protos}

copy_imports() { # from which Python
  local common
  common=$("$1" -c 'import importlib.util as u; print(u.find_spec("google.api").submodule_search_locations[0])')
  mkdir -p build/googleapis/google/{api,rpc}
  cp "$common"/{field_behavior,annotations,http}.proto build/googleapis/google/api/
  cp "$common"/../rpc/{status,error_details}.proto build/googleapis/google/rpc/
}

if [ "${1:-}" = --imports ]; then
  copy_imports .venv/bin/python
  exit
fi

[ -x "$env/bin/python" ] || { python3 -m venv "$env"; "$env/bin/pip" install -q -r protos/requirements.txt; }
out=clients
if [ "${1:-}" = --check ]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi
copy_imports "$env/bin/python"
"$env/bin/python" -m grpc_tools.protoc -I protos -I build/googleapis \
  --python_out="$out" --pyi_out="$out" --grpc_python_out="$out" protos/nevus/v1/*.proto
rm -f "$out"/nevus/v1/{job,result}_pb2_grpc.py # no services in them
[ -f "$out/nevus/v1/__init__.py" ] ||
  printf '"""Generated from protos/nevus/v1 by protos/generate.sh; not edited by hand."""\n' >"$out/nevus/v1/__init__.py"
if [ "${1:-}" = --check ]; then
  diff -r -x __pycache__ "$out/nevus/v1" clients/nevus/v1 ||
    { echo 'The committed stubs differ from protos/: run `make protos` and commit.' >&2; exit 1; }
  echo 'Stubs are up to date.'
fi

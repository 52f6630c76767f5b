#!/usr/bin/env bash
# MLServer with one process and no workers beside it.
set -euo pipefail
bin=$1 work=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cp "$here/mlserver_model.py" "$here/work.py" "$work/"
cat >"$work/settings.json" <<J
{"debug": false, "host": "127.0.0.1", "http_port": $PORT, "grpc_port": $((PORT + 1)), "metrics_endpoint": null, "parallel_workers": 0, "use_structured_logging": false}
J
batching=""
[[ "${MODEL:-sum}" == mlp ]] && batching=', "max_batch_size": 16, "max_batch_time": 0.005'
echo "{\"name\": \"m\", \"implementation\": \"mlserver_model.Served\"$batching}" >"$work/model-settings.json"
cd "$work"
exec "$bin/mlserver" start .

#!/usr/bin/env bash
# TorchServe with one worker and one thread for HTTP.
set -euo pipefail
bin=$1 work=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH=$bin:$PATH LOG_LOCATION=$work/logs METRICS_LOCATION=$work/metrics TEMP=$work TMPDIR=$work
export PYTHONPATH=$here
batch=1
[[ "${MODEL:-sum}" == mlp ]] && batch=16
mkdir -p "$work/store"
torch-model-archiver --model-name m --version 1.0 --handler "$here/torchserve_handler.py" --export-path "$work/store" --force
cat >"$work/log4j2.xml" <<X
<?xml version="1.0" encoding="UTF-8"?><Configuration><Appenders><Console name="C"><PatternLayout pattern="%m%n"/></Console></Appenders><Loggers><Root level="error"><AppenderRef ref="C"/></Root></Loggers></Configuration>
X
cat >"$work/config.properties" <<P
inference_address=http://127.0.0.1:$PORT
management_address=http://127.0.0.1:$((PORT + 1))
metrics_address=http://127.0.0.1:$((PORT + 2))
default_workers_per_model=1
number_of_netty_threads=1
model_store=$work/store
load_models=m.mar
disable_system_metrics=true
models={"m": {"1.0": {"defaultVersion": true, "marName": "m.mar", "minWorkers": 1, "maxWorkers": 1, "batchSize": $batch, "maxBatchDelay": 5, "responseTimeout": 120}}}
P
cd "$work"
exec torchserve --start --foreground --ncs --disable-token-auth --ts-config "$work/config.properties" --log-config "$work/log4j2.xml"

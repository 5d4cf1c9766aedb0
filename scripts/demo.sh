#!/usr/bin/env bash
# From a bare machine to a service that answers: installs what is missing, builds davit and the cluster, brings the
# cluster up, runs `davit run` in examples/getting-started and fetches the page. Run again, it takes seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
need_root

step "Debian packages that containers need"
kubebox/deps.sh "curl fetches the page"
done_in

step "building davit (the first time takes some minutes)"
make --no-print-directory build
done_in

step "building kubebox, a one-node Kubernetes (the first time takes about 15 minutes, then it is kept)"
make --no-print-directory kubebox
done_in

step "starting the cluster"
bin/kubebox up
KUBECONFIG=$(bin/kubebox kubeconfig --path)
export KUBECONFIG
done_in

step "davit run, in examples/getting-started"
(cd examples/getting-started && ../../bin/davit run)
done_in

step "fetching the page through a port-forward on 127.0.0.1"
log=$(mktemp)
bin/kubebox kubectl port-forward --address 127.0.0.1 deployment/my-web-app :8080 >"$log" 2>&1 &
forward=$!
trap 'kill "$forward" 2>/dev/null || true; rm -f "$log"' EXIT
for _ in $(seq 50); do
	port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\).*/\1/p' "$log")
	[ -n "$port" ] && break
	kill -0 "$forward" 2>/dev/null || break
	sleep 0.1
done
if [ -z "$port" ]; then
	echo "the port-forward did not start:" >&2
	cat "$log" >&2
	exit 1
fi
curl --silent --show-error --fail --max-time 10 "http://127.0.0.1:$port/"
done_in

cat <<'EOT'

The cluster is still up. To look around:
    export KUBECONFIG=$(bin/kubebox kubeconfig --path)
    bin/kubebox kubectl get pods
    (cd examples/getting-started && ../../bin/davit run)      # nothing to do
    bin/kubebox down                                          # leaves nothing behind
EOT

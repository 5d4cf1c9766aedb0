#!/usr/bin/env bash
# Everything: unit tests with the race detector, the cluster's own tests, and davit against the cluster.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
need_root

step "Debian packages that the tests need"
kubebox/deps.sh --tests "docker.io a Docker Engine to build in" "git tags by the commit" "uidmap builds of an ordinary user" "procps looks at processes" "qemu-user-static runs programs for other processors"
done_in

step "building davit and kubebox (the first time takes about 20 minutes)"
make --no-print-directory build kubebox
done_in

# The real helm renders the same charts, and reads and changes what davit deployed.
DAVIT_COMPAT_HELM=$(tool helm helm.sh/helm/v4/cmd/helm v4.3.1)
export DAVIT_COMPAT_HELM

step "unit tests, with the race detector"
go test -race -timeout 40m ./...
(cd kubebox && go test -timeout 40m ./...)
(cd sbom && go test -timeout 40m ./...)
done_in

step "a minute of fuzzing, from a config's text to its validation"
go test ./internal/config/load -run '^$' -fuzz FuzzLoad -fuzztime 1m
done_in

# The cluster's tests break boxes and take them down; one that is up goes.
step "the cluster's own tests"
(cd kubebox && KUBEBOX_E2E_TAKE_DOWN=1 go test -count=1 -tags e2e -timeout 60m ./e2e/...)
done_in

step "starting the cluster"
bin/kubebox up
trap 'bin/kubebox down' EXIT
DAVIT_TEST_KUBECONFIG=$(bin/kubebox kubeconfig --path)
export DAVIT_TEST_KUBECONFIG
done_in

step "davit against the cluster"
go test -count=1 -tags e2e -timeout 60m ./internal/kube/... ./internal/deploy/helm/... ./internal/image/... ./internal/build/pool/... ./test/e2e/...
done_in

step "davit while parts of the cluster are away"
go test -count=1 -tags e2e,outage -timeout 60m ./test/e2e -run 'TestOutage|TestKubelet'
done_in

#!/usr/bin/env bash
# The linters: gofmt and golangci-lint (with go vet and staticcheck) in all three modules; and davit builds for every system.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

GOLANGCI_VERSION=v2.15.0

step "gofmt"
unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
	printf 'run gofmt -w on:\n%s\n' "$unformatted" >&2
	exit 1
fi

linter=$(tool golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint "$GOLANGCI_VERSION")

step "golangci-lint"
"$linter" run --build-tags e2e ./...
# Not where kubebox links Kubernetes in: the linters would analyse all of that.
(cd kubebox && "$linter" run --build-tags e2e ./internal/host/... ./internal/image/... ./internal/supervise/... ./internal/program/... ./e2e/...)
# Nor syft, which sbom links in.
(cd sbom && go vet ./...)
done_in

for os in darwin windows; do
	step "go build for $os"
	GOOS=$os go build ./cmd/... ./internal/...
	done_in
done

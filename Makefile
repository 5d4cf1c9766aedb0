# make demo   a service from source to a running, proven pod, on this machine
# make test   everything, the real cluster included; .ci/run calls it
# make lint   what CONTRIBUTING.md lists

BIN := bin

.PHONY: build sbom kubebox deps demo test unit e2e lint clean
.SILENT:

# Without -trimpath on purpose: with it, the tests would compile everything a second time.
build: ## bin/davit
	go build -ldflags "-s -w -X main.version=$$(git describe --tags --always --dirty 2>/dev/null || echo unknown)" -o $(BIN)/davit ./cmd/davit

sbom: ## bin/davit-sbom, which --sbom needs; syft makes it larger than davit
	cd sbom && go build -ldflags "-s -w" -o ../$(BIN)/davit-sbom .

deps: ## Debian packages that the cluster and the builds need
	kubebox/deps.sh

kubebox: deps ## bin/kubebox, from a cache folder
	mkdir -p $(BIN) && ln -sf "$$(kubebox/build.sh)" $(BIN)/kubebox

demo: ## the first command of the README
	scripts/demo.sh

test: ## the second command of the README
	scripts/test.sh

lint:
	scripts/lint.sh

clean:
	rm -rf $(BIN)

# make help lists the targets. Needs Go 1.26; make test also needs a C compiler (race detector), Java 17 and Maven
# (a real Kafka broker: hack/kafka.sh). Tools are pinned in tools/go.mod and built into .build/.
GO        ?= go
FUZZTIME  ?= 30s
FUZZ      ?=
COUNT     ?= 6
BENCH     ?= .
SOAK      ?= 50000000
# make takeover: live partials, kills in each mode, size of the documents; MODES=restore,survivor,restart chooses some.
PARTIALS  ?= 1000000
KILLS     ?= 20
BYTES     ?= 2000
MODES     ?=
DEMOFLAGS ?=
BENCHFLAGS ?=
SUITES    ?= ../shared/suites
PKGS      ?= ./...
# make chaos: the first seed, how many runs, how long each one's script is; more flags: CHAOSFLAGS='-o json'.
SEED       ?= 1
RUNS       ?= 10
DURATION   ?= 20s
CHAOSFLAGS ?=
# The version that `weir version` shows comes from git, where this is a clone.
BUILDVCS  := $(if $(shell git rev-parse HEAD 2>/dev/null),auto,false)
LINT      := .build/golangci-lint
BENCHSTAT := .build/benchstat
GOVULN    := golang.org/x/vuln/cmd/govulncheck@v1.9.0

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# A command that fails in a pipe or a loop fails its target. Only these need bash: make demo works without.
bench-micro bench-charts cover takeover: SHELL := bash
bench-micro bench-charts cover takeover: .SHELLFLAGS := -euo pipefail -c

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## build weir and watch it find attacks, with a broker and hosts of its own (Ctrl-C ends it)
	bin/weir demo $(DEMOFLAGS)

.PHONY: build
build: ## build bin/weir, static
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=$(BUILDVCS) -ldflags '-s -w' -o bin/weir ./cmd/weir

.PHONY: test
test: check-tools build rules-test compose-check ## all tests: race detector, random order, a real Kafka broker, shipped rules, compose file
	hack/kafka.sh run $(GO) test -race -shuffle=on -timeout 25m $(PKGS)
	@if [ "$${WEIR_SKIP_BROKER:-}" = 1 ] || ! hack/kafka.sh check; then echo "make test: no make chaos without Kafka" >&2; \
	else $(MAKE) --no-print-directory chaos RUNS=3 DURATION=15s CHAOSFLAGS=-prove; fi
	$(GO) test -tags purego ./event # the decoder without its assembly

.PHONY: chaos
chaos: ## kill, stop and cut off members on a real Kafka, and compare the alerts: SEED, RUNS, DURATION; docs/chaos.md
	@mkdir -p .build/chaos
	$(GO) build -tags chaos -o .build/chaos/weir ./cmd/weir
	$(GO) build -o .build/chaos/chaos ./internal/chaos/cmd
	.build/chaos/chaos -weir .build/chaos/weir -libs "$$(hack/kafka.sh libs)" -dir .build/chaos/runs \
	  -seed $(SEED) -runs $(RUNS) -duration $(DURATION) $(CHAOSFLAGS)

.PHONY: chaos-night
chaos-night: ## 200 runs of make chaos with the seeds of the day, in about two hours
	$(MAKE) --no-print-directory chaos RUNS=200 SEED=$$(date +%Y%m%d)000 CHAOSFLAGS="-prove $(CHAOSFLAGS)"

.PHONY: test-short
test-short: ## tests without race detector and without a broker, the slow ones left out
	WEIR_SKIP_BROKER=1 hack/kafka.sh run $(GO) test -short $(PKGS)

# What make test needs is named before anything is built.
.PHONY: check-tools
check-tools:
	@command -v "$${CC:-cc}" >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || { \
	  echo "make test needs a C compiler for the race detector (Debian, Ubuntu: apt-get install gcc libc6-dev; macOS: xcode-select --install)" >&2; exit 1; }
	@[ "$${WEIR_SKIP_BROKER:-}" = 1 ] || [ -n "$${WEIR_TEST_BROKER:-}" ] || hack/kafka.sh check

.PHONY: rules-test
rules-test: build ## run the tests that stand beside the shipped rules
	bin/weir rules test rules/detections

.PHONY: conformance
conformance: build ## run the EQL test suites in SUITES, and say what passes
	@[ -e "$(firstword $(SUITES))" ] || { echo "$(SUITES) isn't there: the suites are not part of this repository; say make conformance SUITES=FOLDER, see docs/conformance.md"; exit 1; }
	bin/weir conformance --fields internal/conformance/fields.yaml $(SUITES)

.PHONY: compose-check
compose-check: build ## load docker-compose.yml as Compose does, and check the config that it mounts
	cd tools/composecheck && $(GO) run . ../../docker-compose.yml
	bin/weir run --check -c deploy/weir.yaml

.PHONY: lint
lint: $(LINT) ## golangci-lint, formatting, go.mod; also of the tools
	$(LINT) run --allow-parallel-runners ./...
	$(LINT) fmt --diff
	cd tools/composecheck && ../../$(LINT) run --allow-parallel-runners ./...
	cd tools/chart && ../../$(LINT) run --allow-parallel-runners ./...
	$(MAKE) --no-print-directory tidy

.PHONY: fmt
fmt: $(LINT) ## rewrite sources in house style
	$(LINT) fmt

.PHONY: tidy
tidy: ## check that go.mod and go.sum are minimal (go mod tidy mends them)
	$(GO) mod tidy -diff
	cd tools/composecheck && $(GO) mod tidy -diff
	cd tools/chart && $(GO) mod tidy -diff

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME, two at once on two processors; FUZZ=REGEX chooses some
	GO="$(GO)" FUZZTIME=$(FUZZTIME) FUZZ='$(FUZZ)' hack/fuzz.sh $(PKGS)

.PHONY: bench
bench: bench-micro bench-macro ## all benchmarks

.PHONY: bench-micro
bench-micro: ## benchmarks of the stages matching BENCH, COUNT runs each, into bench.txt
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(PKGS) | tee bench.txt

.PHONY: bench-macro
bench-macro: build ## weir bench, Kafka to Kafka on one core with 10 to 1,000 rules, into bench.json; BENCHFLAGS for more
	bin/weir bench --procs 1 --count 10,100,300,1000 --repeat 3 -o json $(BENCHFLAGS) > bench.json

# Cost against the number of rules and the size of events. The files are kept in docs/.
BENCHSIZES ?= 1400 2068 4136 8272 16544
.PHONY: bench-charts
bench-charts: build ## the graphs of docs/performance.md: 10 to 1,000 rules, events of 1.7 to 16 KB
	bin/weir bench --procs 1 --count 10,30,100,300,1000 --repeat 3 -o csv $(BENCHFLAGS) > docs/bench-rules.csv
	for size in $(BENCHSIZES); do bin/weir bench --procs 1 --size $$size --count 300 --repeat 3 -o csv $(BENCHFLAGS); done | awk 'NR == 1 || !/^rules/' > docs/bench-size.csv
	cd tools/chart && $(GO) run . -in ../../docs/bench-rules.csv -out ../../docs/bench-rules.svg -x rules \
	  -title "Client CPU per event against the number of rules" "cpu_us=all of it, µs" "match=of that matching, µs"
	cd tools/chart && $(GO) run . -in ../../docs/bench-size.csv -out ../../docs/bench-size.svg -x event_bytes \
	  -title "Client CPU per event against its size" "cpu_us=all of it, µs" "decode=of that decoding, µs" "decompress=of that decompressing, µs"

.PHONY: bench-cmp
bench-cmp: $(BENCHSTAT) ## compare bench.txt with bench.base.txt
	$(BENCHSTAT) bench.base.txt bench.txt

.PHONY: takeover
takeover: ## restore and takeovers of PARTIALS live partials after KILLS kills: how long until the next alert; MODES, BYTES
	WEIR_TAKEOVER_PARTIALS=$(PARTIALS) WEIR_TAKEOVER_KILLS=$(KILLS) WEIR_TAKEOVER_MODES=$(MODES) WEIR_TAKEOVER_BYTES=$(BYTES) \
	  hack/kafka.sh run $(GO) test -count 1 -timeout 2h -run '^TestTakeover$$' -v ./internal/e2e | grep -v '^=== '

.PHONY: soak
soak: ## SOAK partials begin and expire in the local store: what disk, memory and CPU do, as CSV and graph in docs/
	$(GO) run ./internal/soak -partials $(SOAK) > docs/soak.csv
	cd tools/chart && $(GO) run . -in ../../docs/soak.csv -out ../../docs/soak.svg -x partials \
	  -title "Partials that begin, are committed, and expire; 100,000 live at a time" \
	  "cpu_us_per_event=CPU per event, µs" "rss_mb=resident memory, MB" "lsm_mb=local store on disk, MB"

.PHONY: cover
cover: ## coverage by function, into cover.out
	hack/kafka.sh run $(GO) test -coverpkg=./... -coverprofile=cover.out ./...
	$(GO) tool cover -func=cover.out | tail -n 1

.PHONY: vuln
vuln: ## known vulnerabilities in what weir links
	$(GO) run $(GOVULN) ./...

.PHONY: check
check: lint test ## what a change must pass

.PHONY: clean
clean: ## remove what was built, and the downloaded broker
	rm -rf bin .build cover.out bench.txt bench.json

$(LINT): tools/go.mod tools/go.sum
	mkdir -p .build
	$(GO) build -modfile=tools/go.mod -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(BENCHSTAT): tools/go.mod tools/go.sum
	mkdir -p .build
	$(GO) build -modfile=tools/go.mod -o $@ golang.org/x/perf/cmd/benchstat

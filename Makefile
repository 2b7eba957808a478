# SPDX-License-Identifier: Apache-2.0
#
# Main commands:
#   make run     builds a hub and a counter and serves both on http://localhost:8080
#   make test    installs what the tests need (Debian), then runs all tests

# The build directory. The package and its examples share it, so that their dependencies are compiled once.
SCRATCH ?= $(CURDIR)/.build
export SCRATCH

.PHONY: help run test unit browser examples lint docs fuzz faults bench check tools clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make run        serves a hub and its page on http://localhost:8080, and a counter at /counter/ (PORT=… changes the port)
run:
	@Scripts/install-tools.sh
	@Scripts/swiftpm.sh Examples build --product Hub
	@exec "$(SCRATCH)/debug/Hub"

## make test       installs what the tests need, then runs all tests
test: tools
	@Scripts/test.sh

## make unit       runs the package's own tests
unit:
	@Scripts/swiftpm.sh . test

## make examples   builds the examples and runs their tests
examples:
	@Scripts/swiftpm.sh Examples test

## make browser    tests the examples and the hub's page in a browser
browser:
	@Scripts/swiftpm.sh . build
	@Scripts/swiftpm.sh Examples build
	@Tests/BrowserTests/run.py --examples "$(SCRATCH)/debug"

## make lint       checks formatting, documentation comments, the guides' code blocks, and the charts
lint:
	@Scripts/lint.sh

## make docs       builds the documentation of every public module in .build/docs
docs:
	@Scripts/docs.sh

## make fuzz       fuzzes with random input for a minute
fuzz:
	@Fuzz/run.sh 60 "$(SCRATCH)/fuzz"

## make faults     attacks release builds with misbehaving clients, cut connections and killed bridges, for two minutes
faults:
	@Tests/FaultTests/run.sh 60

## make bench      runs the benchmarks; see docs/performance.md
bench:
	@Scripts/bench.sh

## make check      runs all checks of the build server
check:
	@.ci/run

tools:
	@Scripts/install-tools.sh tests

clean:
	rm -rf "$(SCRATCH)"

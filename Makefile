# SPDX-License-Identifier: Apache-2.0
#
# The two commands:
#   make run     builds a hub and a counter, and serves both on http://localhost:8080
#   make test    installs what the tests need (Debian), then runs all of them

# Where everything is built. The package and its examples share it, so that their dependencies are compiled once.
SCRATCH ?= $(CURDIR)/.build
export SCRATCH

.PHONY: help run test unit browser examples lint docs fuzz faults bench check tools clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make run        serves a hub and its page on http://localhost:8080, a counter under /counter/ (PORT=… for another port)
run:
	@Scripts/swiftpm.sh Examples build --product Hub
	@exec "$(SCRATCH)/debug/Hub"

## make test       everything below `unit` and `browser`, after installing what they need
test: tools
	@Scripts/test.sh

## make unit       the package's own tests
unit:
	@Scripts/swiftpm.sh . test

## make examples   builds the examples and runs their tests
examples:
	@Scripts/swiftpm.sh Examples test

## make browser    the examples and the hub's page in a real browser
browser:
	@Scripts/swiftpm.sh . build
	@Scripts/swiftpm.sh Examples build
	@Tests/BrowserTests/run.py --examples "$(SCRATCH)/debug"

## make lint       formatting and documentation comments, and the code blocks of guides
lint:
	@Scripts/lint.sh

## make docs       the documentation of every public module, in .build/docs
docs:
	@Scripts/docs.sh

## make fuzz       a minute of random input
fuzz:
	@Fuzz/run.sh 60 "$(SCRATCH)/fuzz"

## make faults     a minute of clients that leave in the middle of everything, against release builds
faults:
	@Tests/FaultTests/run.sh 60

## make bench      the benchmarks; see docs/performance.md
bench:
	@Scripts/bench.sh

## make check      all that the build server checks
check:
	@.ci/run

tools:
	@Scripts/install-tools.sh

clean:
	rm -rf "$(SCRATCH)"

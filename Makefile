# A short front of Meson. `make` leaves the program at build/daneway.
#   make test    everything, from unit to system; ends with "N passed, N failed"
#   make demo    the main job on a private internet
#   make bench | conformance | crash | soak | tester | format | install | clean
# What is missing is installed from Debian's packages (scripts/install-deps; NO_INSTALL=1: not).
BUILD = build

.PHONY: all deps test demo bench conformance crash soak tester format install clean
.NOTPARALLEL:

all: deps $(BUILD)/build.ninja
	@ninja -C $(BUILD)

deps:
	@scripts/install-deps build

$(BUILD)/build.ninja: | deps
	meson setup $(BUILD)

test:
	@scripts/install-deps build test lab || { echo "0 passed, 1 failed"; exit 1; }
	@scripts/test

demo: all
	@scripts/install-deps lab
	@lab/demo

bench: all
	@scripts/install-deps lab test
	@bench/run

conformance: all
	@scripts/install-deps lab test
	@tests/conformance/run

crash: all
	@tests/crash/run

soak: all
	@scripts/install-deps lab test
	@tests/soak/run

tester: all
	@scripts/install-deps lab test
	@tests/tester/run

format:
	@scripts/check-format --write

install: all
	meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf build build-gcc build-asan build-tsan

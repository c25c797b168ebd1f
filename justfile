# The commands that contributors run. `.ci/run` is the landing check.

default: check

# Format, lint and test
check: fmt lint test

fmt:
    cargo fmt --all --check

lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

test:
    cargo test --workspace --locked

# Tests of one crate: `just test-of queue`
test-of crate:
    cargo test --locked -p spec-kitty-{{crate}}

docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Licences, sources and advisories of the dependencies
deny:
    cargo deny --all-features check

spelling:
    typos

# Fuzz one parser; SECONDS 0 means until interrupted. Needs `cargo install cargo-fuzz` and a nightly toolchain
fuzz target seconds="300":
    cargo +nightly fuzz run --fuzz-dir fuzz/libfuzzer {{target}} fuzz/corpus/{{target}} -- -max_total_time={{seconds}} -max_len=65536

# Goals, measurements and yardsticks: prints the table, writes docs/performance.md and docs/performance.svg
bench:
    cargo bench --locked -p spec-kitty --bench performance

# Compares instruction counts with .ci/instruction-counts; needs valgrind
instructions:
    cargo bench --locked -p spec-kitty --bench performance -- instructions

# The landing check
ci:
    bash .ci/run

# Everything that takes longer than a landing may
full:
    bash .ci/full

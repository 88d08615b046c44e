#!/bin/sh
# Run tests for 32-bit WebAssembly in node: the target is wasm32-wasip1, whose std has the arguments, environment and
# streams that tests need; the code of the kernel is that of wasm32-unknown-unknown.
# Usage: wasm.sh [CRATE [CARGO_TEST_ARGUMENT]...]      by default the kernel's library and integration tests
# std comes from sysroot.sh, with panics that unwind, as tests catch them; the C library below it is Debian's.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# != 0 ] || set -- "$here/../.." -p hetal-kernel --release --lib --tests
crate=$1
shift
"$here/need.sh" 'command -v node' nodejs
"$here/need.sh" 'dpkg -L wasi-libc' wasi-libc
start=$(dpkg -L wasi-libc | grep '/crt1-command\.o$' | head -n 1)

# These would take the place of the target's own flags.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="-C panic=unwind"
root=$("$here/sysroot.sh" wasm32-wasip1 std,test,proc_macro,panic_unwind)
export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="-C panic=unwind --sysroot $root -C link-self-contained=no \
    -L native=${start%/*} -C link-arg=$start"
# Node before 20 has to be asked for WASI; later ones say that it is experimental.
export CARGO_TARGET_WASM32_WASIP1_RUNNER="node --no-warnings --experimental-wasi-unstable-preview1 $here/wasi.mjs"
# A test fails where one of these is not there to be tested. Smaller rings and fewer cases, as for other targets that are
# not the machine's own.
export HETAL_REQUIRE_ISA="${HETAL_REQUIRE_ISA:-scalar,portable}"
export HETAL_TEST_LOG_N_MAX="${HETAL_TEST_LOG_N_MAX:-10}" PROPTEST_CASES="${PROPTEST_CASES:-8}"
echo "WebAssembly: node $(node --version), $(rustc -V)"
cd "$crate"
cargo test --target wasm32-wasip1 ${CARGO_JOBS:+-j"$CARGO_JOBS"} "$@"

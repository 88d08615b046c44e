#!/bin/sh
# Run tests for aarch64 (NEON) on x86-64, under QEMU.
# Usage: neon.sh [CRATE [CARGO_TEST_ARGUMENT]...]      by default the kernel's library and integration tests
# std for aarch64 comes from sysroot.sh; where that fails (or with CROSS_RUSTC=debian) the compiler is Debian's newest
# rustc with its arm64 std.
set -eu
here=$(cd "$(dirname "$0")" && pwd) cache=${CROSS_CACHE:-$here/../.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
[ $# != 0 ] || set -- "$here/../.." -p hetal-kernel --release --lib --tests
crate=$1
shift
"$here/need.sh" 'command -v aarch64-linux-gnu-gcc' gcc-aarch64-linux-gnu libc6-dev-arm64-cross
"$here/need.sh" 'command -v qemu-aarch64-static' qemu-user-static

debian_rustc() {
    root=$cache/debian-rustc
    if [ ! -x "$root/rustc" ]; then
        rm -rf "$root"
        mkdir -p "$root"
        "$here/debian.sh" "trixie trixie-backports" closure "$root" rustc libstd-rust-dev:arm64 >&2
        lib=$root/usr/lib/x86_64-linux-gnu                       # this glibc is newer than the machine's: start by its loader
        printf '#!/bin/sh\nexec %s --library-path %s %s --sysroot %s "$@"\n' \
            "$lib/ld-linux-x86-64.so.2" "$lib" "$root/usr/bin/rustc" "$root/usr" >"$root/rustc"
        chmod +x "$root/rustc"
    fi
    export RUSTC="$root/rustc" CARGO_TARGET_DIR="$cache/target-debian"
}

# These would take the place of the target's own flags.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
if [ "${CROSS_RUSTC:-}" != debian ] && root=$("$here/sysroot.sh" aarch64-unknown-linux-gnu std,test,proc_macro,panic_unwind); then
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="--sysroot $root"
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTDOCFLAGS="--sysroot $root"
else
    debian_rustc
fi
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
# A test fails where one of these is not there to be tested. Emulation is a hundred times slower: smaller rings, fewer cases.
export HETAL_REQUIRE_ISA="${HETAL_REQUIRE_ISA:-scalar,portable,neon}"
export HETAL_TEST_LOG_N_MAX="${HETAL_TEST_LOG_N_MAX:-10}" PROPTEST_CASES="${PROPTEST_CASES:-8}"
echo "NEON: emulated by QEMU, $(${RUSTC:-rustc} -V)"
cd "$crate"
cargo test --target aarch64-unknown-linux-gnu ${CARGO_JOBS:+-j"$CARGO_JOBS"} "$@"

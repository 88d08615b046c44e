#!/bin/sh
# Show that the kernel and all it depends on need no std: build and run .ci/nostd, a program that multiplies two
# polynomials, where only core and alloc exist, then build the library for bare targets, of 64 and of 32 bits.
# Usage: nostd.sh [TARGET]...      the targets; by default those that the kernel's documentation names
set -eu
here=$(cd "$(dirname "$0")" && pwd) cache=${CROSS_CACHE:-$here/../.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
[ $# != 0 ] || set -- aarch64-unknown-none i686-unknown-linux-gnu thumbv7em-none-eabihf wasm32-unknown-unknown
host=$(rustc -vV | sed -n 's/^host: //p')
bare=$cache/nostd-$(rustc -V | cut -d' ' -f2)
mkdir -p "$bare/lib/rustlib/$host/lib"
for name in core alloc compiler_builtins rustc_std_workspace_core; do
    cp -u "$(rustc --print sysroot)/lib/rustlib/$host/lib/lib$name"-*.r* "$bare/lib/rustlib/$host/lib"
done

# These would take the place of the target's own flags.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
export CARGO_TARGET_DIR="$cache/target-nostd"
# build SYSROOT TARGET CARGO_BUILD_ARGUMENT...: with --target the flags do not reach build scripts and macros, which need std.
build() {
    name=$(echo "$2" | tr a-z- A-Z_) root=$1 target=$2
    shift 2
    env "CARGO_TARGET_${name}_RUSTFLAGS=--sysroot $root" cargo build --target "$target" ${CARGO_JOBS:+-j"$CARGO_JOBS"} "$@"
}

cd "$here/../nostd"
cp ../../Cargo.lock .                                            # the versions that the workspace is tested with
build "$bare" "$host" -q --release
"$CARGO_TARGET_DIR/$host/release/nostd" || { echo "the program ended with status $? (1: wrong product, 101: panic)" >&2; exit 1; }
echo "no std needed: a program for $host, built and run"

# The same with std asked for must fail, for want of std, or the check above checks nothing.
if build "$bare" "$host" -q --release --features std 2>"$cache/nostd.log"; then
    echo "the std feature was built without std" >&2
    exit 1
fi
grep "can't find crate for .std." "$cache/nostd.log" >/dev/null || { cat "$cache/nostd.log" >&2; exit 1; }
echo "std noticed where it is asked for"

for target; do
    if root=$("$here/sysroot.sh" "$target" core,alloc); then
        # Nothing runs it: no optimiser, in half the time.
        build "$root" "$target" -q --lib -p hetal-kernel
        echo "no std needed: the library for $target"
    else
        echo "not built, as the source of its core is not to be had: $target"
    fi
done

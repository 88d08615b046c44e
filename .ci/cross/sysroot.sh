#!/bin/sh
# Print a sysroot that has a target's library. Where the toolchain has the target installed, that is its own sysroot.
# Otherwise the library is built by the rustc in use from source of the very same version: the toolchain's rust-src
# component or Debian's package of that name. Fails where neither exists.
# Usage: sysroot.sh TARGET CRATES      CRATES: "std,test,proc_macro,panic_unwind", or "core,alloc" for a target without std
set -eu
here=$(cd "$(dirname "$0")" && pwd) cache=${CROSS_CACHE:-$here/../.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
target=$1 crates=$2 version=$(rustc -V | cut -d' ' -f2) toolchain=$(rustc --print sysroot)
[ -d "$toolchain/lib/rustlib/$target/lib" ] && echo "$toolchain" && exit
root=$cache/rust-$version libs=$cache/rust-$version/lib/rustlib/$target/lib
[ -d "$libs" ] && echo "$root" && exit
{
    library=$toolchain/lib/rustlib/src/rust/library
    if [ ! -f "$library/Cargo.lock" ]; then
        library=$root/library
        if [ ! -d "$library" ]; then
            rm -rf "$root/deb"
            mkdir -p "$root/deb"
            "$here/debian.sh" trixie-backports download "rust-src=$version*" "$root/deb"
            dpkg-deb --fsys-tarfile "$root"/deb/rust-src_*.deb | tar -xC "$root/deb" --wildcards './usr/src/*/library'
            mv "$root"/deb/usr/src/rustc-*/library "$library"
            rm -r "$root/deb"
        fi
    fi
    build=$root/build
    mkdir -p "$build/src"
    # The empty table ends cargo's search for a workspace above.
    printf '[package]\nname = "empty"\nedition = "2021"\n[workspace]\n' >"$build/Cargo.toml"
    echo '#![no_std]' >"$build/src/lib.rs"
    cd "$build"
    env -u RUSTC -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS CARGO_TARGET_DIR="$build/target" RUSTC_BOOTSTRAP=1 \
        __CARGO_TESTS_ONLY_SRC_ROOT="$library" \
        cargo build -q --release --target "$target" -Z "build-std=$crates" ${CARGO_JOBS:+-j"$CARGO_JOBS"}
    rm -rf "$libs.part"
    mkdir -p "$libs.part"
    cp target/"$target"/release/deps/lib*.rlib "$libs.part"
    rm -r "$libs.part"/libempty-*.rlib target
    mv "$libs.part" "$libs"
} >&2
echo "$root"

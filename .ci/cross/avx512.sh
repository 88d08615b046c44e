#!/bin/sh
# Run tests with AVX-512: on this CPU where it has F, BW, CD, DQ and VL, otherwise on an emulated Intel Cannon Lake core.
# Usage: avx512.sh [CRATE [CARGO_TEST_ARGUMENT]...]    by default the kernel's integration tests: the library's own walk through
# the plans of transforms in integers, which no instruction set changes and an emulator takes five minutes for; and without the
# exhaustive sums of packed limbs, more than ten minutes, of which the same check on random cases remains.
# CROSS_EMU=bochs takes the emulator in any case. It runs about 30 million instructions a second, so think of --release.
set -eu
here=$(cd "$(dirname "$0")" && pwd) cache=${CROSS_CACHE:-$here/../.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
[ $# != 0 ] || set -- "$here/../.." -p hetal-kernel --release --test '*' -- --skip sums_of_any_number_of_products
crate=$1
shift
# A test fails where one of these is not there to be tested.
export HETAL_REQUIRE_ISA="${HETAL_REQUIRE_ISA:-scalar,portable,avx2,avx512}"

native=no
case ,$("$here/native.sh"), in *,avx512,*) native=yes ;; esac
if [ "${CROSS_EMU:-}" != bochs ] && [ $native = yes ]; then
    echo "AVX-512: native"
    cd "$crate"
    exec cargo test ${CARGO_JOBS:+-j"$CARGO_JOBS"} "$@"
fi

run=$cache/x86emu/run
if [ ! -x "$run" ]; then
    "$here/need.sh" 'python3 -c "import ensurepip"' python3 python3-venv
    "$here/need.sh" 'command -v cc' gcc libc6-dev
    rm -rf "$cache/x86emu"
    python3 -m venv "$cache/x86emu"
    "$cache/x86emu/bin/pip" install -q --disable-pip-version-check --only-binary :all: bochscpu-python==0.4.0
    # The wheel wants two names of glibc 2.38.
    cc -O2 -shared -fPIC -o "$cache/x86emu/glibc238.so" -xc - <<'C'
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
unsigned long long __isoc23_strtoull(const char *s, char **end, int base) { return strtoull(s, end, base); }
int __isoc23_sscanf(const char *s, const char *format, ...) {
    va_list a;
    va_start(a, format);
    int n = vsscanf(s, format, a);
    va_end(a);
    return n;
}
C
    printf '#!/bin/sh\nX86EMU_PRELOAD=%s exec %s %s "$@"\n' \
        "$cache/x86emu/glibc238.so" "$cache/x86emu/bin/python" "$here/x86emu.py" >"$run"
    chmod +x "$run"
fi
# These would take the place of the target's own flags.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$run"
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTDOCFLAGS="-C target-feature=+crt-static"
# Emulation is a hundred times slower: smaller rings, fewer cases.
export HETAL_TEST_LOG_N_MAX="${HETAL_TEST_LOG_N_MAX:-9}" PROPTEST_CASES="${PROPTEST_CASES:-4}"
echo "AVX-512: emulated by Bochs"
cd "$crate"
cargo test --target x86_64-unknown-linux-gnu ${CARGO_JOBS:+-j"$CARGO_JOBS"} "$@"

#!/bin/sh
# Print the kernel's instruction sets that this CPU has, by the names that HETAL_REQUIRE_ISA takes, e.g. scalar,portable,avx2
set -eu
has() {
    for flag; do grep -qw "$flag" /proc/cpuinfo || return 1; done
}
isa=scalar,portable
[ "$(uname -m)" != aarch64 ] || isa=$isa,neon
! has avx2 fma || isa=$isa,avx2
! has avx512f avx512bw avx512cd avx512dq avx512vl || isa=$isa,avx512
echo "$isa"

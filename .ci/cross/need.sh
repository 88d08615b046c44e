#!/bin/sh
# Install Debian packages, unless a test says that what they bring is there already.
# Usage: need.sh TEST PACKAGE...      e.g. need.sh 'command -v cc' gcc libc6-dev
set -eu
test=$1
shift
sh -c "$test" >/dev/null 2>&1 && exit
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
{
    echo "installing: $*"
    $sudo apt-get -q update
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$@"
} >&2

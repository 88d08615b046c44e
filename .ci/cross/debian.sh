#!/bin/sh
# Fetch packages of a newer Debian suite without touching the system's apt.
# Usage: debian.sh SUITES download PACKAGE[=VERSION*] DIR      that one package
#        debian.sh SUITES closure DIR PACKAGE...               those and all they depend on; the last suite is preferred
set -eu
here=$(cd "$(dirname "$0")" && pwd) cache=${CROSS_CACHE:-$here/../.cache}
suites=$1 verb=$2
mkdir -p "$cache"
apt=$(cd "$cache" && pwd)/apt/$(echo "$1" | tr ' ' +)
shift 2
mkdir -p "$apt/lists/partial" "$apt/archives/partial"
: >"$apt/status"
mirror=$(sed -n 's/^URIs: *//p; s/^deb \([^[ ]*\).*/\1/p' /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1)
for s in $suites; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $s main"
done >"$apt/sources"
cat >"$apt/conf" <<CONF
Dir { State "$apt"; State::status "$apt/status"; Cache "$apt"; Etc::sourcelist "$apt/sources"; Etc::sourceparts "/dev/null";
      Etc::preferencesparts "/dev/null"; };
APT { Architectures { "amd64"; "arm64"; }; Sandbox::User "root"; Default-Release "${suites##* }"; Install-Recommends "false"; };
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
CONF
export APT_CONFIG="$apt/conf"
[ -n "$(find "$apt/lists" -name '*Packages*' -mtime -1)" ] || apt-get -q update
case $verb in
    download) cd "$2" && apt-get -q download "$1" ;;
    closure)
        dir=$1
        shift
        apt-get -qy install --download-only "$@"
        for deb in "$apt"/archives/*.deb; do dpkg -x "$deb" "$dir"; done
        rm "$apt"/archives/*.deb ;;
esac

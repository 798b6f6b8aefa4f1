#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# aarch64-sysroot.sh DIR: fills DIR with the Debian arm64 packages that a build needs, C and C++ run time included.
# apt works in a state folder of its own, so the host's architecture list and package state stay as they are, and root is
# not needed.
set -eu
packages="libc6-dev libstdc++-12-dev libhwloc-dev libjansson-dev zlib1g-dev libpapi-dev libhwy-dev libcmocka-dev
    libjpeg62-turbo-dev libarchive-dev libhdf5-dev libfftw3-dev"

if [ $# -ne 1 ]; then
    echo "usage: $0 DIR" >&2
    exit 2
fi
mkdir -p "$1"
root=$(cd "$1" && pwd)
# Written last, so that an interrupted or outdated sysroot is filled again.
if [ "$(cat "$root/.packages" 2>/dev/null)" = "$packages" ]; then
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/sources" "$work/debs"
: >"$work/status"
# Debian's own sources only: others may not carry arm64.
for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/debian.list; do
    if [ -e "$file" ]; then
        cp "$file" "$work/sources/"
    fi
done
if [ -e "$work/sources/sources.list" ]; then
    mv "$work/sources/sources.list" "$work/sources/main.list"
fi
cat >"$work/apt.conf" <<CONF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "";
Dir::State "$work";
Dir::State::lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work";
Dir::Cache::archives "$work/archives";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$work/sources";
CONF
APT_CONFIG=$work/apt.conf
export APT_CONFIG

apt-get -q update
# The dependencies as apt resolves them for an empty machine, by the simulation's "Inst NAME (VERSION ...".
# shellcheck disable=SC2086
apt-get -qq -s --no-install-recommends install $packages |
    sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p' >"$work/wanted"
(cd "$work/debs" && xargs apt-get -qq download <"$work/wanted")
for deb in "$work"/debs/*.deb; do
    dpkg -x "$deb" "$root"
done
# Absolute links point into the host: make them relative to the sysroot.
find "$root" -type l -lname '/*' | while read -r link; do
    ln -snf "$(realpath -m --relative-to="$(dirname "$link")" "$root$(readlink "$link")")" "$link"
done
echo "$packages" >"$root/.packages"
echo "$root: $(wc -l <"$work/wanted") packages, $(du -sh "$root" | cut -f1)"

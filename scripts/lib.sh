# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts beside it.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

build_packages="gcc g++ make cmake ninja-build pkg-config libhwloc-dev libjansson-dev libhwy-dev libpapi-dev libdnnl-dev zlib1g-dev
    libjpeg62-turbo-dev libarchive-dev libhdf5-dev libfftw3-dev help2man"
test_packages="libcmocka-dev clang libclang-rt-14-dev python3 python3-venv binutils
    qemu-user gcc-aarch64-linux-gnu g++-aarch64-linux-gnu"

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 3; }

# install_missing PACKAGE...: installs the Debian packages that are absent, and nothing when none is.
install_missing() {
    local missing=() package
    command -v dpkg-query >/dev/null || { say "not a Debian system: install by hand what is missing of: $*"; return 0; }
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "these packages are missing and neither root nor sudo is here: ${missing[*]}"
        as_root=(sudo)
    fi
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -qq || die "apt-get update failed"
    local known=()
    for package in "${missing[@]}"; do
        if apt-cache show "$package" >/dev/null 2>&1; then known+=("$package"); else
            say "this system has no package $package; what needs it is left out"
        fi
    done
    [ ${#known[@]} -eq 0 ] && return 0
    say "installing ${known[*]}"
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${known[@]}" >/dev/null || die "apt-get install failed"
}

# build DIR [cmake option...]
build() {
    local dir=$1
    shift
    cmake -S "$root" -B "$dir" -G Ninja "$@" >"$dir.log" 2>&1 && ninja -C "$dir" >>"$dir.log" 2>&1 && return 0
    tail -n 40 "$dir.log" >&2
    die "the build failed; the whole log is $dir.log"
}

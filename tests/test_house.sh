#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The rules of docs/house.md that a program can check.
#   test_house.sh SOURCE_DIR LIBRARY OBJECT_DIR
set -u
source=$1 library=$2 objects=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAIL %s\n' "$*"; }
skip() { skipped=$((skipped + 1)); printf 'SKIP %s\n' "$*"; }

cd "$source" || exit 1

# Who may include whom. A folder may include itself, the public headers and what its line names.
may() {
    case $1 in
    include) echo "" ;;
    arch) echo "arch" ;;
    kernels) echo "kernels" ;;
    io) echo "io arch" ;;
    optim) echo "optim io kernels arch" ;;
    models) echo "models optim io kernels arch" ;;
    evaluation) echo "evaluation models optim io arch" ;;
    microbench) echo "microbench models optim kernels arch" ;;
    cli) echo "cli" ;;
    esac
}
for folder in include arch kernels io optim models evaluation microbench cli; do
    allowed=" $(may $folder) "
    while IFS=: read -r file line text; do
        target=${text#*\"}
        target=${target%%\"*}
        case $target in stepcost/*) continue ;; */*) target=${target%%/*} ;; *) continue ;; esac
        case $allowed in *" $target "*) continue ;; esac
        bad "$file:$line: $folder/ must not include $target/"
    done < <(grep -rnE '^#include "' $folder --include='*.[ch]' --include='*.cpp')
    ok
done

# Every public header compiles alone, as C17 and as C++17.
for header in include/stepcost/*.h; do
    printf '#include "stepcost/%s"\ntypedef int alone;\n' "${header##*/}" >"$work/alone.c"
    cp "$work/alone.c" "$work/alone.cpp"
    if ${CC:-cc} -std=c17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -Iinclude "$work/alone.c" 2>"$work/log"; then ok; else
        bad "$header does not compile alone as C17: $(head -n 1 "$work/log")"
    fi
    if ${CXX:-c++} -std=c++17 -Wall -Wextra -Werror -fsyntax-only -Iinclude "$work/alone.cpp" 2>"$work/log"; then ok; else
        bad "$header does not compile alone as C++17: $(head -n 1 "$work/log")"
    fi
done

# File names are unique, so that a line of a profile finds its file.
while read -r name; do
    bad "more than one file is called $name"
done < <(find arch kernels io optim models evaluation microbench cli tests -name '*.[ch]' -o -name '*.cpp' | sed 's|.*/||' | sort | uniq -d |
    grep -v -x -f <(printf '%s\n' velo.h optim.h ctx.h memory.h topology.h report.h trace.h tensor.h))
ok

# Symbols of the library carry its prefix; it neither prints nor exits nor reads the terminal.
if command -v nm >/dev/null; then
    # Highway's own inline symbols are weak and hidden; ours are strong.
    stray=$(nm -g --defined-only "$library" 2>/dev/null | awk '$2 ~ /^[TDBR]$/ && $3 !~ /^sco_/ {print $3}' | sort -u | head -n 5)
    if [ -z "$stray" ]; then ok; else bad "symbols without the prefix sco_: $(echo $stray)"; fi
    stray=$(nm -u "$library" 2>/dev/null | awk '{print $2}' | grep -xE 'printf|puts|putchar|exit|_exit|abort|perror|vprintf|scanf' | sort -u)
    if [ -z "$stray" ]; then ok; else bad "the library calls $(echo $stray)"; fi
else
    skip "symbols: no nm"
fi

# Only files of a level hold its instructions: the others must run on a CPU without wide registers.
if command -v objdump >/dev/null && [ "$(uname -m)" = x86_64 ]; then
    while read -r object; do
        case $object in *_avx2.c.o | *_avx512.c.o | *_hwy.cpp.o) continue ;; esac
        wide=$(objdump -d --no-show-raw-insn "$object" | grep -m 1 -E '%[yz]mm|\bv(add|mul|fmadd|mov)[a-z0-9]*[ps][sd]\b')
        if [ -z "$wide" ]; then ok; else bad "$object holds wide instructions: $wide"; fi
    done < <(find "$objects" -path '*sco_*.dir*' -name '*.o')
else
    skip "stray instructions: no objdump for x86-64"
fi

# What a reader should never meet.
loose=$(grep -rnIE 'TO''DO|FIX''ME|(^|[^X])XX''X([^X]|$)|(^|[^a-z])/(tmp|root|home)/[a-z]' --include='*.[ch]' --include='*.cpp' --include='*.sh' \
    --include='*.cmake' --include='CMakeLists.txt' --include='*.md' . | grep -v '^./build' | head -n 5)
if [ -z "$loose" ]; then ok; else bad "loose ends: $loose"; fi

while read -r file; do
    head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || bad "$file does not name the licence"
done < <(find arch kernels io optim models evaluation microbench cli tests include cmake scripts toolchains -type f \
    \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.sh' -o -name '*.cmake' -o -name 'CMakeLists.txt' \) 2>/dev/null)
ok

printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
[ $failed -eq 0 ]

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Trains on made-up data in the real file formats, and on the molecules in tests/data: what train_samples.sh shows, for everyone.
#   train_fixtures.sh STEPCOST MAKE_FIXTURES
set -euo pipefail
stepcost=$(realpath "$1")
tests=$(cd "$(dirname "$0")" && pwd)
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
"$2" "$data"
cp -r "$tests/data/ogbg_molmuv" "$data/"
for workload in "resnet50 imagenet" "ogbg ogbg_molmuv" "dlrm criteo" "unet fastmri"; do
    # shellcheck disable=SC2086
    set -- $workload
    "$stepcost" data verify "$data/$2" --workload "$1"
done
bash "$tests/train_samples.sh" "$stepcost" 100 "$data"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The page of a report.   test_report.sh STEPCOST
command -v python3 >/dev/null || {
    echo "SKIP the page of a report: python3 is not installed"
    exit 77
}
unset STEPCOST_ISA STEPCOST_ROW STEPCOST_THREADS
exec python3 "$(dirname "$0")/test_report.py" "$1"

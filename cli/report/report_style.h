/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCO_CLI_REPORT_STYLE_H
#define SCO_CLI_REPORT_STYLE_H

#include <stdio.h>

/* The rules of the report's one <style> element: light, dark and print. */
void report_style(FILE *out);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Text of an HTML report: escaping, numbers, comma separated values. What is written is well-formed XML too, and so
 * easy to check. */
#ifndef SCO_CLI_REPORT_HTML_H
#define SCO_CLI_REPORT_HTML_H

#include <stddef.h>
#include <stdio.h>

/* Text or attribute value in double quotes. Control characters, which HTML cannot hold, become U+FFFD. */
void html_text(FILE *out, const char *text);
/* The same, cut to so many characters (UTF-8) with an ellipsis in place of the rest. */
void html_clipped(FILE *out, const char *text, size_t characters);

/* Numbers as text; NaN is "–". Each returns its buffer. */
enum { HTML_NUMBER = 32 };
char *html_number(char text[HTML_NUMBER], double value);  /* three significant digits: "0.0994", "1.06", "44 900" */
char *html_count(char text[HTML_NUMBER], double value);   /* "161", "25.6 M" */
char *html_percent(char text[HTML_NUMBER], double value); /* 0.611 is "61.1 %" */
char *html_seconds(char text[HTML_NUMBER], double ns);    /* "45.0 µs" */

/* One field, then a comma or the end of the line. NaN is an empty field; text that a spreadsheet would take for a
 * formula gets a leading apostrophe. */
void csv_text(FILE *csv, const char *text, char end);
void csv_number(FILE *csv, double value, char end);

/* <a download="name" ...>label</a> with csv's bytes as a data URI. */
void html_download(FILE *out, const char *name, const char *label, const char *csv, size_t bytes);

#endif

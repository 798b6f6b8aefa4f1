/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/report/html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DASH       "\u2013"
#define THIN_SPACE "\u202f" /* narrow, and no line break */

static void put(FILE *out, char c)
{
    switch (c) {
    case '&': fputs("&amp;", out); break;
    case '<': fputs("&lt;", out); break;
    case '>': fputs("&gt;", out); break;
    case '"': fputs("&quot;", out); break;
    case '\'': fputs("&#39;", out); break;
    case '\t':
    case '\n': fputc(' ', out); break;
    case 0x7f: fputs("\ufffd", out); break;
    default:
        if ((unsigned char)c < 0x20)
            fputs("\ufffd", out);
        else
            fputc(c, out);
    }
}

void html_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        put(out, *text);
}

static int starts_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

void html_clipped(FILE *out, const char *text, size_t characters)
{
    size_t length = 0;
    for (const char *c = text; *c != '\0'; c++)
        length += (size_t)starts_character(*c);
    const size_t kept = length <= characters ? length : characters - 1;
    size_t seen = 0;
    for (; *text != '\0'; text++) {
        seen += (size_t)starts_character(*text);
        if (seen > kept)
            break;
        put(out, *text);
    }
    if (kept < length)
        fputs("\u2026", out);
}

char *html_number(char text[HTML_NUMBER], double value)
{
    char scientific[HTML_NUMBER];
    if (isnan(value))
        return strcpy(text, DASH);
    if (isinf(value))
        return strcpy(text, value > 0.0 ? "\u221e" : "-\u221e");
    if (value == 0.0)
        return strcpy(text, "0");
    /* The exponent after rounding: 9.996 is 10.0. */
    snprintf(scientific, sizeof scientific, "%.2e", value);
    const int exponent = atoi(strchr(scientific, 'e') + 1);
    if (exponent < -5 || exponent > 11)
        return strcpy(text, scientific);
    if (exponent <= 2) {
        snprintf(text, HTML_NUMBER, "%.*f", 2 - exponent, value);
        return text;
    }
    char digits[HTML_NUMBER];
    const double unit = pow(10.0, exponent - 2);
    const int count = snprintf(digits, sizeof digits, "%.0f", round(value / unit) * unit);
    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        const char digit[2] = {digits[i], '\0'};
        if (i > 0 && digits[i - 1] != '-' && (count - i) % 3 == 0)
            strcat(text, THIN_SPACE);
        strcat(text, digit);
    }
    return text;
}

/* Three digits of value in the largest unit that leaves at least one before the point. */
static char *scaled(char text[HTML_NUMBER], double value, const char *const *units, size_t count)
{
    char number[HTML_NUMBER];
    size_t unit = 0;
    while (unit + 1 < count && value >= 999.5) {
        value *= 1e-3;
        unit++;
    }
    snprintf(text, HTML_NUMBER, "%.20s%s%s", html_number(number, value), units[unit][0] != '\0' ? "\u00a0" : "",
             units[unit]);
    return text;
}

char *html_count(char text[HTML_NUMBER], double value)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    if (value >= 0.0 && value < 1000.0 && value == floor(value)) {
        snprintf(text, HTML_NUMBER, "%.0f", value);
        return text;
    }
    return scaled(text, value, units, sizeof units / sizeof *units);
}

char *html_percent(char text[HTML_NUMBER], double value)
{
    char number[HTML_NUMBER];
    if (isnan(value))
        return strcpy(text, DASH);
    snprintf(text, HTML_NUMBER, "%.20s\u00a0%%", html_number(number, 100.0 * value));
    return text;
}

char *html_seconds(char text[HTML_NUMBER], double ns)
{
    static const char *const units[] = {"ns", "\u00b5s", "ms", "s"};
    if (isnan(ns))
        return strcpy(text, DASH);
    return scaled(text, ns, units, sizeof units / sizeof *units);
}

void csv_text(FILE *csv, const char *text, char end)
{
    fputc('"', csv);
    if (text[0] != '\0' && strchr("=+-@", text[0]) != NULL)
        fputc('\'', csv);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', csv);
        fputc(*text, csv);
    }
    fputc('"', csv);
    fputc(end, csv);
}

void csv_number(FILE *csv, double value, char end)
{
    if (!isnan(value))
        fprintf(csv, "%.9g", value);
    fputc(end, csv);
}

void html_download(FILE *out, const char *name, const char *label, const char *csv, size_t bytes)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~,";
    fprintf(out, "<a class=\"csv\" download=\"%s\" href=\"data:text/csv;charset=utf-8,", name);
    for (size_t i = 0; i < bytes; i++)
        if (csv[i] != '\0' && strchr(plain, csv[i]) != NULL)
            fputc(csv[i], out);
        else
            fprintf(out, "%%%02X", (unsigned)(unsigned char)csv[i]);
    fprintf(out, "\">%s</a>", label);
}

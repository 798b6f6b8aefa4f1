/* SPDX-License-Identifier: Apache-2.0
 * Shell completions, made from the same option tables as parsing and --help. */
#include <string.h>

#include "cli/cli.h"

static error_t parse(int key, char *argument, struct argp_state *state)
{
    const char **shell = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (*shell != NULL)
            argp_error(state, "one shell at a time");
        *shell = argument;
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "a shell is needed: bash, zsh or fish"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .parser = parse,
    .args_doc = "bash|zsh|fish",
    .doc = "Prints a completion script.\vExample:\n  source <(stepcost completions bash)\n\n" CLI_EXIT_TEXT,
};

/* The first option at or after option that has a name. Options end with an all-zero entry; others without a name are
 * headings; a verb without options has no table. */
static const struct argp_option *next(const struct argp_option *option)
{
    while (option != NULL && option->name == NULL) {
        if (option->key == 0 && option->doc == NULL && option->group == 0)
            return NULL;
        option++;
    }
    return option;
}

static void bash(void)
{
    puts("# bash completion for stepcost\n"
         "_stepcost()\n"
         "{\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} words=\"--help --version --usage\"\n"
         "    case ${COMP_WORDS[1]} in");
    for (const struct cli_verb *const *verb = cli_verbs; *verb != NULL; verb++) {
        printf("    %s) words=\"--help --usage", (*verb)->name);
        for (const struct argp_option *o = (*verb)->argp->options; (o = next(o)) != NULL; o++)
            printf(" --%s", o->name);
        puts("\" ;;");
    }
    printf("    *) words+=\"");
    for (const struct cli_verb *const *verb = cli_verbs; *verb != NULL; verb++)
        if (!(*verb)->hidden)
            printf(" %s", (*verb)->name);
    puts("\" ;;\n"
         "    esac\n"
         "    [[ $COMP_CWORD -gt 1 && $cur != -* ]] && words=\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "}\n"
         "complete -o default -F _stepcost stepcost");
}

/* Descriptions stand in single quotes; zsh also gives meaning to brackets and colons. */
static void quote(const char *text, const char *special)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("'\\'", stdout);
        else if (strchr(special, *text) != NULL)
            putchar('\\');
        putchar(*text);
    }
}

static void zsh(void)
{
    puts("#compdef stepcost\n"
         "_stepcost()\n"
         "{\n"
         "    local -a verbs\n"
         "    verbs=(");
    for (const struct cli_verb *const *verb = cli_verbs; *verb != NULL; verb++) {
        if ((*verb)->hidden)
            continue;
        printf("        '%s:", (*verb)->name);
        quote((*verb)->summary, ":\\");
        puts("'");
    }
    puts("    )\n"
         "    if (( CURRENT == 2 )); then\n"
         "        _describe verb verbs\n"
         "        return\n"
         "    fi\n"
         "    local verb=$words[2]\n"
         "    shift words\n"
         "    (( CURRENT-- ))\n"
         "    case $verb in");
    for (const struct cli_verb *const *verb = cli_verbs; *verb != NULL; verb++) {
        printf("    %s) _arguments '--help[how to use it]'", (*verb)->name);
        for (const struct argp_option *o = (*verb)->argp->options; (o = next(o)) != NULL; o++) {
            printf(" \\\n        '--%s%s[", o->name, o->arg != NULL ? "=" : "");
            quote(o->doc, "[]:\\");
            printf("]%s'", o->arg != NULL ? ":value:_files" : "");
        }
        puts(" '*:file:_files' ;;");
    }
    puts("    esac\n"
         "}\n"
         "_stepcost \"$@\"");
}

static void fish(void)
{
    puts("# fish completion for stepcost");
    for (const struct cli_verb *const *verb = cli_verbs; *verb != NULL; verb++) {
        if (!(*verb)->hidden) {
            printf("complete -c stepcost -n __fish_use_subcommand -a %s -d '", (*verb)->name);
            quote((*verb)->summary, "\\");
            puts("'");
        }
        for (const struct argp_option *o = (*verb)->argp->options; (o = next(o)) != NULL; o++) {
            printf("complete -c stepcost -n '__fish_seen_subcommand_from %s' -l %s%s -d '", (*verb)->name, o->name,
                   o->arg != NULL ? " -r" : "");
            quote(o->doc, "\\");
            puts("'");
        }
    }
}

static int run(int argc, char **argv)
{
    const char *shell = NULL;
    argp_parse(&argp, argc, argv, 0, NULL, &shell);
    if (strcmp(shell, "bash") == 0)
        bash();
    else if (strcmp(shell, "zsh") == 0)
        zsh();
    else if (strcmp(shell, "fish") == 0)
        fish();
    else
        return cli_fail(CLI_USAGE, "%s: unknown shell; possible: bash, zsh, fish", shell);
    return CLI_OK;
}

const struct cli_verb cli_completions_verb = {"completions", "Print a shell completion script", &argp, run, true};

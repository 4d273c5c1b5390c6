// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* hopscope doctor: what this kernel and these privileges allow, and what to do about the rest. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "log.h"
#include "probe/features.h"
#include "probe/privileges.h"

static const char usage_text[] =
	"usage: hopscope doctor [--json] [-v]\n"
	"\n"
	"Tries what hopscope needs, one by one, and says what to do about what is missing.\n"
	"Nothing stays attached. Exit code: 0 everything that `trace` needs is there, 1 something\n"
	"is missing.\n"
	"\n"
	"  -j, --json      one JSON object\n"
	"  -v, --verbose   with the verifier's words about what was refused\n"
	"  -h, --help\n";

static const char *const state_names[] = {
	[FEATURE_OK] = "ok",
	[FEATURE_DEGRADED] = "limited",
	[FEATURE_MISSING] = "MISSING",
};

static void print_rows(const struct features *f)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct feature *r = &f->rows[i];

		printf("%-8s %-22s %s\n", state_names[r->state], r->name, r->found);
		if (r->advice[0])
			printf("%-8s %-22s -> %s\n", "", "", r->advice);
	}
}

static const char *const works_names[] = {
	[FEATURE_OK] = "yes",
	[FEATURE_DEGRADED] = "limited",
	[FEATURE_MISSING] = "no",
};

static void print_commands(const struct features *f)
{
	printf("\n");
	for (size_t i = 0; i < FEATURE_COMMANDS; i++) {
		const struct feature_command *c = &f->commands[i];

		printf("%-15s %s%s%s\n", c->name, works_names[c->state], c->why[0] ? ": " : "",
		       c->why);
	}
}

static json_t *json_commands(const struct features *f)
{
	json_t *commands = json_array();

	for (size_t i = 0; i < FEATURE_COMMANDS; i++) {
		const struct feature_command *c = &f->commands[i];

		json_array_append_new(commands, json_pack("{s:s,s:s,s:s?}", "name", c->name,
							  "works", works_names[c->state], "why",
							  c->why[0] ? c->why : NULL));
	}
	return commands;
}

static json_t *json_privileges(size_t offset, enum privilege_use use)
{
	json_t *list = json_array();

	for (size_t i = 0; i < privileges_n; i++) {
		const unsigned int *uses = (const void *)((const char *)&privileges[i] + offset);

		if (*uses & 1u << use)
			json_array_append_new(list, json_string(privileges[i].name));
	}
	return list;
}

/* What each command needs, whatever is held now: docs/privileges.md, for programs. */
static json_t *json_capabilities(void)
{
	json_t *all = json_array();

	for (int i = 0; i < PRIVILEGES_USES; i++) {
		enum privilege_use use = (enum privilege_use)i;

		json_array_append_new(
			all,
			json_pack("{s:s,s:o,s:o,s:o}", "command", privilege_use__name(use),
				  "required",
				  json_privileges(offsetof(struct privilege, required), use),
				  "useful",
				  json_privileges(offsetof(struct privilege, useful), use), "kept",
				  json_privileges(offsetof(struct privilege, kept), use)));
	}
	return all;
}

static int print_json(const struct features *f, bool usable)
{
	json_t *rows = json_array(), *doc;
	int err = 0;

	for (size_t i = 0; i < f->n; i++) {
		const struct feature *r = &f->rows[i];

		json_array_append_new(rows,
				      json_pack("{s:s,s:s,s:s,s:s?}", "name", r->name, "state",
						state_names[r->state], "found", r->found, "advice",
						r->advice[0] ? r->advice : NULL));
	}
	doc = json_pack("{s:i,s:b,s:o,s:o,s:o}", "schema", 1, "usable", usable, "checks", rows,
			"commands", json_commands(f), "capabilities", json_capabilities());
	if (!doc || json_dumpf(doc, stdout, JSON_COMPACT) || putchar('\n') == EOF)
		err = -EIO;
	json_decref(doc);
	return err;
}

int cmd_doctor(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	struct features f = {};
	bool json = false, usable;
	int opt;

	while ((opt = getopt_long(argc, argv, "jvh", options, NULL)) != -1) {
		switch (opt) {
		case 'j': json = true; break;
		case 'v': log_verbose = true; break;
		case 'h': fputs(usage_text, stdout); return EXIT_PASS;
		default: return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		log_fail(-EINVAL, "doctor takes no argument: '%s'", argv[optind]);
		return EXIT_USAGE;
	}
	features__probe(&f);
	usable = features__usable(&f);
	if (json)
		return print_json(&f, usable) || !usable ? EXIT_RUNTIME : EXIT_PASS;
	print_rows(&f);
	print_commands(&f);
	printf("\n%s\n",
	       usable ? "trace works here." : "trace does not work here: see MISSING above.");
	return usable ? EXIT_PASS : EXIT_RUNTIME;
}

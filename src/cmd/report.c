/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* hopscope report: renders a recorded session again. No root, no kernel. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "log.h"
#include "out/figures.h"
#include "out/json.h"
#include "out/markdown.h"
#include "out/outfile.h"
#include "out/session.h"

static int render_json(FILE *out, const json_t *session)
{
	return session__dump(session, out);
}

/* A row a format. */
static const struct format {
	const char *name;
	int (*render)(FILE *out, const json_t *session);
} formats[] = {
	{"md", markdown__report},
	{"json", render_json},
	{NULL, NULL},
};

struct report_args {
	const char *session;
	const char *output; /* NULL: stdout */
	struct format format;
};

static void usage(FILE *out)
{
	fputs("usage: hopscope report SESSION [--format FORMAT] [-o FILE]\n"
	      "\n"
	      "Renders a session that `hopscope bench` recorded. SESSION is its session.json, the\n"
	      "directory that holds it, or - for standard input.\n"
	      "\n"
	      "  -f, --format FORMAT   md (default): the report; json: the session as bench writes "
	      "it;\n"
	      "                        added.svg, payload.svg, concurrency.svg, pool.svg: a figure "
	      "of a\n"
	      "                        port-forward run; hops.svg, hops_direct.svg, "
	      "hops_forwarded.svg:\n"
	      "                        where round trips spend their time, of the others\n"
	      "  -o, --output FILE     write to FILE instead of standard output\n"
	      "  -h, --help            this text\n"
	      "\n"
	      "exit codes: 0 rendered, whatever the verdicts in it; 1 SESSION cannot be read or "
	      "is\n"
	      "no session; 2 usage\n",
	      out);
}

static bool find_format(const char *name, struct format *format)
{
	const struct figure *figure = figure__find(name);

	for (const struct format *f = formats; f->name; f++) {
		if (strcmp(f->name, name) != 0)
			continue;
		*format = *f;
		return true;
	}
	if (figure) {
		*format = (struct format){figure->file, figure->render};
		return true;
	}
	log_fail(0, "unknown format '%s': there are md and json, and the figures' names", name);
	return false;
}

/* 0 to go on, else the exit code + 1. */
static int parse(struct report_args *args, int argc, char **argv)
{
	static const struct option options[] = {
		{"format", required_argument, NULL, 'f'},
		{"output", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	opterr = 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, ":f:o:h", options, NULL)) != -1) {
		switch (c) {
		case 'f':
			if (!find_format(optarg, &args->format))
				return EXIT_USAGE + 1;
			break;
		case 'o': args->output = optarg; break;
		case 'h': usage(stdout); return EXIT_PASS + 1;
		default:
			log_fail(0, "report: %s %s: `hopscope report --help` lists the options",
				 c == ':' ? "a value is missing after" : "unknown option",
				 argv[optind - 1]);
			return EXIT_USAGE + 1;
		}
	}
	if (optind + 1 != argc) {
		log_fail(0, optind == argc ? "report: which SESSION? (a file, a directory or -)"
					   : "report: one SESSION at a time");
		usage(stderr);
		return EXIT_USAGE + 1;
	}
	args->session = argv[optind];
	return 0;
}

struct rendering {
	const struct format *format;
	const json_t *session;
};

/* outfile_fn. */
static int render_to(FILE *out, void *ctx)
{
	const struct rendering *r = ctx;

	return r->format->render(out, r->session);
}

static void nothing_to_draw(const struct report_args *args)
{
	log_fail(-ENODATA, "this session has nothing to draw in %s", args->format.name);
}

/* 0 or negative errno after a message. */
static int render(const struct report_args *args, const json_t *session)
{
	struct rendering r = {&args->format, session};
	int err;

	if (args->output && strcmp(args->output, "-") != 0) {
		err = outfile__replace(args->output, render_to, &r);
		if (err == -ENODATA)
			nothing_to_draw(args);
		else if (err)
			log_fail(err, "cannot write %s: %s", args->output, outfile__why(err));
		return err;
	}
	err = render_to(stdout, &r);
	/* main() says what else is wrong with it, once */
	if (err == -ENODATA)
		nothing_to_draw(args);
	else if (err == -ENOMEM)
		log_fail(err, "cannot write standard output: %s", strerror(-err));
	return err;
}

int cmd_report(int argc, char **argv)
{
	struct report_args args = {.format = formats[0]};
	json_t *session = NULL;
	char why[512];
	int rc = parse(&args, argc, argv);

	if (rc)
		return rc - 1;
	if (session__load(args.session, &session, why, sizeof(why))) {
		log_fail(0, "cannot read session %s: %s",
			 strcmp(args.session, "-") ? args.session : "from standard input", why);
		return EXIT_RUNTIME;
	}
	rc = render(&args, session) ? EXIT_RUNTIME : EXIT_PASS;
	json_decref(session);
	return rc;
}

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/outdir.h"
#include "log.h"
#include "out/figures.h"
#include "out/json.h"
#include "out/markdown.h"
#include "out/outfile.h"
#include "stack/file.h"

int outdir__open(struct outdir *o, const char *path)
{
	int err = path__format(o->path, "%s", path);

	o->fd = -1;
	if (err)
		return log_fail(err, "--out: the path is too long");
	while (o->path[0] && o->path[1] && o->path[strlen(o->path) - 1] == '/')
		o->path[strlen(o->path) - 1] = '\0';
	if (mkdir(o->path, 0755) && errno != EEXIST)
		return log_fail(-errno, "cannot create the output directory %s: %s", path,
				strerror(errno));
	/* bench runs as root: a link planted in a shared directory must not lead it elsewhere. */
	o->fd = open(o->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (o->fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return log_fail(-errno,
				"the output directory %s is a symbolic link or no directory: give "
				"--out the directory itself",
				path);
	if (o->fd < 0)
		return log_fail(-errno, "cannot open the output directory %s: %s", path,
				strerror(errno));
	if (faccessat(o->fd, ".", W_OK, AT_EACCESS)) {
		err = log_fail(-errno, "cannot write into the output directory %s: %s", path,
			       strerror(errno));
		outdir__close(o);
		return err;
	}
	return 0;
}

void outdir__close(struct outdir *o)
{
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
}

struct rendering {
	outdir_render_fn render;
	const json_t *session;
};

/* outfile_fn. */
static int render_to(FILE *f, void *ctx)
{
	const struct rendering *r = ctx;

	return r->render(f, r->session);
}

int outdir__write(struct outdir *o, const char *name, outdir_render_fn render,
		  const json_t *session)
{
	struct rendering r = {render, session};
	int err = outfile__replace_at(o->fd, name, render_to, &r);

	if (err)
		log_fail(err, "cannot write %s/%s: %s", o->path, name, strerror(-err));
	return err;
}

static int dump_session(FILE *f, const json_t *session)
{
	return session__dump(session, f);
}

static int write_figures(struct outdir *o, const json_t *session)
{
	const struct figure *f;
	int err = 0;
	size_t i;

	for (i = 0; (f = figure__at(i)) && !err; i++)
		if (f->has(session))
			err = outdir__write(o, f->file, f->render, session);
	return err;
}

int outdir__report(struct outdir *o, const json_t *session, bool json)
{
	int err = outdir__write(o, "session.json", dump_session, session);

	if (!err)
		err = write_figures(o, session);
	if (!err)
		err = outdir__write(o, "report.md", markdown__report, session);
	if (err)
		return err;
	log_info("report: %s/report.md, session: %s/session.json", o->path, o->path);
	err = json ? session__dump(session, stdout) : markdown__report(stdout, session);
	if (err)
		log_fail(err, "cannot write the report to standard output: %s", strerror(-err));
	return err;
}

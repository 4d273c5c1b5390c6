/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#include "heap/outputs.h"
#include "log.h"
#include "out/flame.h"
#include "out/folded.h"
#include "out/heap_json.h"
#include "out/pprof.h"

bool heap_outputs__to_stdout(const struct heap_outputs *o)
{
	for (int i = 0; i < HEAP_OUTPUTS; i++)
		if (output__is_stdout(o->out[i].path))
			return true;
	return false;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

/* They would overwrite each other. */
static int check_distinct(const struct heap_outputs *o, int i)
{
	for (int k = 0; k < i; k++)
		if (o->out[k].file && o->out[i].file &&
		    output__same_file(o->out[k].file, o->out[i].file))
			return log_fail(-EINVAL, "%s and %s are the same file", o->out[k].path,
					o->out[i].path);
	return 0;
}

int heap_outputs__open(struct heap_outputs *o)
{
	for (int i = 0; i < HEAP_OUTPUTS; i++) {
		int err = output__open(&o->out[i]);

		err = err ? err : check_distinct(o, i);
		if (err)
			return err;
	}
	return 0;
}

static int write_one(struct heap_outputs *o, int i, const struct heap_profile *p, bool final)
{
	struct flame_opts flame = {.grown = o->grown};

	switch ((enum heap_output)i) {
	case HEAP_FOLDED: return folded__print(o->out[i].file, p, o->grown);
	case HEAP_FLAME:
		flame.html =
			ends_with(o->out[i].path, ".html") || ends_with(o->out[i].path, ".htm");
		return flame__print(o->out[i].file, p, &flame);
	case HEAP_PPROF: return pprof__print(o->out[i].file, p, o->grown);
	case HEAP_RECORD: return heap_json__print(o->out[i].file, p, final);
	case HEAP_OUTPUTS: break;
	}
	return 0;
}

/* Half a graph is none: what could not be written whole is taken back, the lines before it stay. */
static int write_whole(struct heap_outputs *o, int i, const struct heap_profile *p, bool final)
{
	FILE *f = o->out[i].file;
	off_t before = ftello(f);
	int err;

	errno = 0;
	err = write_one(o, i, p, final);
	if (err == -EIO && errno)
		err = -errno;
	if (!err && fflush(f))
		err = -errno;
	if (err && before >= 0 && f != stdout && !ftruncate(fileno(f), before)) {
		__fpurge(f);
		fseeko(f, before, SEEK_SET);
	}
	return err;
}

int heap_outputs__write(struct heap_outputs *o, const struct heap_profile *p, bool final)
{
	int first = 0;

	for (int i = 0; i < HEAP_OUTPUTS; i++) {
		int err;

		if (!o->out[i].file || (!final && i != HEAP_RECORD))
			continue;
		err = output__begin(&o->out[i]);
		err = err ? err : write_whole(o, i, p, final);
		if (err)
			log_fail(err, "cannot write %s: %s", o->out[i].path, strerror(-err));
		first = first ? first : err;
	}
	return first;
}

int heap_outputs__close(struct heap_outputs *o)
{
	int err = 0;

	for (int i = 0; i < HEAP_OUTPUTS; i++) {
		int rc = output__close(&o->out[i]);

		err = rc ? rc : err;
	}
	return err;
}

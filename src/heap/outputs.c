/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "heap/outputs.h"
#include "log.h"
#include "out/flame.h"
#include "out/folded.h"
#include "out/heap_json.h"
#include "out/pprof.h"

static bool is_stdout(const char *path)
{
	return path && !strcmp(path, "-");
}

bool heap_outputs__to_stdout(const struct heap_outputs *o)
{
	for (int i = 0; i < HEAP_OUTPUTS; i++)
		if (is_stdout(o->path[i]))
			return true;
	return false;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

int heap_outputs__open(struct heap_outputs *o)
{
	for (int i = 0; i < HEAP_OUTPUTS; i++) {
		if (!o->path[i])
			continue;
		o->file[i] = is_stdout(o->path[i]) ? stdout : fopen(o->path[i], "we");
		if (!o->file[i])
			return log_fail(-errno, "cannot write %s: %s", o->path[i], strerror(errno));
	}
	return 0;
}

static int write_one(struct heap_outputs *o, int i, const struct heap_profile *p, bool final)
{
	struct flame_opts flame = {.grown = o->grown};

	switch ((enum heap_output)i) {
	case HEAP_FOLDED: return folded__print(o->file[i], p, o->grown);
	case HEAP_FLAME:
		flame.html = ends_with(o->path[i], ".html") || ends_with(o->path[i], ".htm");
		return flame__print(o->file[i], p, &flame);
	case HEAP_PPROF: return pprof__print(o->file[i], p, o->grown);
	case HEAP_RECORD: return heap_json__print(o->file[i], p, final);
	case HEAP_OUTPUTS: break;
	}
	return 0;
}

int heap_outputs__write(struct heap_outputs *o, const struct heap_profile *p, bool final)
{
	for (int i = 0; i < HEAP_OUTPUTS; i++) {
		int err;

		if (!o->file[i] || (!final && i != HEAP_RECORD))
			continue;
		errno = 0;
		err = write_one(o, i, p, final);
		if (err == -EIO && errno)
			err = -errno;
		if (err)
			return log_fail(err, "cannot write %s: %s", o->path[i], strerror(-err));
	}
	return 0;
}

int heap_outputs__close(struct heap_outputs *o)
{
	int err = 0;

	for (int i = 0; i < HEAP_OUTPUTS; i++) {
		if (o->file[i] && o->file[i] != stdout && fclose(o->file[i]))
			err = log_fail(-errno, "cannot write %s: %s", o->path[i], strerror(errno));
		o->file[i] = NULL;
	}
	return err;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <string.h>

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

struct heap_writing {
	const struct heap_outputs *outputs;
	enum heap_output kind;
	const struct heap_profile *profile;
	bool final;
};

/* outfile_fn. */
static int write_one(FILE *f, void *ctx)
{
	const struct heap_writing *w = ctx;
	const char *path = w->outputs->out[w->kind].path;
	struct flame_opts flame = {.grown = w->outputs->grown};

	switch (w->kind) {
	case HEAP_FOLDED: return folded__print(f, w->profile, w->outputs->grown);
	case HEAP_FLAME:
		flame.html = ends_with(path, ".html") || ends_with(path, ".htm");
		return flame__print(f, w->profile, &flame);
	case HEAP_PPROF: return pprof__print(f, w->profile, w->outputs->grown);
	case HEAP_RECORD: return heap_json__print(f, w->profile, w->final);
	case HEAP_OUTPUTS: break;
	}
	return 0;
}

int heap_outputs__write(struct heap_outputs *o, const struct heap_profile *p, bool final)
{
	int first = 0;

	for (int i = 0; i < HEAP_OUTPUTS; i++) {
		struct heap_writing w = {o, (enum heap_output)i, p, final};
		int err;

		if (!o->out[i].file || (!final && i != HEAP_RECORD))
			continue;
		err = output__write(&o->out[i], write_one, &w);
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

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "out/folded.h"
#include "stack_walk.h"

struct line {
	char *stack; /* owned */
	double before, now;
};

void folded__frame_name(struct text *t, const struct heap_frame *f)
{
	text__add_printable(t, f->function);
	if (heap_frame__unknown(f) && f->module[0]) {
		text__add(t, " ");
		text__add_printable(t, heap_frame__module(f));
	}
}

void folded__roots(const struct heap_site *s, bool processes, char names[2][64],
		   const char *roots[3])
{
	size_t n = 0;

	if (processes) {
		struct text comm = {0};

		text__add_printable(&comm, s->comm);
		snprintf(names[n], sizeof(names[n]), "%s[%u]", comm.data ? comm.data : "?",
			 s->tgid);
		text__free(&comm);
		roots[n] = names[n];
		n++;
	}
	if (!s->n_frames)
		roots[n++] = "[stack not kept]";
	else if (s->flags & STACK_TRUNCATED)
		roots[n++] = "[stack cut off]";
	else if (s->flags & STACK_BROKEN)
		roots[n++] = "[stack broken off]";
	roots[n] = NULL;
}

/* Adds a printable name; ';' separates frames, so in a name it is escaped. */
static void add_name(struct text *t, const char *name)
{
	size_t len;

	if (t->len)
		text__add(t, ";");
	while (*name) {
		len = strcspn(name, ";");
		text__addn(t, name, len);
		name += len;
		if (*name) {
			text__add(t, "\\x3b");
			name++;
		}
	}
}

static char *stack_of(const struct heap_site *s, bool processes)
{
	char names[2][64];
	const char *roots[3];
	struct text t = {0}, name = {0};

	folded__roots(s, processes, names, roots);
	for (size_t i = 0; roots[i]; i++)
		add_name(&t, roots[i]);
	for (size_t i = s->n_frames; i-- > 0;) {
		name.len = 0;
		folded__frame_name(&name, &s->frames[i]);
		if (!name.failed)
			add_name(&t, name.len ? name.data : HEAP_UNKNOWN);
		t.failed = t.failed || name.failed;
	}
	text__free(&name);
	if (t.failed)
		text__free(&t);
	return t.data;
}

static int by_stack(const void *a, const void *b)
{
	return strcmp(((const struct line *)a)->stack, ((const struct line *)b)->stack);
}

static void print_line(FILE *out, const struct line *l, bool grown)
{
	if (grown && (llround(l->before) || llround(l->now)))
		fprintf(out, "%s %lld %lld\n", l->stack, llround(l->before), llround(l->now));
	if (!grown && llround(l->now))
		fprintf(out, "%s %lld\n", l->stack, llround(l->now));
}

int folded__print(FILE *out, const struct heap_profile *p, bool grown)
{
	struct line *lines = calloc(p->n_sites + 1, sizeof(*lines));
	struct heap_total total;
	size_t n = 0, kept = 0;
	int err = lines ? 0 : -ENOMEM;

	heap_profile__total(p, &total);
	for (; n < p->n_sites && !err; n++) {
		const struct heap_site *s = &p->sites[n];

		lines[n].stack = stack_of(s, total.processes > 1);
		lines[n].now = s->bytes;
		/* what is held now minus what was sampled may be a little below 0 */
		lines[n].before = fmax(s->bytes - s->grown_bytes, 0);
		err = lines[n].stack ? 0 : -ENOMEM;
	}
	if (!err && n)
		qsort(lines, n, sizeof(*lines), by_stack);
	for (size_t i = 1; i < n && !err; i++) {
		if (by_stack(&lines[kept], &lines[i]) == 0) {
			lines[kept].before += lines[i].before;
			lines[kept].now += lines[i].now;
			lines[i].now = lines[i].before = 0;
			continue;
		}
		kept = i;
	}
	for (size_t i = 0; i < n && !err; i++)
		print_line(out, &lines[i], grown);
	for (size_t i = 0; i < n; i++)
		free(lines[i].stack);
	free(lines);
	if (!err && (fflush(out) || ferror(out)))
		err = -EIO;
	return err;
}

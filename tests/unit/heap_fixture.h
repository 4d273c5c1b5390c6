/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Heap readings made by hand: a stack is written "leaf<caller<main", a pc stands for each name. */
#ifndef TESTS_UNIT_HEAP_FIXTURE_H
#define TESTS_UNIT_HEAP_FIXTURE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/heap.h"

#define FIXTURE_NAMES 64
#define FIXTURE_SITES 32

struct fixture {
	char names[FIXTURE_NAMES][64]; /* name of pc 0x1000 + 16 * i */
	size_t n_names;
	uint64_t pcs[FIXTURE_SITES][16];
	size_t n_stacks;
	bool lines;		      /* frames have source lines: the pc */
	unsigned int returns, leaves; /* times names were asked for */
};

static uint64_t fixture__pc(struct fixture *f, const char *name, size_t len)
{
	size_t i = 0;

	while (i < f->n_names &&
	       (strlen(f->names[i]) != len || strncmp(f->names[i], name, len) != 0))
		i++;
	if (i == f->n_names)
		snprintf(f->names[f->n_names++], sizeof(f->names[0]), "%.*s", (int)len, name);
	return 0x1000 + 16 * i;
}

/* Adds a site to a reading that has room for FIXTURE_SITES. Equal stacks have equal ids. */
static inline struct heap_raw_site *fixture__add(struct fixture *f, struct heap_reading *r,
						 uint32_t tgid, const char *stack, double bytes,
						 double blocks)
{
	struct heap_raw_site *s;
	uint64_t *pcs = f->pcs[f->n_stacks++];
	size_t n = 0;

	if (!r->sites)
		r->sites = calloc(FIXTURE_SITES, sizeof(*r->sites));
	s = &r->sites[r->n_sites++];
	s->stack = 5381;
	while (*stack) {
		size_t len = strcspn(stack, "<");

		pcs[n] = fixture__pc(f, stack, len);
		s->stack = s->stack * 33 + pcs[n++];
		stack += len + (stack[len] == '<');
	}
	s->tgid = tgid;
	s->pcs = pcs;
	s->n_pcs = n;
	s->bytes = s->total_bytes = bytes;
	s->blocks = s->total_blocks = blocks;
	return s;
}

/* "lib:name" is of module /usr/lib/lib; "?" is unknown; the rest is of /usr/bin/app. */
static inline void fixture__frame(void *ctx, uint32_t tgid, uint64_t pc, bool is_return,
				  struct heap_frame *out)
{
	static char modules[FIXTURE_NAMES][96];
	struct fixture *f = ctx;
	size_t i = (pc - 0x1000) / 16;
	const char *name = f->names[i], *colon = strchr(name, ':');

	(void)tgid;
	*(is_return ? &f->returns : &f->leaves) += 1;
	if (colon && colon[1] == ':')
		colon = NULL;
	if (colon)
		snprintf(modules[i], sizeof(modules[i]), "/usr/lib/%.*s", (int)(colon - name),
			 name);
	else
		snprintf(modules[i], sizeof(modules[i]), "/usr/bin/app");
	out->function = colon ? colon + 1 : name;
	if (!strcmp(out->function, "?"))
		out->function = HEAP_UNKNOWN;
	out->module = modules[i];
	out->address = pc;
	out->offset = pc & 0xff;
	out->source = f->lines ? "src/app.c" : NULL;
	out->line = f->lines ? (unsigned int)pc : 0;
}

static inline const char *fixture__comm(void *ctx, uint32_t tgid)
{
	static char comm[16];

	(void)ctx;
	snprintf(comm, sizeof(comm), "app%u", tgid);
	return comm;
}

static inline struct heap_namer fixture__namer(struct fixture *f)
{
	return (struct heap_namer){.ctx = f, .frame = fixture__frame, .comm = fixture__comm};
}

/* A profile with its header, of one reading. The reading is freed. */
static inline void fixture__profile(struct fixture *f, struct heap_reading *now,
				    struct heap_profile *p)
{
	struct heap_namer namer = fixture__namer(f);

	memset(p, 0, sizeof(*p));
	p->source = HEAP_ALLOCS;
	p->label = HEAP_EXACT;
	snprintf(p->target, sizeof(p->target), "app[7]");
	snprintf(p->allocator, sizeof(p->allocator), "glibc 2.36");
	p->started_unix = 1700000000;
	if (!now->time_ns)
		now->time_ns = 10000000000;
	if (heap_profile__make(p, now, NULL, 0, &namer))
		abort();
	heap_reading__free(now);
}

/* What print(out) writes; the caller frees it. */
#define PRINTED(text, call)                                        \
	do {                                                       \
		size_t printed_len;                                \
		FILE *out = open_memstream(&(text), &printed_len); \
		assert_int_equal((call), 0);                       \
		fclose(out);                                       \
	} while (0)

#endif

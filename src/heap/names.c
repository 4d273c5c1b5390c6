/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "heap/names.h"
#include "heap/target.h"
#include "probe/limits.h"
#include "sym/symbols.h"

#define MAX_PROCESSES 1024 /* more than are watched: children are followed */

struct process {
	pid_t pid;
	char comm[32];
	struct symbols *symbols; /* NULL: */
	int err;		 /* why it could not be looked at */
};

struct heap_names {
	struct process *processes;
	size_t n, size;
};

struct heap_names *heap_names__open(void)
{
	limits__raise_files();
	return calloc(1, sizeof(struct heap_names));
}

void heap_names__close(struct heap_names *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n; i++)
		symbols__close(n->processes[i].symbols);
	free(n->processes);
	free(n);
}

static struct process *find(const struct heap_names *n, uint32_t pid)
{
	for (size_t i = 0; i < n->n; i++)
		if ((uint32_t)n->processes[i].pid == pid)
			return &n->processes[i];
	return NULL;
}

static void look(struct process *p)
{
	char comm[sizeof(p->comm)];

	heap_target__comm(p->pid, comm, sizeof(comm));
	if (strcmp(comm, "?") != 0 || !p->comm[0])
		memcpy(p->comm, comm, sizeof(comm));
}

int heap_names__learn(struct heap_names *n, pid_t pid)
{
	struct process *p = find(n, (uint32_t)pid);
	int err;

	if (p) {
		look(p);
		return p->symbols ? symbols__refresh(p->symbols) : p->err;
	}
	if (n->n == MAX_PROCESSES)
		return -ENOSPC;
	if (n->n == n->size) {
		size_t size = n->size ? n->size * 2 : 16;

		p = realloc(n->processes, size * sizeof(*p));
		if (!p)
			return -ENOMEM;
		n->processes = p;
		n->size = size;
	}
	p = &n->processes[n->n];
	memset(p, 0, sizeof(*p));
	p->pid = pid;
	look(p);
	err = symbols__open(&p->symbols, pid);
	if (err)
		p->symbols = NULL;
	p->err = err;
	n->n++;
	return err;
}

void heap_names__refresh(struct heap_names *n, const struct heap_reading *r)
{
	for (size_t i = 0; r && i < r->n_sites; i++)
		if (!find(n, r->sites[i].tgid))
			heap_names__learn(n, (pid_t)r->sites[i].tgid);
	for (size_t i = 0; i < n->n; i++)
		if (n->processes[i].symbols) {
			look(&n->processes[i]);
			symbols__refresh(n->processes[i].symbols);
		}
}

static void name_frame(void *ctx, uint32_t tgid, uint64_t pc, bool is_return,
		       struct heap_frame *out)
{
	const struct process *p = find(ctx, tgid);

	*out = (struct heap_frame){.function = HEAP_UNKNOWN, .module = "", .address = pc};
	if (p && p->symbols)
		symbols__frame(p->symbols, pc, is_return, out);
}

static const char *name_process(void *ctx, uint32_t tgid)
{
	const struct process *p = find(ctx, tgid);

	return p ? p->comm : "?";
}

struct heap_namer heap_names__namer(struct heap_names *n)
{
	return (struct heap_namer){.ctx = n, .frame = name_frame, .comm = name_process};
}

static void add_note(void *ctx, const char *note)
{
	heap_profile__note(ctx, "%s", note);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Processes that the table has no place for. */
static void note_beyond(const struct heap_names *n, struct heap_profile *p)
{
	uint32_t *pids;
	size_t found = 0, distinct = 0;

	if (n->n < MAX_PROCESSES)
		return;
	pids = calloc(p->n_sites + 1, sizeof(*pids));
	if (!pids)
		return;
	/* 0: blocks of all processes that found no place */
	for (size_t i = 0; i < p->n_sites; i++)
		if (p->sites[i].tgid && !find(n, p->sites[i].tgid))
			pids[found++] = p->sites[i].tgid;
	qsort(pids, found, sizeof(*pids), by_number);
	for (size_t i = 0; i < found; i++)
		distinct += !i || pids[i] != pids[i - 1];
	free(pids);
	if (distinct)
		heap_profile__note(p,
				   "%zu more process%s than the %d whose files are read: their "
				   "frames have no names",
				   distinct, distinct == 1 ? "" : "es", MAX_PROCESSES);
}

static void note_process(const struct process *s, struct heap_profile *p)
{
	if (s->symbols)
		symbols__notes(s->symbols, add_note, p);
	else if (s->err == -ESRCH || s->err == -ENOENT)
		heap_profile__note(p,
				   "process %d ended before its files could be read: its frames "
				   "have no names",
				   s->pid);
	else
		heap_profile__note(p,
				   "process %d: its files could not be read: %s: its frames have "
				   "no names",
				   s->pid, strerror(-s->err));
}

void heap_names__note(const struct heap_names *n, struct heap_profile *p)
{
	note_beyond(n, p);
	for (size_t i = 0; i < n->n; i++)
		note_process(&n->processes[i], p);
}

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "probe/pages_priv.h"

#define BATCH 8192 /* more than any bucket of a hash map holds */

/* ---- maps as arrays */

struct dump {
	uint8_t *keys, *vals;
	size_t n, room;
	uint32_t key_size, val_size;
};

static void dump__free(struct dump *d)
{
	free(d->keys);
	free(d->vals);
	memset(d, 0, sizeof(*d));
}

static int dump__grow(struct dump *d)
{
	size_t room = d->room ? d->room * 2 : BATCH * 2;
	uint8_t *keys = realloc(d->keys, room * d->key_size), *vals;

	if (!keys)
		return -ENOMEM;
	d->keys = keys;
	vals = realloc(d->vals, room * d->val_size);
	if (!vals)
		return -ENOMEM;
	d->vals = vals;
	d->room = room;
	return 0;
}

/* All of a hash map. Entries that come and go meanwhile are there or not. */
static int dump__read(struct dump *d, const struct bpf_map *map)
{
	char at[64]; /* the kernel's place in the map: a bucket's number */
	bool more = false;
	uint32_t n;
	int err;

	d->key_size = bpf_map__key_size(map);
	d->val_size = bpf_map__value_size(map);
	do {
		err = d->room - d->n < BATCH ? dump__grow(d) : 0;
		if (err)
			return err;
		n = (uint32_t)(d->room - d->n);
		err = bpf_map_lookup_batch(bpf_map__fd(map), more ? at : NULL, at,
					   d->keys + d->n * d->key_size,
					   d->vals + d->n * d->val_size, &n, NULL);
		if (err && err != -ENOENT && err != -ENOSPC)
			return err;
		/* -ENOSPC: the next bucket does not fit; n is what was copied before it. */
		if (err == -ENOSPC && !n) {
			err = dump__grow(d);
			if (err)
				return err;
		}
		d->n += n;
		more = true;
	} while (err != -ENOENT);
	return 0;
}

int pages__list(struct pages *p)
{
	struct dump d = {0};
	int err = dump__read(&d, p->skel->maps.page_processes);

	p->n_processes = 0;
	for (size_t i = 0; !err && i < d.n && i < p->max_processes; i++) {
		struct pages_process *to = &p->processes[p->n_processes++];

		memcpy(&to->tgid, d.keys + i * d.key_size, sizeof(to->tgid));
		memcpy(&to->state, d.vals + i * d.val_size, sizeof(to->state));
	}
	dump__free(&d);
	return err;
}

static int by_tgid(const void *a, const void *b)
{
	const struct pages_process *x = a, *y = b;

	return (x->tgid > y->tgid) - (x->tgid < y->tgid);
}

#define DIGIT_BITS 11
#define DIGITS	   7 /* 4 of a page's number (44 bits), 3 of a process's and `gone` */

static uint32_t digit_of(const struct page_record *r, int digit)
{
	uint64_t key = digit < 4 ? r->page >> (digit * DIGIT_BITS)
				 : ((uint64_t)r->tgid << 1 | r->gone) >> ((digit - 4) * DIGIT_BITS);

	return key & ((1u << DIGIT_BITS) - 1);
}

/* By process, gone or not, page: digit by digit, for there can be a million. */
static int sort_records(struct page_record **records, size_t n)
{
	struct page_record *from = *records, *to = calloc(n + 1, sizeof(*to)), *swap;
	size_t start[1 << DIGIT_BITS], sum, count;

	if (!to)
		return -ENOMEM;
	for (int digit = 0; digit < DIGITS; digit++) {
		memset(start, 0, sizeof(start));
		for (size_t i = 0; i < n; i++)
			start[digit_of(&from[i], digit)]++;
		if (n && start[digit_of(&from[0], digit)] == n)
			continue; /* all have the same */
		sum = 0;
		for (size_t i = 0; i < sizeof(start) / sizeof(start[0]); i++) {
			count = start[i];
			start[i] = sum;
			sum += count;
		}
		for (size_t i = 0; i < n; i++)
			to[start[digit_of(&from[i], digit)]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	free(to);
	*records = from;
	return 0;
}

static const struct pages_process *process_of(const struct pages *p, uint32_t tgid)
{
	const struct pages_process key = {.tgid = tgid};

	return bsearch(&key, p->processes, p->n_processes, sizeof(key), by_tgid);
}

/* By process and page; those of an address space that is no more are gone, and come last. */
static int make_records(struct pages *p, const struct dump *d, struct page_record **out, size_t *n)
{
	struct page_record *records = calloc(d->n + 1, sizeof(*records));
	int err;

	if (!records)
		return -ENOMEM;
	for (size_t i = 0; i < d->n; i++) {
		const struct pages_process *process;
		struct page_key key;
		struct page_val val;

		memcpy(&key, d->keys + i * d->key_size, sizeof(key));
		memcpy(&val, d->vals + i * d->val_size, sizeof(val));
		process = process_of(p, key.tgid);
		records[i] = (struct page_record){
			.page = key.page,
			.stack = val.stack,
			.time_ns = val.time_ns,
			.tgid = key.tgid,
			.gone = !process || val.time_ns < process->state.since_ns,
		};
	}
	err = sort_records(&records, d->n);
	*n = d->n;
	*out = records;
	return err;
}

/*
 * Makes room. A page that was written to again since the records were read has another time and is
 * left alone. Only done when there is need, for the last look and the deletion are two steps.
 */
static void forget_gone(struct pages *p, const struct page_record *records, size_t n)
{
	int fd = bpf_map__fd(p->skel->maps.pages);
	struct page_val val;

	for (size_t i = 0; i < n; i++) {
		struct page_key key = {.page = records[i].page, .tgid = records[i].tgid};

		if (records[i].gone && !bpf_map_lookup_elem(fd, &key, &val) &&
		    val.time_ns == records[i].time_ns)
			bpf_map_delete_elem(fd, &key);
	}
}

/* ---- a reading */

/* What is being put together. */
struct taking {
	struct pages *p;
	struct page_record *records; /* room for one more than n_records */
	size_t n_records;
	struct dump totals; /* of page_sites */
	struct heap_raw_site *sites;
	size_t n_sites, room;
	double held, attributed; /* pages */
	double resident;	 /* bytes */
	size_t n_alive;
};

static struct heap_raw_site *add_site(struct taking *t, uint32_t tgid, uint64_t stack)
{
	if (t->n_sites == t->room) {
		size_t room = t->room ? t->room * 2 : 256;
		struct heap_raw_site *more = realloc(t->sites, room * sizeof(*more));

		if (!more)
			return NULL;
		t->sites = more;
		t->room = room;
	}
	t->sites[t->n_sites] = (struct heap_raw_site){.tgid = tgid, .stack = stack};
	return &t->sites[t->n_sites++];
}

static int add_sites(struct taking *t, const struct page_sum *s)
{
	double bytes = (double)(1ull << t->p->page_shift);

	for (size_t i = 0; i < s->n_sites; i++) {
		const struct page_sum_site *from = &s->sites[i];
		struct heap_raw_site *to = add_site(t, s->tgid, from->stack);

		if (!to)
			return -ENOMEM;
		to->blocks = from->pages;
		to->bytes = from->pages * bytes;
		to->bytes_error = from->error * bytes;
		to->oldest_ns = from->oldest_ns;
		to->youngest_ns = from->youngest_ns;
		t->attributed += from->pages;
	}
	t->held += (double)(s->held + s->held_huge);
	return 0;
}

/* VmRSS, in bytes; 0: it has ended. */
static double resident_bytes(uint32_t tgid)
{
	char path[64], line[256];
	unsigned long long kb = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/status", tgid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmRSS: %llu kB", &kb) == 1)
			break;
	}
	fclose(f);
	return (double)kb * 1024;
}

/* records[from..to) are this process's. Nothing is added when it ended meanwhile. */
static int take_process(struct taking *t, uint32_t tgid, size_t from, size_t to)
{
	struct page_sum s = {
		.sampling = &t->p->sampling,
		.records = t->records + from,
		.n_records = to - from,
		.tgid = tgid,
	};
	int err = pagemap__scan((pid_t)tgid, t->p->no_ioctl, page_sum__run, &s);

	page_sum__finish(&s);
	if (!err && s.no_memory)
		err = -ENOMEM;
	if (!err) {
		t->n_alive++;
		t->resident += resident_bytes(tgid);
		err = add_sites(t, &s);
	} else if (err == -ESRCH) {
		err = 0;
	} else {
		log_fail(err, "cannot read which pages process %u holds (/proc/%u/pagemap): %s%s",
			 tgid, tgid, strerror(-err),
			 err == -EFBIG ? "; its mappings are too large for this kernel's "
					 "interface: Linux 6.7 has a better one"
				       : "");
	}
	page_sum__free(&s);
	return err;
}

static int take_processes(struct taking *t)
{
	size_t from = 0, to;
	int err = 0;

	for (size_t i = 0; !err && i < t->p->n_processes; i++) {
		const struct pages_process *process = &t->p->processes[i];

		while (from < t->n_records && t->records[from].tgid < process->tgid)
			from++;
		for (to = from; to < t->n_records && t->records[to].tgid == process->tgid; to++)
			if (t->records[to].gone)
				break;
		err = take_process(t, process->tgid, from, to);
		from = to;
	}
	return err;
}

static int by_process_and_stack(const void *a, const void *b)
{
	const struct heap_raw_site *x = a, *y = b;

	if (x->tgid != y->tgid)
		return x->tgid < y->tgid ? -1 : 1;
	return (x->stack > y->stack) - (x->stack < y->stack);
}

/*
 * What was brought in since the attach, or the process's start: faults, as far as pages are
 * ordinary. At least what is held of it. Also of sites that hold nothing now. Rows of an address
 * space that is no more get no faults any more: they make room.
 */
static int add_totals(struct taking *t)
{
	double page = (double)(1ull << t->p->page_shift);
	int fd = bpf_map__fd(t->p->skel->maps.page_sites);
	size_t known = t->n_sites;

	qsort(t->sites, known, sizeof(*t->sites), by_process_and_stack);
	for (size_t i = 0; i < t->totals.n; i++) {
		const struct pages_process *process;
		struct heap_raw_site key = {0}, *site;
		struct page_site_key of;
		uint64_t faults;

		memcpy(&of, t->totals.keys + i * t->totals.key_size, sizeof(of));
		memcpy(&faults, t->totals.vals + i * t->totals.val_size, sizeof(faults));
		process = process_of(t->p, of.tgid);
		if (!process || (uint32_t)process->state.since_ns != of.since) {
			bpf_map_delete_elem(fd, &of);
			continue;
		}
		key.tgid = of.tgid;
		key.stack = of.stack;
		site = known ? bsearch(&key, t->sites, known, sizeof(key), by_process_and_stack)
			     : NULL;
		site = site ? site : add_site(t, of.tgid, of.stack);
		if (!site)
			return -ENOMEM;
		site->total_blocks = (double)faults * t->p->sampling.every;
		site->total_bytes = site->total_blocks * page;
	}
	for (size_t i = 0; i < t->n_sites; i++) {
		struct heap_raw_site *s = &t->sites[i];

		s->total_blocks = fmax(s->total_blocks, s->blocks);
		s->total_bytes = fmax(s->total_bytes, s->bytes);
	}
	return 0;
}

/* The frames, into one block of memory that the reading owns. */
static int add_stacks(struct taking *t, struct heap_reading *r)
{
	uint64_t *memory = malloc((t->n_sites + 1) * STACK_FRAMES * sizeof(*memory)), *less;
	size_t used = 0;

	if (!memory)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_sites; i++) {
		struct heap_raw_site *s = &t->sites[i];

		s->n_pcs = unwinder__stack(t->p->unwinder, s->stack, memory + used, &s->flags);
		used += s->n_pcs;
	}
	less = realloc(memory, (used + 1) * sizeof(*memory));
	memory = less ? less : memory;
	used = 0;
	for (size_t i = 0; i < t->n_sites; i++) {
		t->sites[i].pcs = memory + used;
		used += t->sites[i].n_pcs;
	}
	r->memory = memory;
	return 0;
}

static int add_counters(struct pages *p, struct heap_reading *r)
{
	int cpus = libbpf_num_possible_cpus(), err;
	uint32_t zero = 0;
	struct page_acct *accts;
	struct heap_counters *c = &r->counters;

	if (cpus < 0)
		return cpus;
	accts = calloc((size_t)cpus, sizeof(*accts));
	if (!accts)
		return -ENOMEM;
	err = bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.page_accts), &zero, accts);
	for (int i = 0; !err && i < cpus; i++) {
		r->probe_hits += accts[i].hits;
		c->faults += accts[i].faults;
		c->blocks_lost += accts[i].pages_lost;
		c->forks_lost += accts[i].forks_lost;
		c->sites_lost += accts[i].sites_lost;
		c->processes_ended += accts[i].ended;
	}
	free(accts);
	unwinder__counters(p->unwinder, c);
	r->probe_ns = (double)r->probe_hits * p->ns_a_hit;
	return err;
}

static int take(struct taking *t, struct heap_reading *r)
{
	struct pages *p = t->p;
	double page = (double)(1ull << p->page_shift);
	struct dump pages = {0};
	int err;

	/* The processes last: what belongs to none of them then is an ended one's, not a newer
	 * one's. */
	err = dump__read(&t->totals, p->skel->maps.page_sites);
	err = err ? err : dump__read(&pages, p->skel->maps.pages);
	err = err ? err : pages__list(p);
	if (!err) {
		qsort(p->processes, p->n_processes, sizeof(*p->processes), by_tgid);
		err = make_records(p, &pages, &t->records, &t->n_records);
	}
	dump__free(&pages);
	err = err ? err : take_processes(t);
	if (err)
		return err;
	if (!t->n_alive)
		return -ESRCH;
	err = add_totals(t);
	err = err ? err : add_stacks(t, r);
	err = err ? err : add_counters(p, r);
	if (err)
		return err;
	if (t->n_records > p->max_pages / 2)
		forget_gone(p, t->records, t->n_records);
	r->unattributed_bytes = fmax(0, (t->held - t->attributed) * page);
	r->resident_bytes = t->resident;
	r->sites = t->sites;
	r->n_sites = t->n_sites;
	t->sites = NULL;
	return 0;
}

int pages__take(struct pages *p, struct heap_reading *r)
{
	struct taking t = {.p = p};
	uint64_t began = pages__now_ns();
	int err;

	memset(r, 0, sizeof(*r));
	r->time_ns = began;
	err = take(&t, r);
	free(t.records);
	free(t.sites);
	dump__free(&t.totals);
	if (err)
		heap_reading__free(r);
	p->read_ns = pages__now_ns();
	p->read_cost_ns = p->read_ns - began;
	return err;
}

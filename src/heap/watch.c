/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "heap/names.h"
#include "heap/watch.h"
#include "log.h"
#include "probe/pages.h"
#include "probe/privileges.h"

#define SECOND	   1000000000ull
#define TEND_NS	   100000000ull
#define KEEP_NS	   SECOND	/* a reading this often, for a process that ends all at once, */
#define KEEP_SHARE 20		/* as long as readings take 1/20 of the time at most */
#define FIRST_MARK (SECOND / 2) /* growth is counted from the marks: 0.5 s, 1 s, 2 s, 4 s ... */
/* The trap is paid for every call; a sample every few hundred of small ones adds little to that. */
#define SAMPLE_MEAN (64ull << 10)

struct heap_watch {
	struct heap_watch_opts opts;
	struct heap_target target;
	struct heap *heap; /* one of the two */
	struct pages *pages;
	struct heap_names *names;
	struct heap_reading kept;     /* the last one with something in it */
	struct heap_reading marks[2]; /* earlier, later; time_ns 0: none */
	uint64_t start_ns, next_mark_ns, next_keep_ns;
	double start_unix;
	char stopped[160], allocator[64];
	double sample_bytes;
	bool ended;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec;
}

static int open_allocs(struct heap_watch *w)
{
	struct heap_opts o = {
		.n_pids = w->target.n_pids,
		.host_root = w->opts.host_root,
		.binary = w->opts.binary,
		.budget = w->opts.budget,
	};
	int err;

	err = privileges__check(PRIVILEGES_ALLOCS);
	if (err)
		return err;
	if (!w->opts.exact)
		o.sample_bytes = w->opts.sample_bytes ? w->opts.sample_bytes : SAMPLE_MEAN;
	memcpy(o.pids, w->target.pids, sizeof(o.pids));
	err = heap__open(&w->heap, &o);
	if (err)
		return err;
	w->sample_bytes = (double)o.sample_bytes;
	return 0;
}

static int open_pages(struct heap_watch *w)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), n = w->opts.sample_bytes / page;
	struct pages_opts o = {.n_pids = w->target.n_pids};
	int err;

	if (w->opts.exact || (w->opts.sample_bytes && n < 1))
		n = 1;
	o.sample = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
	memcpy(o.pids, w->target.pids, sizeof(o.pids));
	err = pages__open(&w->pages, &o);
	if (err)
		return err;
	w->sample_bytes = pages__sample_bytes(w->pages);
	return 0;
}

static void log_probe(void *ctx, const char *line)
{
	(void)ctx;
	log_debug("%s", line);
}

int heap_watch__open(struct heap_watch **out, const struct heap_target *t,
		     const struct heap_watch_opts *o)
{
	struct heap_watch *w = calloc(1, sizeof(*w));
	struct timespec ts;
	int err = 0;

	*out = NULL;
	if (!w)
		return log_fail(-ENOMEM, "out of memory");
	w->opts = *o;
	w->target = *t;
	w->names = heap_names__open();
	if (!w->names)
		err = log_fail(-ENOMEM, "out of memory");
	for (size_t i = 0; i < t->n_pids && !err; i++)
		heap_names__learn(w->names, t->pids[i]);
	if (!err)
		err = o->source == HEAP_PAGES ? open_pages(w) : open_allocs(w);
	if (err) {
		heap_watch__close(w);
		return err;
	}
	w->start_ns = now_ns();
	clock_gettime(CLOCK_REALTIME, &ts);
	w->start_unix = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
	if (w->heap) {
		snprintf(w->allocator, sizeof(w->allocator), "%s", heap__allocator(w->heap));
		heap__probes(w->heap, log_probe, NULL);
	}
	*out = w;
	return 0;
}

static void close_probe(struct heap_watch *w)
{
	heap__close(w->heap);
	pages__close(w->pages);
	w->heap = NULL;
	w->pages = NULL;
}

void heap_watch__close(struct heap_watch *w)
{
	if (!w)
		return;
	close_probe(w);
	heap_names__close(w->names);
	heap_reading__free(&w->kept);
	heap_reading__free(&w->marks[0]);
	heap_reading__free(&w->marks[1]);
	free(w);
}

static int read_probe(struct heap_watch *w, struct heap_reading *r)
{
	int err;

	if (w->heap)
		return heap__read(w->heap, r);
	err = pages__read(w->pages, r);
	if (err && err != -ESRCH)
		log_fail(err, "cannot read what is held: %s", strerror(-err));
	return err;
}

/* 0 to go on, 1 when the watch is over, negative errno. */
static int tend(struct heap_watch *w)
{
	int err = w->heap ? heap__tend(w->heap) : pages__tend(w->pages);

	if (err == -ESRCH) {
		w->ended = true;
		return 1;
	}
	if (err)
		return err;
	if (w->heap && heap__stopped(w->heap)[0]) {
		snprintf(w->stopped, sizeof(w->stopped), "%s", heap__stopped(w->heap));
		return 1;
	}
	return 0;
}

/* ---- growth is since a mark in the first half of the watch */

/*
 * All that is held grew since the attach, when nothing was known. So growth is counted from a later
 * moment: the half of the watch, or where its end was not known, between a quarter and the half.
 */
static const struct heap_reading *base_of(const struct heap_watch *w, uint64_t end_ns)
{
	for (int i = 1; i >= 0; i--) {
		uint64_t at = w->marks[i].time_ns;

		if (at && (double)(at - w->start_ns) <= 0.6 * (double)(end_ns - w->start_ns))
			return &w->marks[i];
	}
	return NULL;
}

static void plan_marks(struct heap_watch *w)
{
	uint64_t first = FIRST_MARK;

	/* halves of a duration that is known, doubling as well */
	if (w->opts.seconds > 0) {
		first = (uint64_t)(w->opts.seconds * 1e9);
		do
			first /= 2;
		while (first > 2 * FIRST_MARK);
	}
	w->next_mark_ns = w->start_ns + first;
}

static bool mark_due(const struct heap_watch *w, uint64_t now)
{
	return now >= w->next_mark_ns;
}

/* Takes r over. */
static void mark(struct heap_watch *w, struct heap_reading *r)
{
	heap_reading__free(&w->marks[0]);
	w->marks[0] = w->marks[1];
	w->marks[1] = *r;
	memset(r, 0, sizeof(*r));
	w->next_mark_ns = w->start_ns + 2 * (w->next_mark_ns - w->start_ns);
}

/* It has more than the site for lost blocks, which may be there without any. */
static bool holds(const struct heap_reading *r)
{
	for (size_t i = 0; i < r->n_sites; i++)
		if (r->sites[i].bytes > 0)
			return true;
	return false;
}

/* Readings between: for growth, and for a process that is gone when the watch ends. */
static int keep(struct heap_watch *w)
{
	uint64_t before = now_ns(), cost;
	struct heap_reading r;
	bool due = mark_due(w, before);
	int err;

	/* probe/pages keeps the last reading itself */
	if (!due && (w->pages || before < w->next_keep_ns))
		return 0;
	err = read_probe(w, &r);
	if (err)
		return err == -ESRCH ? 0 : err;
	heap_names__refresh(w->names, &r);
	cost = now_ns() - before;
	w->next_keep_ns = before + (cost * KEEP_SHARE > KEEP_NS ? cost * KEEP_SHARE : KEEP_NS);
	if (due) {
		mark(w, &r);
		return 0;
	}
	/* an empty one may be of processes that ended just now, which tend() has yet to see */
	if (!holds(&r) && holds(&w->kept)) {
		heap_reading__free(&r);
		return 0;
	}
	heap_reading__free(&w->kept);
	w->kept = r;
	return 0;
}

/* ---- profiles */

static void note_end(const struct heap_watch *w, struct heap_profile *p)
{
	const char *who = w->target.n_pids > 1 ? "all processes" : "the process";

	if (p->unread)
		heap_profile__note(p,
				   "%s ended before anything could be read: what %s held is not "
				   "known",
				   who, w->target.n_pids > 1 ? "they" : "it");
	else
		heap_profile__note(p,
				   "%s ended during the watch: this is what was held %.1f s after "
				   "the attach",
				   who, p->duration_s);
}

/* `unread`: there is nothing in r but its time, and perhaps the probe's counters. */
static int make_profile(struct heap_watch *w, const struct heap_reading *r, bool unread,
			struct heap_profile *p)
{
	struct heap_namer namer = heap_names__namer(w->names);

	memset(p, 0, sizeof(*p));
	p->source = w->opts.source;
	p->label = p->source == HEAP_PAGES ? HEAP_BIASED
		   : w->opts.exact	   ? HEAP_EXACT
					   : HEAP_SAMPLED;
	p->sample_bytes = w->sample_bytes;
	memcpy(p->target, w->target.name, sizeof(p->target));
	memcpy(p->allocator, w->allocator, sizeof(p->allocator));
	p->started_unix = w->start_unix;
	p->budget = w->opts.budget;
	memcpy(p->stopped, w->stopped, sizeof(p->stopped));
	if (heap_profile__make(p, r, base_of(w, r->time_ns), w->start_ns, &namer))
		return log_fail(-ENOMEM, "out of memory for the names of %zu stacks", r->n_sites);
	p->unread = unread;
	if (unread && !r->probe_hits)
		p->probe_hits = NAN;
	/* first: there may be no place behind the others */
	if (w->ended)
		note_end(w, p);
	heap_names__note(w->names, p);
	return 0;
}

static int interval(struct heap_watch *w, heap_watch_fn fn, void *ctx)
{
	struct heap_reading r;
	struct heap_profile p;
	int err = read_probe(w, &r);

	if (err)
		return err == -ESRCH ? 0 : err;
	heap_names__refresh(w->names, &r);
	err = make_profile(w, &r, false, &p);
	heap_reading__free(&r);
	if (err)
		return err;
	err = fn(ctx, &p, false);
	heap_profile__free(&p);
	return err;
}

/*
 * What an ended process held is gone from the probe's tables: the last reading has it. False: there
 * is none. `read`: what is in r came from the probe.
 */
static bool choose_last(struct heap_watch *w, struct heap_reading *r, bool read)
{
	struct heap_reading *candidates[] = {&w->kept, &w->marks[1]}, *best = NULL;

	/* probe/pages keeps the last reading itself */
	if (!w->ended || holds(r) || (w->pages && read))
		return true;
	for (int i = 0; i < 2; i++)
		if (holds(candidates[i]) && (!best || candidates[i]->time_ns > best->time_ns))
			best = candidates[i];
	/* or one of a process that lived, and held nothing */
	for (int i = 0; i < 2 && !(best && holds(best)); i++)
		if (candidates[i]->resident_bytes > 0 &&
		    (!best || candidates[i]->time_ns > best->time_ns))
			best = candidates[i];
	if (!best)
		return false;
	if (read) {
		best->counters = r->counters;
		best->probe_hits = r->probe_hits;
		best->probe_ns = r->probe_ns;
	}
	heap_reading__free(r);
	*r = *best;
	memset(best, 0, sizeof(*best));
	return true;
}

static int finish(struct heap_watch *w, heap_watch_fn fn, void *ctx)
{
	struct heap_reading r;
	struct heap_profile p;
	uint64_t end = now_ns();
	bool read = true, known;
	int err;

	heap_names__refresh(w->names, NULL);
	err = read_probe(w, &r);
	if (err == -ESRCH) {
		w->ended = true;
		memset(&r, 0, sizeof(r));
		r.time_ns = end;
		r.unattributed_bytes = r.resident_bytes = r.probe_ns = NAN;
		read = false;
		err = 0;
	}
	if (err)
		return err;
	if (!w->ended)
		heap_names__refresh(w->names, &r);
	known = choose_last(w, &r, read);
	if (!known)
		r.resident_bytes = NAN;
	close_probe(w);
	err = make_profile(w, &r, !known, &p);
	heap_reading__free(&r);
	if (err)
		return err;
	err = fn(ctx, &p, true);
	heap_profile__free(&p);
	return err;
}

static void sleep_until(uint64_t at)
{
	struct timespec ts = {.tv_sec = (time_t)(at / SECOND), .tv_nsec = (long)(at % SECOND)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

int heap_watch__run(struct heap_watch *w, const volatile sig_atomic_t *stop, heap_watch_fn fn,
		    void *ctx)
{
	uint64_t step = (uint64_t)(w->opts.interval * 1e9), next = w->start_ns + step, now, at;
	uint64_t end =
		w->opts.seconds > 0 ? w->start_ns + (uint64_t)(w->opts.seconds * 1e9) : UINT64_MAX;
	int rc = 0, err;

	plan_marks(w);
	w->next_keep_ns = w->start_ns + KEEP_NS / 4;
	while (!rc && !*stop && (now = now_ns()) < end) {
		at = now + TEND_NS < end ? now + TEND_NS : end;
		at = w->next_mark_ns < at ? w->next_mark_ns : at;
		at = step && next < at ? next : at;
		sleep_until(at);
		if (*stop)
			break;
		rc = tend(w);
		if (!rc && now_ns() < end)
			rc = keep(w);
		if (!rc && step && now_ns() >= next && now_ns() < end) {
			rc = interval(w, fn, ctx);
			next += step;
		}
	}
	/* or did they end since? */
	if (!rc)
		tend(w);
	/* what failed may have been one output: the others get the whole watch */
	err = finish(w, fn, ctx);
	return rc < 0 ? rc : err;
}

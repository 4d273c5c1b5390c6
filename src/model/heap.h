/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who holds the memory of a process: readings of bpf/heap.bpf.c and bpf/pages.bpf.c as numbers by
 * stack (heap_reading), and with names (heap_profile), which is all that renderers see.
 */
#ifndef HOPSCOPE_MODEL_HEAP_H
#define HOPSCOPE_MODEL_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum heap_source { HEAP_ALLOCS = 1, HEAP_PAGES = 2 };

/* What a site's bytes are. */
enum heap_label {
	HEAP_EXACT = 1,
	HEAP_SAMPLED = 2, /* unbiased, with a standard error */
	HEAP_BIASED =
		3, /* the size is right; small objects are blamed on whoever extended the heap */
};

/* Cumulative since the attach; what is held is a gauge. By process and stack. */
struct heap_raw_site {
	uint32_t tgid;
	uint32_t flags;	     /* enum stack_flag (stack_walk.h) */
	uint64_t stack;	     /* id; 0: stacks that were lost */
	const uint64_t *pcs; /* innermost first; owned by the reading */
	size_t n_pcs;
	double bytes, blocks;		  /* held now */
	double bytes_error;		  /* standard error; 0 when exact */
	double total_bytes, total_blocks; /* allocated since the attach; pages: faulted in */
	uint64_t oldest_ns, youngest_ns;  /* birth of what is held, CLOCK_MONOTONIC; 0: not known */
};

/* X(name, what it counts): everything lost or not attributable, each printed when not 0. */
#define HEAP_COUNTERS(X)                                                                    \
	X(allocs, "allocations seen")                                                       \
	X(frees, "frees seen")                                                              \
	X(frees_before, "frees of blocks allocated before the attach, or not sampled")      \
	X(failed, "allocations that failed")                                                \
	X(missed_frees, "blocks whose address came again without a free in between")        \
	X(blocks_lost, "blocks not followed: the table was full")                           \
	X(sites_lost, "blocks whose site was not kept: the table was full")                 \
	X(stacks_lost, "stacks not kept: the table was full")                               \
	X(stacks_broken, "stacks that could not be walked to their end")                    \
	X(stacks_truncated, "stacks deeper than what is kept")                              \
	X(pending_lost, "calls not followed: too many at once, or their return was missed") \
	X(processes_ended,                                                                  \
	  "processes that ended or ran another program; what they held is dropped")         \
	X(forks_lost, "children not followed, or not with all that they were forked with")  \
	X(faults, "page faults on the pages that are followed")

struct heap_counters {
#define HEAP_COUNTER_FIELD(name, what) uint64_t name;
	HEAP_COUNTERS(HEAP_COUNTER_FIELD)
#undef HEAP_COUNTER_FIELD
};

struct heap_reading {
	uint64_t time_ns;
	struct heap_raw_site *sites;
	size_t n_sites;
	struct heap_counters counters;
	double unattributed_bytes; /* resident (pages) but from before the attach; NaN: not known */
	double resident_bytes;	   /* RSS of the processes; NaN: not known */
	uint64_t probe_hits;	   /* times a probe ran */
	double probe_ns;	   /* measured cost of all of them; NaN: not known */
	void *memory;		   /* what pcs point into */
};

void heap_reading__free(struct heap_reading *r);

#define HEAP_UNKNOWN "[unknown]"

struct heap_frame {
	const char *function; /* never NULL; HEAP_UNKNOWN where no file tells */
	const char *module;   /* path in the process's view, "" when not known, "[deleted] ..." */
	uint64_t address;     /* in the process */
	uint64_t offset;      /* in the function (or in the module, for [unknown]) */
	const char *source;   /* file of the source, or NULL */
	unsigned int line;
};

struct heap_site {
	uint32_t tgid;
	const char *comm;
	uint32_t flags;
	const struct heap_frame *frames; /* innermost first, allocator's own frames included */
	size_t n_frames;
	double bytes, blocks, bytes_error;
	double grown_bytes, grown_blocks; /* over the profile's grown_s */
	double total_bytes, total_blocks;
	double age_s; /* of the oldest block held; NaN: not known */
};

#define HEAP_MAX_NOTES 16

struct heap_profile {
	enum heap_source source;
	enum heap_label label;
	double sample_bytes; /* mean bytes between samples; 0: exact. Pages: one in N pages, in
				bytes */
	char target[160];    /* "redis-server[1234]", "container web" */
	char allocator[64];
	double started_unix; /* seconds */
	double duration_s;   /* of the watch */
	/* What grown_* covers: the later part of the watch, as what is held grew from nothing over
	 * all of it; or the time between the two profiles of a diff. NaN: not known. */
	double grown_s;
	struct heap_site *sites; /* largest first */
	size_t n_sites;
	struct heap_counters counters;
	double unattributed_bytes, resident_bytes;
	double probe_hits, probe_ns;
	double budget;			   /* share of one core, 0: none was set */
	char stopped[160];		   /* why the probes were detached early; "" */
	const char *notes[HEAP_MAX_NOTES]; /* what else the reader must know, a sentence each */
	size_t n_notes, notes_lost;	   /* lost: had no place */
	bool unread;  /* there was no reading: what is held is not known, it is not 0 */
	void *memory; /* arena of strings and frames */
};

/* Gives a reading its names. Strings must live until the profile is made, which copies them. */
struct heap_namer {
	void *ctx;
	void (*frame)(void *ctx, uint32_t tgid, uint64_t pc, bool is_return,
		      struct heap_frame *out);
	const char *(*comm)(void *ctx, uint32_t tgid);
};

/*
 * Fills in sites, counters and totals from `now`, growth since `base` (NULL: since the attach,
 * started_ns); the other fields of *p stay as they are. Sites that differ neither in process nor
 * functions nor lines become one. 0 or -ENOMEM.
 */
int heap_profile__make(struct heap_profile *p, const struct heap_reading *now,
		       const struct heap_reading *base, uint64_t started_ns,
		       const struct heap_namer *namer);

/*
 * What grew from a to b, by functions and process name: bytes and blocks are those held in b. 0,
 * -ENOMEM, or -EINVAL: one is of pages, the other of allocations.
 */
int heap_profile__diff(struct heap_profile *p, const struct heap_profile *a,
		       const struct heap_profile *b);

/* Sites, notes and their memory; the header stays. */
void heap_profile__free(struct heap_profile *p);

/* Adds a note once; what does not fit is counted in notes_lost. */
void heap_profile__note(struct heap_profile *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

enum heap_sort { HEAP_SORT_BYTES = 1, HEAP_SORT_GROWN, HEAP_SORT_BLOCKS, HEAP_SORT_AGE };

/* Largest first; equal ones by their names, so that the order is always the same. */
void heap_profile__sort(struct heap_profile *p, enum heap_sort by);

struct heap_total {
	double bytes, blocks, bytes_error, grown_bytes, grown_blocks;
	double changed_bytes; /* what grew and what shrank, both counted as positive */
	size_t processes;     /* that have a site */
};

/* All but `processes` are NaN where nothing was read. */
void heap_profile__total(const struct heap_profile *p, struct heap_total *t);

/* fn for each counter that is not 0 and says that figures are less than they should be. */
typedef void (*heap_loss_fn)(void *ctx, uint64_t n, const char *what);
void heap_counters__losses(const struct heap_counters *c, heap_loss_fn fn, void *ctx);

/* The first frame that is not the allocator's own (or a runtime's, or memset's): what to name. */
size_t heap_site__interesting(const struct heap_site *s);

/*
 * The sites of p without the frames before the interesting one, those that became equal put
 * together. 0 or -ENOMEM; the rest of *out is as in p.
 */
int heap_profile__condense(struct heap_profile *out, const struct heap_profile *p);

bool heap_frame__unknown(const struct heap_frame *f);
/* Last component of the module's path; "" when not known. */
const char *heap_frame__module(const struct heap_frame *f);

/* "allocs", "pages"; "exact", "sampled", "biased". And back; 0: none of them. */
const char *heap_source__name(enum heap_source s);
const char *heap_label__name(enum heap_label l);
enum heap_source heap_source__from_name(const char *name);
enum heap_label heap_label__from_name(const char *name);

#endif

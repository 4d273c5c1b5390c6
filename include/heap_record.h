/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records shared by bpf/heap.bpf.c and src/probe/heap*.c: calls, blocks, sites of allocators. */
#ifndef HOPSCOPE_HEAP_RECORD_H
#define HOPSCOPE_HEAP_RECORD_H

#ifndef __bpf__
#include <stdint.h>
#include <linux/types.h>
#endif

/* What a probed function does, and so which of its arguments are read. */
enum heap_role {
	HEAP_ALLOC = 1,	       /* (.. size ..): `arg` says which argument; the block is returned */
	HEAP_CALLOC = 2,       /* (n, size) */
	HEAP_REALLOC = 3,      /* (block, size) */
	HEAP_REALLOCARRAY = 4, /* (block, n, size) */
	HEAP_POSIX = 5,	       /* (&block, alignment, size); returns 0 when block was written */
	HEAP_FREE = 6,	       /* (block) */
	HEAP_CALIBRATE = 7,    /* our own function, to measure what a probe costs */
};

/*
 * The cookie of a probe: all that the programs know of the function and of the process. Probes are
 * of one life of one process (below), so that no program has to look it up.
 */
#define HEAP_COOKIE(role, arg, stepped, throws, jumps, func)                                \
	((__u64)(role) | (__u64)(arg) << 4 | (__u64)(stepped) << 6 | (__u64)(throws) << 7 | \
	 (__u64)(jumps) << 8 | (__u64)(func) << 16)
#define HEAP_COOKIE_PLACE(off, pushed, life) \
	((__u64)(off) << 32 | (__u64)((pushed) / 8) << 9 | (__u64)(life) << 40)
#define HEAP_COOKIE_ROLE(c)    ((__u32)(c)&15)
#define HEAP_COOKIE_ARG(c)     ((__u32)(c) >> 4 & 3)
#define HEAP_COOKIE_STEPPED(c) ((__u32)(c) >> 6 & 1)
#define HEAP_COOKIE_THROWS(c)  ((__u32)(c) >> 7 & 1)
#define HEAP_COOKIE_JUMPS(c)   ((__u32)(c) >> 8 & 1) /* it may end by a jump to another function */
#define HEAP_COOKIE_PUSHED(c)  (((__u32)(c) >> 9 & 127) * 8) /* bytes above the return address */
#define HEAP_COOKIE_FUNC(c)    ((__u32)((c) >> 16) & 0xffff)
#define HEAP_COOKIE_OFF(c)     ((__u32)((c) >> 32) & 0xff) /* probe's, from the entry */
#define HEAP_COOKIE_LIFE(c)    ((__u32)((c) >> 40))

#define HEAP_MAX_PUSHED 1016
#define HEAP_MAX_OFF	255
#define HEAP_MAX_LIFE	0xffffffu

/* Probes by what their trap costs. */
enum heap_class {
	HEAP_EMULATED = 0, /* on an instruction that the kernel emulates */
	HEAP_STEPPED = 1,  /* on one that it has to single-step */
	HEAP_RETURN = 2,
	HEAP_CLASSES = 3,
};

/*
 * A life of a process: its number names everything that is known of one program in one process, so
 * that neither a reused pid nor an exec inherits anything. 0: none.
 */
struct heap_process {
	__u32 life;
	__u32 asked;	  /* 0: came by fork, and leaves by exec */
	__u32 parent;	  /* life it was forked from; 0: none */
	__u32 forks;	  /* of this process so far; blocks note it */
	__u64 trampoline; /* address that return probes put in the place of return addresses */
};

#define HEAP_MAX_PROCESSES 1024
#define HEAP_MAX_HEIRS	   4 /* of one process at a time */

struct heap_heir_key {
	__u32 parent; /* life */
	__u32 slot;
};

struct heap_heir {
	__u32 life;
	__u32 cut; /* `forks` of the parent then: it inherits what is not younger */
};

struct heap_block_key {
	__u64 address;
	__u32 life;
	__u32 pad;
};

struct heap_block {
	__u64 size; /* as asked for */
	__u64 born; /* CLOCK_MONOTONIC, to some 10 ms */
	__u32 site; /* HEAP_TOMBSTONE: freed before it was inherited */
	__u32 forks;
};

#define HEAP_TOMBSTONE 0xffffffffu

_Static_assert(sizeof(struct heap_block_key) == 16, "heap block key");
_Static_assert(sizeof(struct heap_block) == 24, "heap block");

struct heap_site_key {
	__u64 stack;
	__u32 life;
	__u32 func;
};

/* `sites` is an array that user space maps; 0 takes what found no place. */
struct heap_site_val {
	struct heap_site_key key;
	__u64 pc; /* entry of the allocator's function */
	__u64 used;
	__u64 bytes, blocks; /* held now; of samples when sampling */
	__u64 total_bytes;   /* rescaled when sampling */
	__u64 total_blocks;  /* times HEAP_BLOCK_UNIT */
};

#define HEAP_BLOCK_UNIT 256

_Static_assert(sizeof(struct heap_site_val) == 64, "heap site");

/* Counters of a CPU. Atomic: a program can be preempted by another on its CPU. */
struct heap_acct {
	__u64 hits[HEAP_CLASSES];
	__u64 timed[HEAP_CLASSES]; /* hits whose program was timed, one in HEAP_TIMED */
	__u64 timed_ns[HEAP_CLASSES];
	__u64 allocs, freed, frees_before, failed;
	__u64 missed_frees, blocks_lost, sites_lost, pending_lost;
	__u64 processes_ended, forks_lost;
	__u64 pad[5];
};

#define HEAP_TIMED     64
#define HEAP_TIMED_MAX 20000 /* ns: longer than any program runs */

_Static_assert(sizeof(struct heap_acct) == 192, "heap accounting");

/* Code of probed functions in a process: a call from there is a call of the allocator itself. */
#define HEAP_MAX_RANGES 64

struct heap_range {
	__u64 start, end;
};

struct heap_ranges {
	__u64 n;
	struct heap_range range[HEAP_MAX_RANGES];
};

#endif

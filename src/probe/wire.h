/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wire probe: cgroup_skb on the root of cgroup v2, framers and histograms in the kernel. All of
 * it hangs on file descriptors of this process: a crash, `kill -9` too, leaves nothing attached.
 */
#ifndef HOPSCOPE_PROBE_WIRE_H
#define HOPSCOPE_PROBE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/snapshot.h"
#include "probe/cgroup2.h"

#define WIRE_MAX_PORTS	16
#define WIRE_MAX_FILTER 16

struct wire_opts {
	uint32_t max_routes;   /* 0: 256. Beyond it: "(other)" */
	uint32_t max_series;   /* 0: 512 */
	uint32_t max_overflow; /* 0: 65536 exchanges beyond the sockets' own tables */
	uint64_t timeout_ns;   /* 0: 5 s. An exchange older than this is unanswered */
	uint64_t slow_ns;      /* 0: off. An exchange as slow goes to the ring buffer */
	uint32_t sample;       /* 0: off. One exchange in N goes to the ring buffer */
	uint32_t protos;       /* bits (1 << enum wire_proto); 0: all */
	/* Filters; an empty list passes everything. */
	uint32_t pids[WIRE_MAX_FILTER];
	size_t n_pids;
	char comms[WIRE_MAX_FILTER][COMM_LEN];
	size_t n_comms;
	uint16_t ports[WIRE_MAX_PORTS]; /* local or remote; also claims the port: see REASON_UNKNOWN
					 */
	size_t n_ports;
	uint64_t cgroups[WIRE_MAX_FILTER];	 /* cgroup v2 ids, descendants included */
	uint32_t cgroup_levels[WIRE_MAX_FILTER]; /* and their depths: cgroup2__find() */
	size_t n_cgroups;
	/*
	 * Names as container__matches() and container__in_pod() take them; the cgroup's first
	 * segments may be passed over until its name is known (REASON_OWNER). The strings must
	 * stay.
	 */
	const char *containers[WIRE_MAX_FILTER];
	size_t n_containers;
	const char *pods[WIRE_MAX_FILTER];
	size_t n_pods;
	bool tree;	       /* link calls to the requests that caused them */
	bool hops;	       /* record which sockets each exchange passes: include/hop.h */
	bool deliveries;       /* with hops: also messages that want no answer */
	bool sched;	       /* with hops: how long readers waited for a processor */
	uint32_t hop_sample;   /* 0, 1: every exchange; N: one in N, the same on every socket */
	uint32_t hop_table;    /* 0: 32768 exchanges in flight, else a power of two */
	uint32_t hop_paths;    /* 0: 128 */
	bool names;	       /* call cgroups by their containers' names, where known */
	const char *host_root; /* where the runtimes' files are; NULL: "/" */
	bool tls; /* read the text of TLS connections: probes on their libraries' functions */
};

struct wire;

/*
 * Loads the programs. Negative errno after a clear message (log_fail) when not permitted or not
 * possible here. *out is NULL then. wire__close() frees, detaches, and accepts NULL.
 */
int wire__open(struct wire **out, const struct wire_opts *opts);
/* Attach and detach may alternate (bench --ab); counters go on. 0 or negative errno. */
int wire__attach(struct wire *w);
void wire__detach(struct wire *w);
/* Turns kernel BPF statistics on or off: they cost two clock reads a run. Negative errno. */
int wire__statistics(struct wire *w, bool on);
void wire__close(struct wire *w);

/*
 * Sweeps timed-out exchanges, learns socket owners, and reads everything, cumulative since
 * wire__open(). The caller frees with snapshot__free(). 0 or negative errno.
 */
int wire__read(struct wire *w, struct snapshot *s);

/*
 * Looks up the names of cgroups that came up since the last call or reading: a container may be
 * gone when its interval is read, and one that is filtered for waits for it. With `tls`, looks for
 * programs that began. Costs next to nothing when there is none. Sweeps every two seconds.
 */
void wire__notice(struct wire *w);

/* Hands over exemplars that wait in the ring. Never blocks. Number handed over or negative errno.
 */
typedef void (*wire_exemplar_fn)(void *ctx, const struct wire_exemplar *e);
int wire__drain(struct wire *w, wire_exemplar_fn fn, void *ctx);

/*
 * With `hops`: slow and sampled exchanges that wait in the ring; names filled in. Never blocks.
 * Number handed over or negative errno. From then on `slow_ns` is what makes an exchange slow,
 * until it is called again (0: only samples; UINT64_MAX: as before), and one in `sample` (0: none)
 * comes, too.
 */
typedef void (*wire_timeline_fn)(void *ctx, const struct hops_timeline *t);
int wire__timelines(struct wire *w, uint64_t slow_ns, uint32_t sample, wire_timeline_fn fn,
		    void *ctx);

/* With `tls`: how libraries are probed, and where; a line for people. "" without. */
void wire__tls_found(const struct wire *w, char *buf, size_t size);

/* Route name of a series key from an exemplar ("(other)" for 0). Valid until the next call. */
const char *wire__route_name(struct wire *w, uint32_t route);

#endif

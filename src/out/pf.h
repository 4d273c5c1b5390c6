/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The report of a port-forward run, section by section, and its figures. Internal to src/out. */
#ifndef HOPSCOPE_OUT_PF_H
#define HOPSCOPE_OUT_PF_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "model/estimate.h"
#include "out/text.h"

void pf__report(struct text *out, const json_t *session);

/* Sections. */
void pf__summary(struct text *out, const json_t *session);
void pf__ways(struct text *out, const json_t *session);
void pf__base(struct text *out, const json_t *session);
void pf__payload(struct text *out, const json_t *session);
void pf__concurrency(struct text *out, const json_t *session);
void pf__pool(struct text *out, const json_t *session);
void pf__parts(struct text *out, const json_t *session);
void pf__cpu(struct text *out, const json_t *session);
void pf__residence(struct text *out, const json_t *session);
void pf__waterfalls(struct text *out, const json_t *session);
void pf__tcp(struct text *out, const json_t *session);
void pf__failures(struct text *out, const json_t *session);
void pf__method(struct text *out, const json_t *session);

/* A point of the sweeps. NaN: any. */
struct pf_at {
	const char *workload; /* "nats", "http" */
	double payload, concurrency, pool, tunnels;
};

extern const char *const pf_workloads[2]; /* "nats", "http" */
/* "NATS", "HTTP". */
const char *pf__workload_title(const char *workload);
/* The base of a workload; false: the session has none. */
bool pf__base_at(const json_t *session, const char *workload, struct pf_at *at);
/* Moves it along a sweep: "payload", "concurrency", "pool". */
void pf__move(struct pf_at *at, const json_t *session, const char *sweep, double v);
/* A way at a point; NULL: was not measured. */
const json_t *pf__cell(const json_t *session, const char *way, const struct pf_at *at);
/* The name of way number i; NULL: there are not so many. */
const char *pf__way(const json_t *session, size_t i);
const json_t *pf__way_object(const json_t *session, const char *name);
/* "added" of a cell; none for direct, and where more failed than the scenario takes. */
struct estimate pf__added(const json_t *session, const json_t *cell, const char *key);
/* Why the numbers of a cell must not be read; "" when they may. */
bool pf__is_broken(const json_t *session, const json_t *cell);
/* The analysis of a way under a workload: "payload", "concurrency", "tunnels". NULL: none. */
const json_t *pf__analysis(const json_t *session, const char *way, const char *workload,
			   const char *key);
/* Whether anything was seen hop by hop. */
bool pf__has_hops(const json_t *session);
/* The relays of a cell's residence, summed: there, back, of these queued and in the run queue. */
struct pf_residence {
	double there, back, queue, run_queue, opaque, beyond, network, mean;
	size_t relays; /* that are seen */
};
/* false: not known. */
bool pf__relays_of(const json_t *cell, struct pf_residence *r);

/* Adds "16 B". */
void pf__add_bytes(struct text *out, double bytes);

#endif

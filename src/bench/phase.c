// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/phase.h"
#include "log.h"
#include "stack/clock.h"

#define PROGRESS_NS (5 * NS_PER_S)

const char *phase__label(const struct phase *p, bool with_kind, char *buf, size_t size)
{
	if (p->kind == PHASE_RPC)
		snprintf(buf, size, "%s%s loop, %s", with_kind ? "RPC " : "",
			 p->mode == MODE_OPEN ? "open" : "closed", path__label(p->path));
	else
		snprintf(buf, size, "%s%s", with_kind ? "events, " : "", path__label(p->path));
	return buf;
}

struct phase *phase__add(struct bench *b, enum phase_kind kind, enum path path, enum rpc_mode mode)
{
	size_t n = (size_t)b->scenario->rounds;
	struct phase *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->kind = kind;
	p->path = path;
	p->mode = mode;
	if (kind == PHASE_RPC)
		snprintf(p->name, sizeof(p->name), "rpc %s %s",
			 mode == MODE_OPEN ? "open" : "closed", path__label(path));
	else
		snprintf(p->name, sizeof(p->name), "%s %s", kind == PHASE_HOPS ? "hops" : "events",
			 path__label(path));
	p->errors = json_object();
	p->missing_ids = json_array();
	p->rate = calloc(n, sizeof(double));
	p->p50 = calloc(n, sizeof(double));
	p->p99 = calloc(n, sizeof(double));
	if (!p->errors || !p->missing_ids || !p->rate || !p->p50 || !p->p99 ||
	    b->n_phases == sizeof(b->phases) / sizeof(b->phases[0])) {
		phase__free(p);
		return NULL;
	}
	b->phases[b->n_phases++] = p;
	return p;
}

void phase__free(struct phase *p)
{
	json_decref(p->errors);
	json_decref(p->missing_ids);
	waterfalls__free(&p->ways);
	free(p->rate);
	free(p->p50);
	free(p->p99);
	free(p);
}

struct phase *phase__find(const struct bench *b, enum phase_kind kind, enum path path,
			  enum rpc_mode mode)
{
	size_t i;

	for (i = 0; i < b->n_phases; i++) {
		struct phase *p = b->phases[i];

		if (p->kind == kind && p->path == path && (kind != PHASE_RPC || p->mode == mode))
			return p;
	}
	return NULL;
}

void phase__invalidate(struct phase *p, const char *fmt, ...)
{
	va_list args;

	if (p->invalid[0])
		return;
	va_start(args, fmt);
	vsnprintf(p->invalid, sizeof(p->invalid), fmt, args);
	va_end(args);
	log_warn("%s: %s", p->name, p->invalid);
}

struct estimate phase__rate(const struct phase *p)
{
	struct estimate e = p->rounds ? estimate__mean(p->rate, p->rounds) : estimate__none();

	/* Student's interval of few rounds may reach below what a rate can be. */
	if (e.lo < 0)
		e.lo = 0;
	return e;
}

static int round_on(struct bench *b, struct phase *p, uint64_t units, round_fn fn)
{
	uint64_t attempted = p->attempted, failed = p->failed;
	int err = fn(b, p, units);

	if (err)
		return err;
	p->rounds++;
	if (b->deaths)
		phase__invalidate(p, "%s: what was measured is not what the scenario names",
				  b->course.incomplete);
	attempted = p->attempted - attempted;
	failed = p->failed - failed;
	/* Something has died, and what is left does not carry the load: more rounds say no more. */
	if (b->deaths && 2 * failed > attempted) {
		log_warn("%s: %llu of %llu failed in this round: the run ends here", p->name,
			 (unsigned long long)failed, (unsigned long long)attempted);
		return -ECANCELED;
	}
	return 0;
}

int rounds__run(struct bench *b, const char *what, struct phase *const *phases, size_t n,
		uint64_t total, round_fn fn)
{
	uint64_t rounds = (uint64_t)b->scenario->rounds;
	uint64_t told = clock__now();
	uint64_t round, k;
	int err = 0;

	log_info("[%5.1f s] %s: %llu rounds on %zu path%s",
		 (double)(told - b->course.started_ns) / 1e9, what, (unsigned long long)rounds, n,
		 n == 1 ? "" : "s");
	for (round = 0; round < rounds && !err; round++) {
		uint64_t units = total / rounds + (round < total % rounds);

		if (clock__now() - told > PROGRESS_NS) {
			told = clock__now();
			log_info("[%5.1f s] %s: round %llu of %llu",
				 (double)(told - b->course.started_ns) / 1e9, what,
				 (unsigned long long)round + 1, (unsigned long long)rounds);
		}
		for (k = 0; k < n && !err; k++)
			err = round_on(b, phases[round % 2 ? n - 1 - k : k], units, fn);
	}
	if (err && err != -EINTR) {
		course__incomplete(&b->course, "%s could not be finished", what);
		err = -ECANCELED;
	}
	return err;
}

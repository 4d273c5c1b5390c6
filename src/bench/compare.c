// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the forwarder costs: the two paths of each phase, round by round. */
#include <math.h>
#include <stdio.h>

#include "bench/phase.h"

static double mean(const double *v, size_t n)
{
	return estimate__mean(v, n).value;
}

static void add(struct bench *b, const char *what, const struct phase *direct, const double *base,
		const double *with, size_t n, bool percent)
{
	const char *loop = direct->kind == PHASE_EVENTS ? ""
			   : direct->mode == MODE_OPEN	? " (open loop)"
							: " (closed loop)";
	struct difference *d;

	if (b->n_differences == MAX_DIFFERENCES)
		return;
	d = &b->differences[b->n_differences++];
	snprintf(d->name, sizeof(d->name), "forwarder, %s%s", what, loop);
	d->unit = percent ? "%" : "ns";
	d->estimate = percent ? estimate__percent(base, with, n) : estimate__paired(base, with, n);
	d->base_ns = percent ? NAN : mean(base, n);
}

static void compare(struct bench *b, enum phase_kind kind, enum rpc_mode mode)
{
	const struct phase *direct = phase__find(b, kind, PATH_DIRECT, mode);
	const struct phase *forwarded = phase__find(b, kind, PATH_FORWARDED, mode);
	size_t n;

	if (!direct || !forwarded)
		return;
	n = direct->rounds < forwarded->rounds ? direct->rounds : forwarded->rounds;
	/* One pair has no interval, and a phase that is not valid has no difference. */
	if (n < 2 || direct->invalid[0] || forwarded->invalid[0])
		return;
	if (kind == PHASE_EVENTS) {
		add(b, "events rate", direct, direct->rate, forwarded->rate, n, true);
		return;
	}
	add(b, "RPC p50", direct, direct->p50, forwarded->p50, n, false);
	add(b, "RPC p99", direct, direct->p99, forwarded->p99, n, false);
	/* The open loop's rate is what was asked for. */
	if (mode == MODE_CLOSED)
		add(b, "RPC rate", direct, direct->rate, forwarded->rate, n, true);
}

void bench__compare(struct bench *b)
{
	compare(b, PHASE_RPC, MODE_CLOSED);
	compare(b, PHASE_RPC, MODE_OPEN);
	compare(b, PHASE_EVENTS, MODE_ANY);
}

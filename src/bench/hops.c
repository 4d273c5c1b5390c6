// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/hops.h"
#include "log.h"
#include "stack/clock.h"

#define SETTLE_MS 5
#define MIN_CALLS 20
#define MAX_CALLS 100000

bool hop_phase__is_wanted(const struct course *c, double seconds)
{
	return seconds > 0 && !c->opts->no_probe && !c->incomplete[0];
}

bool hop_phase__attach(struct course *c, struct wire_opts *opts, int64_t timeout_ms)
{
	wire__close(c->wire);
	c->wire = NULL;
	opts->hops = true;
	opts->sched = true;
	if (!course__open_probe(c, opts, timeout_ms) && !wire__attach(c->wire))
		return true;
	log_warn("the load is not followed hop by hop: the probe for it could not be attached");
	wire__close(c->wire);
	c->wire = NULL;
	return false;
}

uint64_t hop_phase__calls(double rate, double seconds)
{
	double n = isnan(rate) ? 0 : rate * seconds;

	return (uint64_t)fmin(fmax(n, MIN_CALLS), MAX_CALLS);
}

void hop_phase__settle(void)
{
	clock__sleep_ms(SETTLE_MS);
}

/* What the services ask each other, and what is served over TLS, begins elsewhere. */
static void keep_ours(struct hops *h, uint64_t load_cgroup)
{
	size_t i, n = 0;

	h->count[HOP_COMPLETE] = h->count[HOP_DELIVERED] = 0;
	for (i = 0; i < h->n_paths; i++) {
		struct hops_path *p = &h->paths[i];

		if (!p->key.n || p->span[0].node.key.cgroup != load_cgroup) {
			free(p->span);
			continue;
		}
		h->count[p->key.one_way ? HOP_DELIVERED : HOP_COMPLETE] += p->count;
		h->paths[n++] = *p;
	}
	h->n_paths = n;
}

int hop_phase__take(struct waterfalls *ways, struct snapshot *delta, uint64_t load_cgroup)
{
	keep_ours(&delta->hops, load_cgroup);
	return waterfalls__build(ways, &delta->hops, NULL, NULL);
}

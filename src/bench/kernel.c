// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <string.h>

#include "bench/hops.h"
#include "bench/kernel.h"
#include "bench/phase.h"

void kernel__begin(struct bench *b, struct phase *p, struct kernel_round *k)
{
	memset(k, 0, sizeof(*k));
	if (!b->course.wire)
		return;
	k->open = !wire__read(b->course.wire, &k->before);
	if (!k->open)
		phase__invalidate(p, "the probe could not be read");
}

void kernel__drop(struct kernel_round *k)
{
	if (k->open)
		snapshot__free(&k->before);
	k->open = false;
}

/* An exchange that the load workers opened on these routes and that was answered, well or not. */
static bool counts(const struct bench *b, const struct snapshot_series *s, const char *prefix)
{
	return s->key.role == ROLE_CLIENT && s->key.cgroup == b->load.id &&
	       (s->key.status == STATUS_OK || s->key.status == STATUS_ERROR) &&
	       (!strncmp(s->route, prefix, strlen(prefix)) || !strcmp(s->route, "(other)"));
}

void kernel__end(struct bench *b, struct phase *p, struct kernel_round *k, const char *prefix,
		 uint64_t least, uint64_t most)
{
	struct snapshot now = {0}, delta = {0};
	uint64_t seen = 0;
	size_t i;

	if (!k->open)
		return;
	if (p->kind == PHASE_HOPS)
		hop_phase__settle();
	if (wire__read(b->course.wire, &now) || snapshot__delta(&delta, &now, &k->before)) {
		phase__invalidate(p, "the probe could not be read");
		goto out;
	}
	for (i = 0; i < delta.n_series; i++) {
		const struct snapshot_series *s = &delta.series[i];

		if (!counts(b, s, prefix))
			continue;
		seen += s->count;
		hist__merge(&p->kernel, &s->hist);
	}
	if (p->kind == PHASE_HOPS && hop_phase__take(&p->ways, &delta, b->load.id))
		phase__invalidate(p, "out of memory");
	p->has_kernel = true;
	p->kernel_count += seen;
	if (seen < least || seen > most)
		phase__invalidate(p,
				  "in round %u the kernel saw %" PRIu64
				  " answered exchanges and the client %" PRIu64 "%s",
				  p->rounds + 1, seen, least,
				  most > least ? " and some it gave up" : "");
out:
	snapshot__free(&delta);
	snapshot__free(&now);
	kernel__drop(k);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Paths of exchanges: readings of the probe and their differences. */
#include "model/hops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/hist.h"

void hops__free(struct hops *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->n_paths; i++)
		free(h->paths[i].span);
	free(h->paths);
	h->paths = NULL;
	h->n_paths = 0;
}

static uint64_t grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

/* The path is mostly where it was: look there first. */
static const struct hops_path *find(const struct hops *h, const struct hop_path_key *key,
				    size_t hint)
{
	if (hint < h->n_paths && !memcmp(&h->paths[hint].key, key, sizeof(*key)))
		return &h->paths[hint];
	for (size_t i = 0; i < h->n_paths; i++) {
		if (!memcmp(&h->paths[i].key, key, sizeof(*key)))
			return &h->paths[i];
	}
	return NULL;
}

static int path_delta(struct hops_path *out, const struct hops_path *now,
		      const struct hops_path *was)
{
	*out = *now;
	out->span = malloc((now->key.n ? now->key.n : 1u) * sizeof(*out->span));
	if (!out->span)
		return -ENOMEM;
	memcpy(out->span, now->span, now->key.n * sizeof(*out->span));
	if (!was)
		return 0;
	out->count = grown(now->count, was->count);
	for (size_t i = 0; i < now->key.n; i++) {
		for (size_t k = 0; k < HOP_SLOTS; k++)
			hist__delta(&out->span[i].hist[k], &was->span[i].hist[k]);
	}
	return 0;
}

int hops__delta(struct hops *out, const struct hops *now, const struct hops *before)
{
	struct hops d = {.on = now->on};
	int err;

	for (size_t i = 0; i < HOP_COUNTS; i++)
		d.count[i] = grown(now->count[i], before->count[i]);
	if (now->n_paths) {
		d.paths = calloc(now->n_paths, sizeof(*d.paths));
		if (!d.paths)
			return -ENOMEM;
	}
	for (size_t i = 0; i < now->n_paths; i++) {
		const struct hops_path *p = &now->paths[i];
		const struct hops_path *was = find(before, &p->key, i);

		if (was && was->count == p->count)
			continue;
		err = path_delta(&d.paths[d.n_paths], p, was);
		if (err) {
			hops__free(&d);
			return err;
		}
		d.n_paths++;
	}
	*out = d;
	return 0;
}

/*
 * Names. Switches without a default: an enumerator that is added to hop.h without a name here does
 * not build.
 */

const char *hop_count__name(unsigned int count)
{
	switch ((enum hop_count)count) {
	case HOP_COMPLETE: return "complete";
	case HOP_TABLE_FULL: return "table_full";
	case HOP_SPANS_FULL: return "spans_full";
	case HOP_NODES_FULL: return "nodes_full";
	case HOP_PATHS_FULL: return "paths_full";
	case HOP_ABANDONED: return "abandoned";
	case HOP_UNANSWERED: return "unanswered";
	case HOP_OVERLAPPING: return "overlapping";
	case HOP_NEGATIVE: return "negative";
	case HOP_QUEUE_FULL: return "queue_full";
	case HOP_TIMELINES_LOST: return "timelines_lost";
	case HOP_EVENTS_LOST: return "events_lost";
	case HOP_SAMPLED_OUT: return "sampled_out";
	case HOP_DELIVERED: return "delivered";
	case HOP_ALIKE: return "alike";
	case HOP_NO_ORIGIN: return "no_origin";
	case HOP_CUT: return "cut";
	case HOP_COUNTS: break;
	}
	return "?";
}

const char *hop_kind__name(unsigned int kind)
{
	switch ((enum hop_kind)kind) {
	case HOP_NETWORK: return "network";
	case HOP_PROCESS: return "process";
	case HOP_OPAQUE: return "opaque";
	case HOP_NONE: break;
	}
	return "?";
}

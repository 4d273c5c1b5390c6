/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * "Hop by hop" in the report of a run. Each sentence is derived from the ways that were recorded;
 * the waterfalls are those of `hopscope hops`.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out/figures.h"
#include "out/hops.h"
#include "out/hops_section.h"
#include "out/md.h"
#include "out/session.h"

#define WAYS	 3 /* of a phase, that are shown */
#define PLACES	 6 /* that are named */
#define NAME_LEN 160

struct place_sum {
	char name[NAME_LEN];
	double ns;
};

/* Over all ways of exchanges that succeeded, ns. */
struct sums {
	struct place_sum *place; /* owned; largest first */
	size_t n;
	double count, whole;
	double failed;		  /* exchanges that are in none of these */
	double queued, run_queue; /* NaN: not known of any exchange */
	bool partly;		  /* not known of all */
};

bool md__is_hops(const json_t *phase)
{
	return !strcmp(session__get_text(phase, "kind"), "hops");
}

/* ---- sums */

static void add_place(struct sums *s, const struct waterfall *w, const struct waterfall_place *p)
{
	struct text text = {0};
	char name[NAME_LEN];
	size_t i;

	hops__add_place(&text, w, p);
	snprintf(name, sizeof(name), "%s", text.data ? text.data : "");
	text__free(&text);
	for (i = 0; i < s->n && strcmp(s->place[i].name, name) != 0; i++)
		;
	if (i == s->n) {
		memcpy(s->place[i].name, name, sizeof(name));
		s->n++;
	}
	s->place[i].ns += (double)w->count * p->mean_ns;
}

static void add_known(double *sum, double v)
{
	if (!isnan(v))
		*sum = (isnan(*sum) ? 0 : *sum) + v;
}

static void add_waits(struct sums *s, const struct waterfall *w)
{
	for (size_t i = 0; i < w->n_edges; i++) {
		const struct waterfall_edge *e = &w->edge[i];

		add_known(&s->queued, (double)e->queue_count * e->queue_mean_ns);
		add_known(&s->run_queue, (double)e->queue_count * e->run_mean_ns);
		s->partly |= e->queues && e->queue_count < w->count;
	}
}

static int larger_first(const void *a, const void *b)
{
	double x = ((const struct place_sum *)a)->ns, y = ((const struct place_sum *)b)->ns;

	return (x < y) - (x > y);
}

/* 0, or -ENOMEM and nothing to free. */
static int sum_up(struct sums *s, const struct waterfalls *w)
{
	*s = (struct sums){.place = calloc(w->n * WATERFALL_PLACES + 1, sizeof(*s->place)),
			   .queued = NAN,
			   .run_queue = NAN};
	if (!s->place)
		return -ENOMEM;
	for (size_t i = 0; i < w->n; i++) {
		struct waterfall_place places[WATERFALL_PLACES];
		size_t n = waterfall__places(&w->v[i], places);

		if (wire_status__is_error(w->v[i].status)) {
			s->failed += (double)w->v[i].count;
			continue;
		}
		for (size_t k = 0; k < n; k++)
			add_place(s, &w->v[i], &places[k]);
		add_waits(s, &w->v[i]);
		s->count += (double)w->v[i].count;
		s->whole += (double)w->v[i].count * w->v[i].mean_ns;
	}
	qsort(s->place, s->n, sizeof(*s->place), larger_first);
	return 0;
}

/* The sums of a phase. false: nothing that succeeded was followed, or it cannot be read. */
static bool sums_of(struct sums *s, const json_t *phase)
{
	struct waterfalls w;
	char err[160];
	bool ok;

	if (hops_json__load(&w, phase, err, sizeof(err)))
		return false;
	ok = w.n && !sum_up(s, &w);
	waterfalls__free(&w);
	if (ok && s->n && s->whole > 0)
		return true;
	if (ok)
		free(s->place);
	return false;
}

/* ---- sentences */

static void add_share(struct text *out, double ns, const struct sums *s)
{
	md__value(out, 100 * ns / s->whole, "%");
}

void md__hops_most(struct text *out, const json_t *phase)
{
	struct sums s;

	if (*session__get_text(phase, "invalid")) {
		text__add(out, "INVALID: ");
		md__text(out, session__get_text(phase, "invalid"));
		return;
	}
	if (!sums_of(&s, phase)) {
		text__add(out, MD_NO_DATA ": no exchange that succeeded was followed hop by hop");
		return;
	}
	text__add(out, "the largest part of a round trip, of ");
	md__value(out, s.whole / s.count, "ns");
	text__add(out, " on average, is ");
	md__text(out, s.place[0].name);
	text__add(out, " with ");
	add_share(out, s.place[0].ns, &s);
	text__add(out, "; ");
	md__plural(out, s.count, "exchange", "exchanges");
	text__add(out, " followed");
	text__add(out, ", in a phase of its own");
	free(s.place);
}

static void add_places(struct text *out, const struct sums *s)
{
	text__add(out, "Of the round trip, all ways taken together: **");
	for (size_t i = 0; i < s->n && i < PLACES; i++) {
		text__add(out, i ? ", " : "");
		md__text(out, s->place[i].name);
		text__add(out, " ");
		add_share(out, s->place[i].ns, s);
		text__add(out, i ? "" : "**");
	}
	if (s->n > PLACES)
		text__addf(out, " and less in %zu more", s->n - PLACES);
	text__addf(out, ". In sockets' queues, to be read: %s",
		   s->partly && !isnan(s->queued) ? "at least " : "");
	add_share(out, s->queued, s);
	text__add(out, " of it, ");
	add_share(out, s->run_queue, s);
	text__add(out, " while the reader waited for a processor. ");
}

/* How many of the calls it speaks of. */
static void add_followed(struct text *out, const json_t *phase, const struct sums *s)
{
	double succeeded = session__get_number(phase, "succeeded");
	double failed = session__get_number(phase, "failed");

	md__plural(out, succeeded, "call", "calls");
	text__add(out, " succeeded");
	if (failed > 0) {
		text__add(out, ", **");
		md__count(out, failed);
		text__add(out, " failed**");
	}
	text__add(out, "; ");
	md__plural(out, s->count, "exchange was", "exchanges were");
	text__add(out, " followed");
	if (s->count < succeeded) {
		text__add(out, ", **");
		md__count(out, succeeded - s->count);
		text__add(out, " fewer**");
	}
	if (s->failed > 0) {
		text__add(out, "; ");
		md__count(out, s->failed);
		text__add(out, " more, answered with an error, are not in these shares");
	}
	text__add(out, ".");
}

/* The same load while nothing was followed. */
static const json_t *counterpart(const json_t *session, const json_t *phase)
{
	const char *path = session__get_text(phase, "path");

	return *path ? md__phase(session, "rpc", path, "closed")
		     : md__phase(session, "response", NULL, "closed");
}

/* What following costs, as far as it can be told: another phase, at another time. */
static void add_cost(struct text *out, const json_t *session, const json_t *phase)
{
	const json_t *other = counterpart(session, phase);
	struct estimate here = md__quantile(md__latency(phase, "client"), "p50");
	struct estimate there = md__quantile(md__latency(other, "client"), "p50");

	if (isnan(here.value) || isnan(there.value))
		return;
	text__add(out, " By the client's clock p50 is ");
	md__estimate(out, &here, "ns");
	text__add(out, " here, and ");
	md__estimate(out, &there, "ns");
	text__add(out, " in ");
	md__code(out, session__get_text(other, "name"));
	text__add(out, ", where nothing was followed.");
}

/* Its picture. NULL: it has none. */
static const char *file_of(const json_t *phase)
{
	const char *path = session__get_text(phase, "path");

	if (!*path)
		return "hops.svg";
	if (!strcmp(path, "direct"))
		return "hops_direct.svg";
	return strcmp(path, "forwarded") ? NULL : "hops_forwarded.svg";
}

static void add_phase(struct text *out, const json_t *session, const json_t *phase)
{
	const char *name = session__get_text(phase, "name");
	const char *invalid = session__get_text(phase, "invalid");
	const char *file = file_of(phase);
	struct sums s;

	text__add(out, "### ");
	md__text(out, *name ? name : "(unnamed phase)");
	text__add(out, "\n\n");
	if (*invalid) {
		text__add(out, "**INVALID**: ");
		md__text(out, invalid);
		text__add(out, ".\n\n");
	}
	if (sums_of(&s, phase)) {
		add_places(out, &s);
		add_followed(out, phase, &s);
		add_cost(out, session, phase);
		text__add(out, "\n\n");
		if (file)
			md__figure(out, session, file, "The round trip hop by hop");
		free(s.place);
	}
	md__hops(out, phase, WAYS);
}

void md__hop_by_hop(struct text *out, const json_t *session)
{
	const json_t *phases = session__get(session, "phases");
	bool any = false;

	text__add(out, "## Hop by hop\n\n");
	for (size_t i = 0; i < json_array_size(phases); i++) {
		if (!md__is_hops(json_array_get(phases, i)))
			continue;
		if (!any)
			text__add(
				out,
				"The sockets that a call passed, and the time between them. From a "
				"phase of its own at the end of the run, with a probe that follows "
				"each exchange: what that costs is in these figures and in no "
				"other. What lies between two sockets that are neither ends of a "
				"connection nor of one process cannot be seen, nor can what lies "
				"behind the last one: that is the residual, a line of its "
				"own.\n\n");
		any = true;
		add_phase(out, session, json_array_get(phases, i));
	}
	if (!any)
		text__add(out, MD_NO_DATA ": the calls were not followed hop by hop.\n\n");
}

/* ---- pictures */

static const json_t *find(const json_t *session, const char *path)
{
	const json_t *phases = session__get(session, "phases");

	for (size_t i = 0; i < json_array_size(phases); i++) {
		const json_t *p = json_array_get(phases, i);

		if (md__is_hops(p) && !strcmp(session__get_text(p, "path"), path))
			return p;
	}
	return NULL;
}

static bool has(const json_t *session, const char *path)
{
	struct sums s;

	if (!sums_of(&s, find(session, path)))
		return false;
	free(s.place);
	return true;
}

static int render(FILE *out, const json_t *session, const char *path)
{
	const json_t *phase = find(session, path);
	struct waterfalls w;
	char err[160], title[64];
	int rc;

	if (!has(session, path) || hops_json__load(&w, phase, err, sizeof(err)))
		return -ENODATA;
	snprintf(title, sizeof(title), "Where the time goes, hop by hop%s%s", *path ? ": " : "",
		 path);
	rc = hops_svg__print(out, &w, WAYS, NULL, 0, title);
	waterfalls__free(&w);
	return rc;
}

#define FIGURE(name, path)                                         \
	static bool has_##name(const json_t *session)              \
	{                                                          \
		return has(session, path);                         \
	}                                                          \
	static int render_##name(FILE *out, const json_t *session) \
	{                                                          \
		return render(out, session, path);                 \
	}
FIGURE(all, "")
FIGURE(direct, "direct")
FIGURE(forwarded, "forwarded")
#undef FIGURE

const struct figure hop_figures[] = {
	{"hops.svg", has_all, render_all},
	{"hops_direct.svg", has_direct, render_direct},
	{"hops_forwarded.svg", has_forwarded, render_forwarded},
	{NULL, NULL, NULL},
};

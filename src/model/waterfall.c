/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the time of a round trip went. */
#include "model/waterfall.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/hist.h"

#define LINK_PARENT(link) ((link) >> 4)
#define LINK_KIND(link)	  ((link)&15)

/* ---- the edges, from the spans */

static struct waterfall_edge *add_edge(struct waterfall *w, uint8_t span, uint8_t direction)
{
	struct waterfall_edge *e = &w->edge[w->n_edges++];

	*e = (struct waterfall_edge){
		.span = span,
		.from = span,
		.to = span,
		.within = span,
		.other = span,
		.direction = direction,
		.mean_ns = NAN,
		.p50_ns = NAN,
		.p99_ns = NAN,
		.start_ns = NAN,
		.share = NAN,
		.queue_mean_ns = NAN,
		.queue_p50_ns = NAN,
		.queue_p99_ns = NAN,
		.run_mean_ns = NAN,
		.run_p99_ns = NAN,
	};
	return e;
}

/* What lies between a span and the one around it, on the way there and back. */
static uint8_t kind_between(const struct waterfall_span *child)
{
	switch (child->kind) {
	case HOP_NETWORK: return WATERFALL_NETWORK;
	case HOP_PROCESS: return WATERFALL_PROCESS;
	default: return WATERFALL_OPAQUE;
	}
}

/* The request waits in the queue of a socket that it comes in on, the reply where it went out. */
static void set_queue(struct waterfall *w, struct waterfall_edge *e, uint8_t span, bool request)
{
	e->queues = w->span[span].request_in == request;
	e->queue = span;
}

/* The edges within span i, and within its children, in the order of time. */
static void plan_span(struct waterfall *w, uint8_t i)
{
	struct waterfall_edge *e;
	uint8_t last = i;

	for (uint8_t c = (uint8_t)(i + 1); c < w->n_spans; c++) {
		if (w->span[c].parent != i)
			continue;
		e = add_edge(w, c, WATERFALL_THERE);
		e->from = last;
		e->within = i;
		e->kind = kind_between(&w->span[c]);
		set_queue(w, e, last, last == i);
		plan_span(w, c);
		last = c;
	}
	if (w->one_way)
		return;
	if (last == i) {
		e = add_edge(w, i, WATERFALL_IN);
		e->kind = w->span[i].request_in ? WATERFALL_SERVICE : WATERFALL_BEYOND;
		set_queue(w, e, i, true);
		return;
	}
	e = add_edge(w, i, WATERFALL_BACK);
	e->from = last;
	e->other = last;
	e->kind = kind_between(&w->span[last]);
	set_queue(w, e, last, false);
}

/*
 * A socket's process: that of the one next to it, or of an earlier one on which requests came in at
 * the same port (a server that is called more than once).
 */
static uint8_t process_of(const struct waterfall *w, uint8_t i)
{
	const struct waterfall_span *s = &w->span[i];

	if (i && s->kind == HOP_PROCESS)
		return w->span[s->parent].process;
	for (uint8_t k = 0; k < i && s->request_in; k++) {
		const struct waterfall_span *t = &w->span[k];

		if (t->request_in && t->port == s->port && strcmp(t->comm, s->comm) == 0 &&
		    strcmp(t->container, s->container) == 0)
			return t->process;
	}
	return i;
}

bool waterfall__plan(struct waterfall *w)
{
	w->n_edges = 0;
	if (!w->n_spans || w->n_spans > HOP_SPANS)
		return false;
	for (uint8_t i = 0; i < w->n_spans; i++) {
		struct waterfall_span *s = &w->span[i];

		if (i && s->parent >= i)
			return false;
		s->parent = i ? s->parent : 0;
		s->depth = i ? (uint8_t)(w->span[s->parent].depth + 1) : 0;
		s->process = process_of(w, i);
	}
	plan_span(w, 0);
	return true;
}

bool waterfall_kind__is_residual(uint8_t kind)
{
	return kind == WATERFALL_OPAQUE || kind == WATERFALL_BEYOND;
}

void waterfall__sum(struct waterfall *w)
{
	double sum = 0;

	w->residual_ns = 0;
	for (size_t i = 0; i < w->n_edges; i++) {
		struct waterfall_edge *e = &w->edge[i];

		e->start_ns = sum;
		e->share = w->mean_ns > 0 ? e->mean_ns / w->mean_ns : NAN;
		sum += e->mean_ns;
		if (waterfall_kind__is_residual(e->kind))
			w->residual_ns += e->mean_ns;
	}
	w->unsettled_ns = w->mean_ns - sum;
	/* rounding of the sum, not a reading in motion */
	if (fabs(w->unsettled_ns) <= 1e-9 * w->mean_ns)
		w->unsettled_ns = 0;
}

/* ---- of a path */

static void copy_node(struct waterfall_span *s, const struct hops_node *n)
{
	snprintf(s->comm, sizeof(s->comm), "%.*s", COMM_LEN, n->key.comm);
	memcpy(s->container, n->container, sizeof(s->container));
	s->container[sizeof(s->container) - 1] = 0;
	s->port = n->key.port;
	s->proto = n->key.proto;
	s->role = n->key.role;
	s->request_in = n->key.request_in;
}

/* Means are over the same number everywhere, so that they add up. */
static void fill_edge(struct waterfall_edge *e, const struct hops_path *p, double n)
{
	const struct hist *gap =
		&p->span[e->span].hist[e->direction == WATERFALL_THERE ? HOP_BEFORE : HOP_AFTER];
	const struct hist *q, *run = &p->span[e->queue].hist[HOP_RUN_QUEUE];

	e->mean_ns = (double)gap->sum / n;
	e->p50_ns = hist__quantile_ns(gap, 0.5);
	e->p99_ns = hist__quantile_ns(gap, 0.99);
	if (!e->queues)
		return;
	q = &p->span[e->queue].hist[p->span[e->queue].node.key.request_in ? HOP_QUEUE_REQUEST
									  : HOP_QUEUE_REPLY];
	e->queue_count = hist__count(q);
	e->queue_mean_ns = hist__mean_ns(q);
	e->queue_p50_ns = hist__quantile_ns(q, 0.5);
	e->queue_p99_ns = hist__quantile_ns(q, 0.99);
	e->run_mean_ns = hist__mean_ns(run);
	e->run_p99_ns = hist__quantile_ns(run, 0.99);
}

bool waterfall__of_path(struct waterfall *out, const struct hops_path *p)
{
	const struct hist *whole = p->key.n && p->span ? &p->span[0].hist[HOP_BEFORE] : NULL;
	uint64_t n = whole ? hist__count(whole) : 0;

	memset(out, 0, sizeof(*out));
	if (!n || p->key.n > HOP_SPANS)
		return false;
	snprintf(out->route, sizeof(out->route), "%s", p->route);
	out->proto = p->key.proto;
	out->status = p->key.status;
	out->one_way = p->key.one_way;
	out->count = p->count;
	out->mean_ns = (double)whole->sum / (double)n;
	out->p50_ns = hist__quantile_ns(whole, 0.5);
	out->p99_ns = hist__quantile_ns(whole, 0.99);
	out->max_ns = (double)hist__max_ns(whole);
	out->n_spans = p->key.n;
	for (size_t i = 0; i < out->n_spans; i++) {
		struct waterfall_span *s = &out->span[i];

		copy_node(s, &p->span[i].node);
		s->parent = p->span[i].parent;
		s->kind = p->span[i].kind;
		s->request_ns = s->reply_ns = NAN;
		s->queue_request_ns = s->queue_reply_ns = s->run_queue_ns = NAN;
	}
	if (!waterfall__plan(out))
		return false;
	for (size_t i = 0; i < out->n_edges; i++)
		fill_edge(&out->edge[i], p, (double)n);
	waterfall__sum(out);
	return true;
}

/* ---- of one exchange */

static bool is_nested(const struct waterfall_span *s, const struct waterfall_span *parent,
		      double cursor)
{
	return s->request_ns >= cursor && s->reply_ns >= s->request_ns &&
	       s->reply_ns <= parent->reply_ns;
}

/* Keeps what is nested. Where a parent has been accounted up to is its cursor. */
static bool keep_nested(struct waterfall *w)
{
	double cursor[HOP_SPANS];
	uint8_t place[HOP_SPANS]; /* where a span went; HOP_SPANS: it was left out */
	uint8_t kept = 0;

	if (!w->n_spans || w->n_spans > HOP_SPANS)
		return false;
	if (!(w->span[0].reply_ns >= w->span[0].request_ns))
		return false;
	for (uint8_t i = 0; i < w->n_spans; i++) {
		struct waterfall_span s = w->span[i];
		uint8_t parent = s.parent < i ? place[s.parent] : HOP_SPANS;

		place[i] = HOP_SPANS;
		if (i && (parent == HOP_SPANS || !is_nested(&s, &w->span[parent], cursor[parent])))
			continue;
		if (i)
			cursor[parent] = s.reply_ns;
		cursor[kept] = s.request_ns;
		place[i] = kept;
		s.parent = i ? parent : 0;
		w->span[kept++] = s;
	}
	w->n_spans = kept;
	return true;
}

static void measure_edge(struct waterfall *w, struct waterfall_edge *e)
{
	const struct waterfall_span *s = &w->span[e->span], *from = &w->span[e->from];
	const struct waterfall_span *q = &w->span[e->queue];

	if (e->direction == WATERFALL_IN)
		e->mean_ns = s->reply_ns - s->request_ns;
	else if (e->direction == WATERFALL_BACK)
		e->mean_ns = s->reply_ns - from->reply_ns;
	else if (e->from == e->within)
		e->mean_ns = s->request_ns - from->request_ns;
	else
		e->mean_ns = s->request_ns - from->reply_ns;
	e->p50_ns = e->p99_ns = e->mean_ns;
	if (!e->queues)
		return;
	e->queue_mean_ns = q->request_in ? q->queue_request_ns : q->queue_reply_ns;
	e->queue_p50_ns = e->queue_p99_ns = e->queue_mean_ns;
	e->queue_count = !isnan(e->queue_mean_ns);
	e->run_mean_ns = e->run_p99_ns = q->run_queue_ns;
}

bool waterfall__measure(struct waterfall *w)
{
	if (!keep_nested(w) || !waterfall__plan(w))
		return false;
	w->timeline = true;
	w->count = 1;
	w->mean_ns = w->span[0].reply_ns - w->span[0].request_ns;
	w->p50_ns = w->p99_ns = w->max_ns = w->mean_ns;
	for (size_t i = 0; i < w->n_edges; i++)
		measure_edge(w, &w->edge[i]);
	waterfall__sum(w);
	return true;
}

static double known(uint64_t ns)
{
	return ns == HOP_UNKNOWN ? NAN : (double)ns;
}

bool waterfall__of_timeline(struct waterfall *out, const struct hops_timeline *t)
{
	memset(out, 0, sizeof(*out));
	snprintf(out->route, sizeof(out->route), "%s", t->route);
	out->proto = t->t.proto;
	out->status = t->t.status;
	out->sampled = t->t.sampled;
	out->n_spans = (uint8_t)(t->t.n < HOP_SPANS ? t->t.n : HOP_SPANS);
	for (size_t i = 0; i < out->n_spans; i++) {
		const struct hop_span *h = &t->t.span[i];
		struct waterfall_span *s = &out->span[i];

		copy_node(s, &t->node[i]);
		s->parent = LINK_PARENT(h->link);
		s->kind = LINK_KIND(h->link);
		s->tgid = h->tgid;
		s->request_ns = (double)h->request_ns;
		s->reply_ns = (double)h->reply_ns;
		s->queue_request_ns = known(h->queue_request_ns);
		s->queue_reply_ns = known(h->queue_reply_ns);
		s->run_queue_ns = known(h->run_queue_ns);
	}
	return waterfall__measure(out);
}

/* ---- all of them */

static int by_spans(const struct waterfall *a, const struct waterfall *b)
{
	int c = (int)a->status - (int)b->status;

	if (!c)
		c = (int)a->n_spans - (int)b->n_spans;
	for (size_t i = 0; i < a->n_spans && !c; i++) {
		const struct waterfall_span *s = &a->span[i], *t = &b->span[i];

		c = strcmp(s->container, t->container);
		c = c ? c : strcmp(s->comm, t->comm);
		c = c ? c : (int)s->port - (int)t->port;
		c = c ? c : (int)s->role - (int)t->role;
		c = c ? c : (int)s->parent - (int)t->parent;
		c = c ? c : (int)s->kind - (int)t->kind;
	}
	return c;
}

static int by_route(const void *pa, const void *pb)
{
	const struct waterfall *a = pa, *b = pb;
	int c = strcmp(a->route, b->route);

	c = c ? c : (int)a->proto - (int)b->proto;
	return c ? c : (int)a->one_way - (int)b->one_way;
}

static int by_count(const void *pa, const void *pb)
{
	const struct waterfall *a = pa, *b = pb;
	int c;

	if (a->route_count != b->route_count)
		return a->route_count < b->route_count ? 1 : -1;
	c = by_route(a, b);
	if (c)
		return c;
	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return by_spans(a, b);
}

/* The end of the route's run that begins at i. */
static size_t run_of(const struct waterfalls *w, size_t i)
{
	size_t end = i + 1;

	while (end < w->n && by_route(&w->v[i], &w->v[end]) == 0)
		end++;
	return end;
}

void waterfalls__sort(struct waterfalls *w)
{
	if (!w->n)
		return;
	qsort(w->v, w->n, sizeof(*w->v), by_route);
	for (size_t i = 0, end; i < w->n; i = end) {
		uint64_t sum = 0;

		end = run_of(w, i);
		for (size_t k = i; k < end; k++)
			sum += w->v[k].count;
		for (size_t k = i; k < end; k++)
			w->v[k].route_count = sum;
	}
	qsort(w->v, w->n, sizeof(*w->v), by_count);
	for (size_t i = 0, end; i < w->n; i = end) {
		end = run_of(w, i);
		for (size_t k = i; k < end; k++) {
			w->v[k].variant = (uint32_t)(k - i + 1);
			w->v[k].variants = (uint32_t)(end - i);
		}
	}
}

int waterfalls__build(struct waterfalls *out, const struct hops *h, waterfall_route_fn wanted,
		      const void *ctx)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->count, h->count, sizeof(out->count));
	if (!h->n_paths)
		return 0;
	out->v = calloc(h->n_paths, sizeof(*out->v));
	if (!out->v)
		return -ENOMEM;
	for (size_t i = 0; i < h->n_paths; i++)
		if (!wanted || wanted(ctx, h->paths[i].route))
			out->n += waterfall__of_path(&out->v[out->n], &h->paths[i]);
	waterfalls__sort(out);
	return 0;
}

void waterfalls__free(struct waterfalls *w)
{
	free(w->v);
	w->v = NULL;
	w->n = 0;
}

/* ---- where it was spent */

static bool same_place(const struct waterfall *w, const struct waterfall_place *p, uint8_t kind,
		       uint8_t span)
{
	if (p->kind != kind)
		return false;
	if (kind != WATERFALL_PROCESS && kind != WATERFALL_BEYOND)
		return true;
	return w->span[p->span].process == w->span[span].process;
}

static int by_mean(const void *pa, const void *pb)
{
	const struct waterfall_place *a = pa, *b = pb;

	if (a->mean_ns != b->mean_ns)
		return a->mean_ns < b->mean_ns ? 1 : -1;
	if (a->kind != b->kind)
		return (int)a->kind - (int)b->kind;
	return (int)a->span - (int)b->span;
}

size_t waterfall__places(const struct waterfall *w, struct waterfall_place *places)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_edges; i++) {
		const struct waterfall_edge *e = &w->edge[i];
		uint8_t kind = e->kind == WATERFALL_SERVICE ? WATERFALL_PROCESS : e->kind;
		size_t k = 0;

		while (k < n && !same_place(w, &places[k], kind, e->within))
			k++;
		if (k == n)
			places[n++] = (struct waterfall_place){.kind = kind, .span = e->within};
		places[k].mean_ns += e->mean_ns;
	}
	for (size_t k = 0; k < n; k++)
		places[k].share = w->mean_ns > 0 ? places[k].mean_ns / w->mean_ns : NAN;
	qsort(places, n, sizeof(*places), by_mean);
	return n;
}

/* ---- names */

/* The last `parts` of a path. */
static const char *ending(const char *path, unsigned int parts)
{
	const char *s = path + strlen(path);

	while (s > path) {
		if (s[-1] == '/' && *s && --parts == 0)
			return s;
		s--;
	}
	return s;
}

const char *waterfall__container(const struct waterfall *w, size_t span)
{
	const char *mine = w->span[span].container;
	unsigned int parts = 1;

	for (size_t i = 0; i < w->n_spans; i++) {
		const char *other = w->span[i].container;

		if (strcmp(mine, other) == 0)
			continue;
		while (ending(mine, parts) != mine &&
		       strcmp(ending(mine, parts), ending(other, parts)) == 0)
			parts++;
	}
	return ending(mine, parts);
}

void waterfall__name(const struct waterfall *w, size_t span, bool port, char *buf, size_t size)
{
	const struct waterfall_span *s = &w->span[span];
	const char *container = waterfall__container(w, span);
	bool shown = container[0] && strcmp(container, "/") != 0 && strcmp(container, s->comm) != 0;
	char number[16] = "";

	if (port && s->port)
		snprintf(number, sizeof(number), " :%u", s->port);
	snprintf(buf, size, "%s%s%s%s", s->comm[0] ? s->comm : "?", shown ? " @" : "",
		 shown ? container : "", number);
}

enum waterfall_telling waterfall__telling(const struct waterfall *w, size_t span)
{
	const struct waterfall_span *s = &w->span[span];
	enum waterfall_telling how = WATERFALL_NAME;

	for (size_t i = 0; i < w->n_spans; i++) {
		const struct waterfall_span *t = &w->span[i];

		if (i == span || t->process != i || strcmp(t->comm, s->comm) != 0 ||
		    strcmp(t->container, s->container) != 0)
			continue;
		if (t->port == s->port)
			return WATERFALL_BY_ROLE;
		how = WATERFALL_BY_PORT;
	}
	return how;
}

static const char *const kinds[] = {
	[WATERFALL_NETWORK] = "network", [WATERFALL_PROCESS] = "process",
	[WATERFALL_OPAQUE] = "opaque",	 [WATERFALL_SERVICE] = "service",
	[WATERFALL_BEYOND] = "beyond",
};

static const char *const directions[] = {
	[WATERFALL_THERE] = "there", [WATERFALL_BACK] = "back", [WATERFALL_IN] = "in"};

#define N_KINDS	     (sizeof(kinds) / sizeof(kinds[0]))
#define N_DIRECTIONS (sizeof(directions) / sizeof(directions[0]))

const char *waterfall_kind__name(unsigned int kind)
{
	return kind && kind < N_KINDS ? kinds[kind] : "?";
}

const char *waterfall_direction__name(unsigned int direction)
{
	return direction && direction < N_DIRECTIONS ? directions[direction] : "?";
}

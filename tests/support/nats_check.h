/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Comparisons of what came out of the framer with what the reference found. For cmocka tests. */
#ifndef TESTS_NATS_CHECK_H
#define TESTS_NATS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "nats_gen.h"
#include "nats_host.h"

/* A stream cut into segments: at[0] = 0 .. at[n] = its length. */
struct cuts {
	uint32_t at[200000];
	uint32_t n;
};

/* What may be said of a failure: seed and how the stream was fed. */
struct context {
	const char *how;
	uint64_t seed;
	uint64_t at;
};

static inline void print_unit(const char *what, const uint8_t *s, const struct ref_unit *u)
{
	print_error("%s: at %llu verb %u '%.*s' '%.*s' payload %u header %u status %u%s\n", what,
		    (unsigned long long)u->pos, u->verb, (int)u->subject_len,
		    (const char *)s + u->subject, (int)u->reply_len, (const char *)s + u->reply,
		    u->payload, u->header, u->status, u->ambiguous ? " ambiguous" : "");
}

/* Is the unit that came out the true one? Names only where the framer is sure of them. */
static inline int unit_is(const struct ref_unit *got, const struct ref_unit *want)
{
	if (got->pos != want->pos || got->verb != want->verb)
		return 0;
	if (!NATS_IS_MESSAGE(got->verb))
		return 1;
	if (got->payload != want->payload || got->header != want->header ||
	    got->status != want->status)
		return 0;
	if (got->ambiguous)
		return 1;
	return got->subject == want->subject && got->subject_len == want->subject_len &&
	       got->reply_len == want->reply_len && (!got->reply_len || got->reply == want->reply);
}

/* The same units in the same order, and nothing else. */
static inline void check_all(const struct host *h, const struct nats_ref *ref,
			     const struct context *c)
{
	for (size_t i = 0; i < h->io.list.n && i < ref->list.n; i++) {
		if (unit_is(&h->io.list.unit[i], &ref->list.unit[i]) &&
		    h->io.list.unit[i].ambiguous == ref->list.unit[i].ambiguous)
			continue;
		print_unit("got ", ref->stream, &h->io.list.unit[i]);
		print_unit("want", ref->stream, &ref->list.unit[i]);
		fail_msg("%s, seed %llu, at %llu: unit %zu differs", c->how,
			 (unsigned long long)c->seed, (unsigned long long)c->at, i);
	}
	if (h->io.list.n != ref->list.n)
		fail_msg("%s, seed %llu, at %llu: %zu units, not %zu", c->how,
			 (unsigned long long)c->seed, (unsigned long long)c->at, h->io.list.n,
			 ref->list.n);
}

/* No message came out that is not in the stream, at that very place. */
static inline void check_none_invented(const struct host *h, const struct nats_ref *ref,
				       const struct context *c)
{
	for (size_t i = 0; i < h->io.list.n; i++) {
		const struct ref_unit *got = &h->io.list.unit[i];
		const struct ref_unit *want = nats_ref__at(ref, got->pos);

		if (!NATS_IS_MESSAGE(got->verb) || (want && unit_is(got, want)))
			continue;
		print_unit("got ", ref->stream, got);
		if (want)
			print_unit("want", ref->stream, want);
		fail_msg("%s, seed %llu, at %llu: invented", c->how, (unsigned long long)c->seed,
			 (unsigned long long)c->at);
	}
}

/* Every unit from number `from` on came out. */
static inline void check_seen_from(const struct host *h, const struct nats_ref *ref, size_t from,
				   const struct context *c)
{
	size_t k = 0;

	for (size_t i = from; i < ref->list.n; i++) {
		while (k < h->io.list.n && h->io.list.unit[k].pos < ref->list.unit[i].pos)
			k++;
		if (k < h->io.list.n && unit_is(&h->io.list.unit[k], &ref->list.unit[i]))
			continue;
		print_unit("missing", ref->stream, &ref->list.unit[i]);
		fail_msg("%s, seed %llu, at %llu: unit %zu of %zu not seen, from %zu on all "
			 "should be",
			 c->how, (unsigned long long)c->seed, (unsigned long long)c->at, i,
			 ref->list.n, from);
	}
}

/* Random cuts: of a few sizes, because each size meets other edges. */
static inline void cuts__random(struct cuts *c, struct rng *r, size_t len)
{
	static const struct {
		uint32_t low, high;
	} styles[] = {{1, 3}, {1, 20}, {1, 600}, {500, 520}, {500, 3000}, {1448, 1448}, {1, 65535}};
	uint32_t style = rng__in(r, len > 20000 ? 2 : 0, 6), n;
	size_t at = 0;

	c->n = 0;
	c->at[0] = 0;
	while (at < len) {
		n = rng__in(r, styles[style].low, styles[style].high);
		at += n < len - at ? n : len - at;
		c->at[++c->n] = (uint32_t)at;
	}
}

/* Feeds segments first .. last-1, the first one from `at` on. */
static inline void cuts__feed(const struct cuts *c, struct host *h, uint32_t first, uint64_t at)
{
	for (uint32_t i = first; i < c->n; i++) {
		uint64_t from = c->at[i] > at ? c->at[i] : at;

		host__feed(h, from, (uint32_t)(c->at[i + 1] - from));
	}
}

/* The segment that holds position `at`. */
static inline uint32_t cuts__find(const struct cuts *c, uint64_t at)
{
	uint32_t i = 0;

	while (i + 1 < c->n && c->at[i + 1] <= at)
		i++;
	return i;
}

/*
 * The first unit from which on all must be seen after an attach at `at`: the first one whose line
 * (and status) is in one piece is found, and NATS_CHAIN messages later the place is certain.
 */
static inline size_t first_certain(const struct nats_ref *ref, const struct cuts *c, uint64_t at)
{
	uint32_t seg = cuts__find(c, at);

	for (size_t i = 0; i < ref->list.n; i++) {
		const struct ref_unit *u = &ref->list.unit[i];
		uint64_t need = u->pos + u->line + (u->header >= 12 ? 12 : 0);

		if (u->pos < at)
			continue;
		while (seg + 1 < c->n && c->at[seg + 1] <= u->pos)
			seg++;
		if (need > c->at[seg + 1])
			continue;
		for (int proof = 0; i < ref->list.n && proof < NATS_CHAIN; i++)
			proof += NATS_IS_MESSAGE(ref->list.unit[i].verb);
		return i;
	}
	return ref->list.n;
}

/*
 * A gap of `n` bytes at `at`, of a stream in one segment before and one behind. Inside a payload
 * the place is kept; else it is found again.
 */
static inline void check_gap(const struct gen *g, const struct nats_ref *ref, uint64_t seed,
			     uint64_t at, uint32_t n)
{
	static struct cuts rest;
	struct context c = {.how = "gap", .seed = seed, .at = at};
	const struct ref_unit *u = ref->list.unit;
	size_t last = 0;
	struct host h;
	int lost, inside;

	while (last + 1 < ref->list.n && u[last + 1].pos < at)
		last++;
	u += last;
	/* All that is missed is payload, of the unit that was begun. */
	inside = u->verb <= NATS_LMSG && at >= u->pos + u->line + (u->header >= 12 ? 12 : 0) &&
		 at + n + 2 <= u->end;
	host__open_synced(&h, g->data);
	host__feed(&h, 0, (uint32_t)at);
	lost = host__miss(&h, n);
	if (lost == inside)
		fail_msg("seed %llu, %u bytes at %llu: the place is %s", (unsigned long long)seed,
			 n, (unsigned long long)at, lost ? "lost" : "kept");
	if (at + n < g->len) {
		host__feed(&h, at + n, (uint32_t)(g->len - at - n));
		check_none_invented(&h, ref, &c);
		rest.n = 1;
		rest.at[1] = (uint32_t)g->len;
		check_seen_from(&h, ref, lost ? first_certain(ref, &rest, at + n) : last + 1, &c);
		if (!lost)
			assert_int_equal(h.desyncs, 0);
	}
	host__close(&h);
}

/*
 * Attaches at the beginning of `text`, which stands for the middle of a payload or of a line, cut
 * at `cut` (0: in one segment). *h is closed before, and stays open for a look into it. Returns the
 * number of messages that came out.
 */
static inline size_t attach_to_text(struct host *h, const char *text, uint32_t cut)
{
	uint32_t n = (uint32_t)strlen(text);
	size_t messages = 0;

	host__close(h);
	host__open(h, (const uint8_t *)text);
	if (cut)
		host__feed(h, 0, cut);
	host__feed(h, cut, n - cut);
	for (size_t i = 0; i < h->io.list.n; i++)
		messages += NATS_IS_MESSAGE(h->io.list.unit[i].verb);
	return messages;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Random valid Redis connections: commands, their replies, pushes in between. */
#ifndef TESTS_REDIS_GEN_H
#define TESTS_REDIS_GEN_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"

struct redis_text {
	uint8_t *data;
	size_t len;
	size_t room;
};

/* A command and its reply: where they stand in both streams. */
struct redis_xchg {
	uint64_t ask, asked;
	uint64_t reply, replied;
};

struct redis_gen {
	struct rng rng;
	struct redis_text side[2];
	struct redis_xchg *xchg;
	size_t n, room;
	uint32_t bulk_max;
	int resp3;
	int hostile; /* strings may look like commands and replies */
};

static inline void redis_gen__open(struct redis_gen *g, uint64_t seed)
{
	memset(g, 0, sizeof(*g));
	g->rng.state = seed;
	g->bulk_max = 2000;
	g->resp3 = seed & 1;
}

static inline void redis_gen__close(struct redis_gen *g)
{
	free(g->side[0].data);
	free(g->side[1].data);
	free(g->xchg);
	memset(g, 0, sizeof(*g));
}

static inline void redis_text__add(struct redis_text *t, const void *bytes, size_t n)
{
	if (t->len + n > t->room) {
		t->room = 2 * (t->len + n) + 256;
		t->data = realloc(t->data, t->room);
		if (!t->data)
			abort();
	}
	memcpy(t->data + t->len, bytes, n);
	t->len += n;
}

__attribute__((format(printf, 2, 3))) static inline void redis_text__put(struct redis_text *t,
									 const char *fmt, ...)
{
	char buf[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	redis_text__add(t, buf, strlen(buf));
}

static inline void redis_gen__bulk(struct redis_gen *g, struct redis_text *t, char type)
{
	static const char fakes[] = "*1\r\n$4\r\nPING\r\n+OK\r\n-ERR x\r\n$-1\r\n";
	uint32_t n = rng__in(&g->rng, 0, rng__chance(&g->rng, 1, 10) ? g->bulk_max : 40);

	redis_text__put(t, rng__chance(&g->rng, 1, 20) ? "%c%08u\r\n" : "%c%u\r\n", type, n);
	for (uint32_t i = 0; i < n; i++) {
		char c = g->hostile && n & 1 ? fakes[i % (sizeof(fakes) - 1)]
					     : (char)rng__next(&g->rng);

		redis_text__add(t, &c, 1);
	}
	redis_text__put(t, "\r\n");
}

static inline void redis_gen__value(struct redis_gen *g, struct redis_text *t, int depth)
{
	uint32_t what = rng__in(&g->rng, 0, depth > 4 ? 5 : g->resp3 ? 19 : 7), n;

	switch (what) {
	case 0: redis_text__put(t, "+OK\r\n"); return;
	case 1: redis_text__put(t, "-WRONGTYPE Operation against a key\r\n"); return;
	case 2: redis_text__put(t, ":%d\r\n", (int)rng__next(&g->rng)); return;
	case 3: redis_text__put(t, "$-1\r\n"); return;
	case 4:
	case 5: redis_gen__bulk(g, t, '$'); return;
	case 8: redis_gen__bulk(g, t, '='); return;
	case 9: redis_gen__bulk(g, t, '!'); return;
	case 10: redis_text__put(t, "_\r\n"); return;
	case 11: redis_text__put(t, "#t\r\n"); return;
	case 12: redis_text__put(t, ",-1.5e10\r\n"); return;
	case 13:
		redis_text__put(t, "(");
		for (n = rng__in(&g->rng, 1, 400); n; n--)
			redis_text__put(t, "%u", n % 10);
		redis_text__put(t, "\r\n");
		return;
	case 14: redis_text__put(t, "*-1\r\n"); return;
	}
	n = rng__in(&g->rng, 0, 4);
	redis_text__put(t, "%c%u\r\n",
			what == 15   ? '%'
			: what == 16 ? '~'
			: what == 17 ? '|'
				     : '*',
			n);
	n *= what == 15 || what == 17 ? 2 : 1;
	n += what == 17;
	while (n--)
		redis_gen__value(g, t, depth + 1);
}

static inline void redis_gen__command(struct redis_gen *g)
{
	static const char *const names[] = {"GET",
					    "set",
					    "MGET",
					    "INCRBY",
					    "LPUSH",
					    "FT.SEARCH",
					    "blpop",
					    "XREAD",
					    "config",
					    "EVALSHA",
					    "GEORADIUSBYMEMBER_RO",
					    "MULTI"};
	struct redis_text *t = &g->side[0];
	/* The first is one that every client knows. */
	const char *name = g->n ? names[rng__next(&g->rng) % 12] : "PING";
	uint32_t args = rng__in(&g->rng, 0, rng__chance(&g->rng, 1, 20) ? 60 : 4);

	if (g->n && rng__chance(&g->rng, 1, 20)) {
		redis_text__put(t, "\r\n");
		g->xchg[g->n].ask = t->len;
		redis_text__put(t, "%s some key%s", name,
				rng__chance(&g->rng, 1, 4) ? "\n" : "\r\n");
		g->xchg[g->n].asked = t->len;
		return;
	}
	g->xchg[g->n].ask = t->len;
	redis_text__put(t, "*%u\r\n$%zu\r\n%s\r\n", args + 1, strlen(name), name);
	while (args--)
		redis_gen__bulk(g, t, '$');
	g->xchg[g->n].asked = t->len;
}

static inline void redis_gen__exchange(struct redis_gen *g)
{
	struct redis_text *t = &g->side[1];

	if (g->n == g->room) {
		g->room = g->room ? 2 * g->room : 64;
		g->xchg = realloc(g->xchg, g->room * sizeof(*g->xchg));
		if (!g->xchg)
			abort();
	}
	redis_gen__command(g);
	if (g->resp3 && g->n && rng__chance(&g->rng, 1, 8)) {
		redis_text__put(t, ">2\r\n$10\r\ninvalidate\r\n");
		redis_gen__value(g, t, 3);
	}
	g->xchg[g->n].reply = t->len;
	redis_gen__value(g, t, 0);
	g->xchg[g->n].replied = t->len;
	g->n++;
}

static inline uint64_t redis_gen__may_come(const struct redis_gen *g, uint64_t asked)
{
	uint64_t may = 0;

	for (size_t i = 0; i < g->n && g->xchg[i].asked <= asked; i++)
		may = g->xchg[i].replied;
	return may;
}

#endif
